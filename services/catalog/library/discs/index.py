"""What a disc holds: the shapes that its reader makes and that everything else works with. Pure."""

from typing import Literal

import msgspec

Extents = tuple[tuple[int, int], ...]
"""Pieces of a file as (offset, length) in bytes of the disc, in order; none for an empty file."""

TreeKind = Literal["rock-ridge", "joliet", "iso9660", "udf"]


class BootImage(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the El Torito boot catalogue that is bootable."""

    platform: Literal["bios", "efi", "other"]
    emulation: Literal["none", "floppy", "disk"]
    offset: int
    """Of its bytes in the disc."""
    length: int


class DiscIndex(msgspec.Struct, frozen=True, kw_only=True):
    """A disc, read once."""

    size: int
    """Of the file, in bytes."""
    volume_id: str = ""
    system_id: str = ""
    publisher: str = ""
    application: str = ""
    tree: TreeKind
    """Whose names and extents these are: of several trees the one that tells most."""
    files: dict[str, Extents]
    """By path without a leading slash; names that are not UTF-8 have U+FFFD in place of bytes."""
    links: dict[str, str] = {}
    """Symbolic links to files and folders on the disc: path to path, resolved, no loops."""
    boot: tuple[BootImage, ...] = ()
    notes: tuple[str, ...] = ()
    """What was left out, in words for the owner of the disc."""
