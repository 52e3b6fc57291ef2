"""A disc in few bytes, for fuzzing: the sectors that hold something, each with its number."""

from tests.catalog.discs.crafted import SECTOR

SECTORS = 512
_HEAD = 4


def pack(disc: bytes) -> bytes:
    """Write number, length and bytes of every sector that is not all zeros."""
    packed = b""
    for number in range(min(SECTORS, -(-len(disc) // SECTOR))):
        data = disc[number * SECTOR : (number + 1) * SECTOR].rstrip(b"\0")
        if data:
            packed += number.to_bytes(2, "little") + len(data).to_bytes(2, "little") + data
    return packed


def unpack(packed: bytes) -> bytes:
    """Make a disc of any bytes."""
    disc = bytearray(SECTORS * SECTOR)
    at = 0
    while at + _HEAD <= len(packed):
        number = int.from_bytes(packed[at : at + 2], "little") % SECTORS
        length = int.from_bytes(packed[at + 2 : at + 4], "little") % (SECTOR + 1)
        data = packed[at + _HEAD : at + _HEAD + length]
        disc[number * SECTOR : number * SECTOR + len(data)] = data
        at += _HEAD + length
    return bytes(disc)
