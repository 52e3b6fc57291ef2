"""One entry of an image's own boot menus. Pure."""

import posixpath
import re

import msgspec

MAX_ENTRIES = 60
MAX_LINE = 4096
"""Characters; longer lines are no configuration."""
MAX_LINES = 5000
MAX_PATH = 1024

_DEVICE = re.compile(r"^\([^)]*\)")


class OwnEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel with its initrds, as a boot loader's configuration names them."""

    title: str
    kernel: str
    initrds: tuple[str, ...] = ()
    command_line: str = ""
    file: str
    """The configuration that has it."""


def path_in_image(path: str, folder: str = "") -> str:
    """Make the path of a configuration one inside the image: `($root)/boot/vmlinuz` and others.

    A relative one starts from `folder`. Empty for one that leads out of the image.
    """
    plain = _DEVICE.sub("", path).replace("\\", "/")
    joined = plain if plain.startswith("/") else posixpath.join("/", folder, plain)
    clean = posixpath.normpath(joined[:MAX_PATH]).lstrip("/")
    return "" if clean == "." else clean


def lines_of(text: str) -> list[str]:
    """Split a configuration into lines, without those that are too long to be any."""
    return [line for line in text.splitlines()[:MAX_LINES] if len(line) <= MAX_LINE]
