"""What a disc says of itself in its volume descriptors (ECMA-119 §8; Joliet; El Torito §2). Pure.

They stand from sector 16 on, up to a terminator; behind it those of UDF, where there is one
(ECMA-167 part 2 §9).
"""

import msgspec

from bootyard.model.errors import ImageRejected
from services.catalog.library.discs.source import SECTOR, Source, damaged, incomplete, u16, u32

FIRST = 16
MAX_DESCRIPTORS = 64
PADDING = 300 * 1024
"""Zeros that xorriso and others put behind everything, and that many copies lack; with them, what
fills the last sector."""

_ISO = b"CD001"
_UDF = (b"NSR02", b"NSR03")
_OF_UDF = (b"BEA01", b"BOOT2", b"CDW02", *_UDF)
_JOLIET = (b"%/@", b"%/C", b"%/E")
_PRIMARY, _SUPPLEMENTARY, _BOOT, _TERMINATOR = 1, 2, 0, 255
_EL_TORITO = b"EL TORITO SPECIFICATION"


class RootFolder(msgspec.Struct, frozen=True):
    """Where a tree of ISO 9660 begins, in bytes."""

    offset: int
    length: int
    block: int
    """Bytes that the numbers of its records count in."""


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """What the descriptors say."""

    volume_id: str
    system_id: str
    publisher: str
    application: str
    root: RootFolder
    joliet: RootFolder | None
    catalogue: int | None
    """Where the boot catalogue lies, in bytes."""
    has_udf: bool


def read_volume(source: Source) -> Volume:
    """Read the descriptors.

    Raises ImageRejected for what is no disc, for one without ISO 9660, and for one that is cut off.
    """
    descriptors, has_udf = _descriptors(source)
    primary = next((each for each in descriptors if each[0] == _PRIMARY), None)
    if primary is None:
        raise _no_disc(source, has_udf=has_udf)
    root = _root(primary)
    length = u32(primary, 80) * root.block
    if length > source.size + PADDING + SECTOR:
        raise incomplete(f"of {length} bytes that it says it has, {source.size} are there")
    joliet = (d for d in descriptors if d[0] == _SUPPLEMENTARY and d[88:91] in _JOLIET)
    boot = (d for d in descriptors if d[0] == _BOOT and d[7:30] == _EL_TORITO)
    return Volume(
        volume_id=_text(primary[40:72]),
        system_id=_text(primary[8:40]),
        publisher=_text(primary[318:446]),
        application=_text(primary[574:702]),
        root=root,
        joliet=next(map(_root, joliet), None),
        catalogue=next((u32(each, 71) * SECTOR for each in boot), None),
        has_udf=has_udf,
    )


def _descriptors(source: Source) -> tuple[list[bytes], bool]:
    """Give those of ISO 9660 up to the terminator, and whether there are any of UDF."""
    found: list[bytes] = []
    has_udf = is_over = False
    for number in range(FIRST, FIRST + MAX_DESCRIPTORS):
        sector = source.up_to(number * SECTOR, SECTOR)
        identifier = sector[1:6]
        if len(sector) == SECTOR and identifier == _ISO and not is_over:
            found.append(sector)
            is_over = sector[0] == _TERMINATOR
        elif len(sector) == SECTOR and identifier in _OF_UDF:
            has_udf = has_udf or identifier in _UDF
        else:
            break
    return found, has_udf


def _root(sector: bytes) -> RootFolder:
    block = u16(sector, 128)
    if block not in {512, 1024, 2048}:
        raise damaged(f"it says that its blocks have {block} bytes")
    record = sector[156:190]
    return RootFolder((u32(record, 2) + record[1]) * block, u32(record, 10), block)


def _text(field: bytes) -> str:
    text = field.decode("utf-8", "replace").strip(" \0")
    return "".join(c if c >= " " else "\ufffd" for c in text)


_OTHERS = (
    (0, b"\x1f\x8b", "it is compressed (gzip)", "unpack it: gunzip"),
    (0, b"\xfd7zXZ\0", "it is compressed (xz)", "unpack it: unxz"),
    (0, b"\x28\xb5\x2f\xfd", "it is compressed (zstd)", "unpack it: unzstd"),
    (0, b"BZh", "it is compressed (bzip2)", "unpack it: bunzip2"),
    (0, b"PK\3\4", "it is a ZIP archive", "unpack it, and copy the .iso that is inside"),
    (0, b"7z\xbc\xaf\x27\x1c", "it is a 7z archive", "unpack it, and copy the .iso that is inside"),
    (0, b"Rar!", "it is a RAR archive", "unpack it, and copy the .iso that is inside"),
    (0, b"QFI\xfb", "it is a disk of a virtual machine (qcow2)", "download the system's ISO file"),
    (
        0,
        b"\0" + 10 * b"\xff" + b"\0",
        "it has the raw sectors of a CD (2352 bytes each)",
        "make an ISO file of it: bchunk, or ccd2iso",
    ),
    (
        510,
        b"\x55\xaa",
        "it is the image of a disk, not of a disc",
        "download the system's ISO file",
    ),
)


def _no_disc(source: Source, *, has_udf: bool) -> ImageRejected:
    if has_udf:
        return ImageRejected(
            "it has only a UDF file system, and no ISO 9660 beside it",
            "copy what is on it into a folder here, or make a disc of that with both:"
            " genisoimage -udf -iso-level 3 -allow-limited-size",
        )
    start = source.up_to(0, 1024)
    if start[:256].lstrip().lower().startswith((b"<!doctype", b"<html")):
        return ImageRejected(
            "it is a web page, not a disc", "download the file that the page offers"
        )
    for offset, magic, problem, cure in _OTHERS:
        if start[offset : offset + len(magic)] == magic and source.size > 17 * SECTOR:
            return ImageRejected(problem, cure)
    return ImageRejected(
        "there is no disc in it: ISO 9660 is not where it has to be",
        "copy or download it again, and compare its checksum",
    )
