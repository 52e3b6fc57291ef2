"""UDF written byte by byte (ECMA-167, UDF 2.60), as the second file system of a crafted disc."""

import struct

from tests.catalog.discs import crafted
from tests.catalog.discs.crafted import SECTOR

START = 300
"""Sector that the partition begins in."""
DESCRIPTORS = 260

FOLDER, FILE, LINK = 4, 5, 12
SHORT, LONG, EMBEDDED = 0, 1, 3


def tagged(identifier: int, body: bytes, at: int = 0) -> bytes:
    """Put a descriptor tag in front (ECMA-167 3/7.2), without a checksum of the body."""
    tag = bytearray(struct.pack("<HHBBHHHI", identifier, 2, 0, 0, 0, 0, 0, at))
    tag[4] = sum(tag) & 0xFF
    return bytes(tag) + body


def short_ad(length: int, block: int, kind: int = 0) -> bytes:
    return struct.pack("<II", length | kind << 30, block)


def long_ad(length: int, block: int, partition: int = 0, kind: int = 0) -> bytes:
    return struct.pack("<IIH6x", length | kind << 30, block, partition)


def icb(
    kind: int,
    length: int,
    descriptors: bytes,
    form: int = SHORT,
    *,
    strategy: int = 4,
    extended: bool = False,
) -> bytes:
    """Make a file entry, or an extended one (ECMA-167 4/14.9, 4/14.17)."""
    head = struct.pack("<IHH2sBB6sH", 0, strategy, 0, b"", 0, kind, b"", form)
    head = head.ljust(40, b"\0") + struct.pack("<Q", length)
    if extended:
        body = head.ljust(192, b"\0") + struct.pack("<II", 0, len(descriptors))
        return tagged(266, body + descriptors)
    body = head.ljust(152, b"\0") + struct.pack("<II", 0, len(descriptors))
    return tagged(261, body + descriptors)


def fid(name: str, block: int, partition: int = 0, characteristics: int = 0) -> bytes:
    """Make a file identifier (ECMA-167 4/14.4)."""
    wide = any(ord(c) > 255 for c in name)
    text = b"\x10" + name.encode("utf-16-be") if wide else b"\x08" + name.encode("latin-1")
    body = struct.pack("<HBB", 1, characteristics, len(text))
    body += long_ad(SECTOR, block, partition) + struct.pack("<H", 0) + text
    data = tagged(257, body)
    return data + b"\0" * (-len(data) % 4)


PARENT = fid("", 2, characteristics=8)[:40]


def more(descriptors: bytes) -> bytes:
    """Make an allocation extent descriptor, which continues others (ECMA-167 4/14.5)."""
    return tagged(258, struct.pack("<II", 0, len(descriptors)) + descriptors)


def embedded_folder(*identifiers: bytes) -> bytes:
    data = b"".join((PARENT, *identifiers))
    return icb(FOLDER, len(data), data, EMBEDDED)


def map_1(number: int = 0) -> bytes:
    return struct.pack("<BBHH", 1, 6, 1, number)


def map_2(identifier: bytes, tail: bytes = b"", number: int = 0) -> bytes:
    head = struct.pack("<BBHB23s8xHH", 2, 64, 0, 0, identifier, 1, number)
    return (head + tail).ljust(64, b"\0")


def bridge(
    blocks: dict[int, bytes],
    *,
    maps: tuple[bytes, ...] = (map_1(),),
    size: int = 400,
    root: tuple[int, int] = (2, 0),
    file_set_partition: int = 0,
    block_size: int = SECTOR,
    raw: dict[int, bytes] | None = None,
    iso: tuple[bytes, ...] | None = None,
    file_set: int = 0,
) -> bytes:
    """Make a disc whose ISO 9660 has `iso` (or a README), and whose UDF has `blocks`.

    `blocks` are those of the partition: the file set is put at `file_set`, `root` is where the root
    folder is described. `raw` are sectors of the disc.
    """
    sectors = {256: tagged(2, struct.pack("<IIII", 16 * SECTOR, DESCRIPTORS, 0, 0), 256)}
    partition = struct.pack("<I2xH", 1, 0).ljust(172, b"\0") + struct.pack("<II", START, 9999)
    logical = bytearray(424)
    struct.pack_into("<I", logical, 0, 2)
    struct.pack_into("<I", logical, 196, block_size)
    logical[232:248] = long_ad(SECTOR, file_set, file_set_partition)
    struct.pack_into("<II", logical, 248, sum(map(len, maps)), len(maps))
    sectors[DESCRIPTORS] = tagged(5, partition)
    sectors[DESCRIPTORS + 1] = tagged(6, bytes(logical) + b"".join(maps))
    sectors[DESCRIPTORS + 2] = tagged(8, b"")
    set_ = bytes(384) + long_ad(SECTOR, *root)
    places = {START + block: data for block, data in blocks.items()}
    places.setdefault(START + file_set, tagged(256, set_))
    readme = (crafted.record(b"README.TXT;1", crafted.FIRST_FREE, 6),) if iso is None else iso
    return crafted.disc(
        crafted.folder(crafted.ROOT, *readme),
        {crafted.FIRST_FREE: b"readme", **sectors, **places, **(raw or {})},
        size=size,
        identifiers=(b"BEA01", b"NSR03", b"TEA01"),
    )
