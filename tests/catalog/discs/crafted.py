"""Discs written byte by byte (ECMA-119, SUSP, RRIP, El Torito): what no program would write."""

import struct
from collections.abc import Mapping

SECTOR = 2048
ROOT = 20
FIRST_FREE = 24


def both(value: int, size: int = 4) -> bytes:
    """Give a number with its low byte first, and once more the other way round."""
    return value.to_bytes(size, "little") + value.to_bytes(size, "big")


def record(
    name: bytes,
    block: int,
    length: int,
    *,
    flags: int = 0,
    extra: bytes = b"",
    attributes: int = 0,
    interleave: int = 0,
) -> bytes:
    """Make a directory record (ECMA-119 §9.1); `extra` is what Rock Ridge adds."""
    padding = b"\0" * (len(name) % 2 == 0)
    tail = bytes((len(name),)) + name + padding + extra
    body = (
        bytes((attributes,))
        + both(block)
        + both(length)
        + bytes(7)
        + bytes((flags, interleave, interleave))
        + both(1, 2)
        + tail
    )
    body += b"\0" * (len(body) % 2 == 0)
    return bytes((len(body) + 1,)) + body


def folder(block: int, *records: bytes, length: int = SECTOR, own: bytes = b"") -> bytes:
    """Make a folder's bytes: itself, its parent, its records, each within a sector."""
    data = bytearray()
    start = (record(b"\0", block, length, flags=2, extra=own), record(b"\1", ROOT, SECTOR, flags=2))
    for each in (*start, *records):
        room = SECTOR - len(data) % SECTOR
        data += (b"\0" * room if len(each) > room else b"") + each
    return bytes(data)


def disc(
    root: bytes,
    blocks: Mapping[int, bytes] | None = None,
    *,
    size: int = 64,
    said: int | None = None,
    catalogue: int | None = None,
    joliet: int | None = None,
    root_length: int | None = None,
    block_size: int = SECTOR,
    identifiers: tuple[bytes, ...] = (),
) -> bytes:
    """Make a disc of `size` sectors, with the root folder at ROOT.

    `said` is the size that it says it has, `joliet` where its second root is, `identifiers` are
    more descriptors behind the terminator.
    """
    data = bytearray(size * SECTOR)
    length = root_length or max(SECTOR, -(-len(root) // SECTOR) * SECTOR)
    descriptors = [_volume(1, said or size, record(b"\0", ROOT, length, flags=2), block_size)]
    if catalogue is not None:
        descriptors.append(b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + both(catalogue))
    if joliet is not None:
        descriptors.append(_volume(2, size, record(b"\0", joliet, SECTOR, flags=2), block_size))
    descriptors.append(b"\xffCD001\1")
    descriptors += [b"\0" + identifier + b"\1" for identifier in identifiers]
    for number, descriptor in enumerate(descriptors):
        data[(16 + number) * SECTOR : (16 + number) * SECTOR + len(descriptor)] = descriptor
    for block, content in {ROOT: root, **(blocks or {})}.items():
        data[block * SECTOR : block * SECTOR + len(content)] = content
    return bytes(data[: size * SECTOR])


def _volume(kind: int, blocks: int, root: bytes, block_size: int) -> bytes:
    escape = b"%/E" if kind == 2 else b""
    head = bytes((kind,)) + b"CD001\1\0" + b"LINUX".ljust(32) + b"CRAFTED".ljust(32) + bytes(8)
    head += both(blocks) + escape.ljust(32, b"\0") + both(1, 2) + both(1, 2) + both(block_size, 2)
    return head.ljust(156, b"\0") + root.ljust(34, b"\0")[:34]


def entry(signature: bytes, body: bytes) -> bytes:
    """Make an entry of the system use area."""
    return signature + bytes((4 + len(body), 1)) + body


ER = entry(b"ER", bytes((10, 0, 0, 1)) + b"RRIP_1991A")
SP = entry(b"SP", b"\xbe\xef\0")
ROCK_RIDGE = SP + ER
"""What a root folder says of itself when the disc has Rock Ridge."""


def nm(name: bytes, flags: int = 0) -> bytes:
    return entry(b"NM", bytes((flags,)) + name)


def px(mode: int) -> bytes:
    return entry(b"PX", both(mode) + both(1) + both(0) + both(0))


def sl(*components: tuple[int, bytes]) -> bytes:
    parts = b"".join(bytes((flags, len(text))) + text for flags, text in components)
    return entry(b"SL", b"\0" + parts)


def ce(block: int, offset: int, length: int) -> bytes:
    return entry(b"CE", both(block) + both(offset) + both(length))


def cl(block: int) -> bytes:
    return entry(b"CL", both(block))


RE = entry(b"RE", b"")
ZF = entry(b"ZF", b"pz" + bytes((4, 15)) + both(5000))


def catalogue(*entries: bytes, platform: int = 0) -> bytes:
    """Make a boot catalogue with a valid first entry."""
    first = bytearray(b"\1" + bytes((platform,)) + bytes(28) + b"\x55\xaa")
    total = sum(struct.unpack("<16H", first)) & 0xFFFF
    struct.pack_into("<H", first, 28, (0x10000 - total) & 0xFFFF)
    return bytes(first) + b"".join(entries)


def boot_entry(block: int, count: int, *, media: int = 0, bootable: bool = True) -> bytes:
    return struct.pack("<BBHBBHI", 0x88 * bootable, media, 0, 0, 0, count, block).ljust(32, b"\0")


def section(platform: int, count: int, *, last: bool = True) -> bytes:
    return struct.pack("<BBH", 0x90 + last, platform, count).ljust(32, b"\0")
