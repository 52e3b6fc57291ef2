"""What the commands' options share: `--json`, MAC addresses in any spelling, settings."""

import sys
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


def read_settings() -> Settings:
    """Read the environment; variables that are no settings are named on stderr."""
    settings, warnings = load_settings()
    for warning in warnings:
        print(f"bootyard: {warning}", file=sys.stderr)
    return settings
