"""What the commands' options share: `--json`, MAC addresses in any spelling, settings."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from bootyard.model.mac import MACAddress
from bootyard.runtime.settings import Settings, load_settings


def parse_mac(text: str) -> MACAddress:
    """Read a MAC address in any spelling; another text is wrong usage."""
    try:
        return MACAddress.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


JSON = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
MAC = Annotated[
    MACAddress,
    typer.Argument(metavar="MAC", parser=parse_mac, help="The machine's address, in any spelling."),
]


AUTO = "auto"
"""Leaves to Bootyard what else is pinned."""


def word_of(*words: str) -> Callable[[str], str]:
    """Make a parser of one of a few words; another text is wrong usage."""

    def parse_word(text: str) -> str:
        if text not in words:
            known = ", ".join(f"'{word}'" for word in words)
            raise typer.BadParameter(f"{text!r} is not one of {known}")
        return text

    return parse_word


def read_settings() -> Settings:
    """Read the environment; variables that are no settings are named on stderr."""
    settings, warnings = load_settings()
    for warning in warnings:
        print(f"bootyard: {warning}", file=sys.stderr)
    return settings
