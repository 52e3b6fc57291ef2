"""How text gets through GRUB's shell unchanged.

Between single quotes GRUB takes every character for itself, line breaks too, until the next quote
(GRUB manual, "Quoting"; `script/yylex.l`). So text from operators and images is always quoted.
"""

import re
from functools import lru_cache

from bootyard.boot.menus.server import REMEMBERED

_ARGUMENT = re.compile(r'(?:[^\s"]|"[^"]*(?:"|$))+')
_UNCARRIED = ("'", "\\")
"""GRUB writes a backslash before each when it joins a kernel's arguments (`lib/cmdline.c`)."""


@lru_cache(REMEMBERED)
def quote(text: str) -> str:
    """Write `text` as one word of GRUB's."""
    return "'" + text.replace("'", "'\\''") + "'"


def say(text: str) -> str:
    """Write the command that shows a line of text."""
    return f"echo {quote(label(text))}"


def indented(*lines: str) -> tuple[str, ...]:
    """Write lines inside of braces, or of an `if`."""
    return tuple(["  " + line for line in lines])


@lru_cache(REMEMBERED)
def label(text: str) -> str:
    """Make `text` fit for a line that people read: one line of printable ASCII.

    Firmware consoles show nothing else reliably, on a serial port least of all. A dash in front
    would make it an option of the command that it is given to.
    """
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return " ".join(plain.split()).lstrip("- ") or "?"


@lru_cache(REMEMBERED)
def kernel_arguments(text: str) -> tuple[str, ...]:
    """Part a command line as the kernel does: at white space outside of double quotes.

    The quotes go: GRUB puts its own around an argument that has a blank in it. What it would
    change on the way is left out, see `left_out`.
    """
    return tuple(word.replace('"', "") for word in _words(text) if _is_carried(word))


@lru_cache(REMEMBERED)
def left_out(text: str) -> tuple[str, ...]:
    """List the arguments of a command line that GRUB cannot hand to a kernel unchanged."""
    return tuple(word for word in _words(text) if not _is_carried(word))


def _words(text: str) -> list[str]:
    return [word for word in _ARGUMENT.findall(text) if word.strip('"')]


def _is_carried(word: str) -> bool:
    return all(" " <= c <= "~" and c not in _UNCARRIED for c in word)
