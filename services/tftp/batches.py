"""Datagrams by the batch: arrays of `struct mmsghdr` (recvmmsg(2)) as words of memory.

A header is eight machine words, with 32 bits as with 64: name, its length, iovec, how many of
those, control, its length, flags, and the length of what was received. A sender is known by the
first eight bytes of its `struct sockaddr_in`: family, port and address as one number.
"""

import ctypes
import socket
import struct
import sys
from array import array
from ipaddress import IPv4Address

WORD = struct.calcsize("L")
HEADER_WORDS = 8
NAME, NAME_LENGTH, VECTOR, VECTORS, CONTROL, CONTROL_LENGTH, LENGTH = 0, 1, 2, 3, 4, 5, 7
ADDRESS_BYTES = 16
SLOT_BYTES = 128
"""What is kept of a datagram: an ACK has 4 bytes, and of an ERROR the code counts."""

# Fields of 32 bits fill half of a word, its upper one on big-endian machines.
_HALF = 32 if sys.byteorder == "big" and WORD == 8 else 0
_ADDRESS_LENGTH = ADDRESS_BYTES << _HALF
FOUR_BYTES = 4 << _HALF
"""The length of an ACK in a header."""
_ADDRESS = struct.Struct("=H2s4s8x")
_VECTOR = struct.Struct("@PN")


def address_of(buffer: bytearray) -> int:
    """Where a buffer is in memory: until it is freed, as nothing here changes its size."""
    return ctypes.addressof((ctypes.c_char * 0).from_buffer(buffer))


def socket_address(address: IPv4Address, port: int) -> bytearray:
    """Make a `struct sockaddr_in`."""
    return bytearray(_ADDRESS.pack(socket.AF_INET, port.to_bytes(2, "big"), address.packed))


def peer_key(name: bytes | bytearray) -> int:
    """Name a peer by the number that `Inbound.keys` gives for it."""
    return int.from_bytes(name[:8], sys.byteorder)


def peer_of(key: int) -> tuple[str, int]:
    """Read a peer's address and port from its number."""
    _, port, address = struct.unpack("=H2s4s", key.to_bytes(8, sys.byteorder))
    return socket.inet_ntoa(address), int.from_bytes(port, "big")


def pack_vectors(start: int, lengths: list[int], stride: int) -> bytearray:
    """Make a table of `struct iovec`: pieces of memory, `stride` bytes apart."""
    words: list[int] = []
    for length in lengths:
        words += (start, length)
        start += stride
    return bytearray(array("L", words).tobytes())


VECTOR_BYTES = _VECTOR.size


class Inbound:
    """Room for a batch of short datagrams and their senders."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._slots = bytearray(size * SLOT_BYTES)
        self._names = bytearray(size * ADDRESS_BYTES)
        self._vectors = pack_vectors(address_of(self._slots), [SLOT_BYTES] * size, SLOT_BYTES)
        self._headers = bytearray(size * HEADER_WORDS * WORD)
        self.address = address_of(self._headers)
        words = memoryview(self._headers).cast("L")
        names, vectors = address_of(self._names), address_of(self._vectors)
        for index in range(size):
            header = words[index * HEADER_WORDS : (index + 1) * HEADER_WORDS]
            header[NAME] = names + index * ADDRESS_BYTES
            header[NAME_LENGTH] = _ADDRESS_LENGTH
            header[VECTOR] = vectors + index * VECTOR_BYTES
            header[VECTORS] = 1
        self._keys = [struct.Struct("=" + "Q8x" * count) for count in range(size + 1)]
        self._heads = [
            struct.Struct("=" + f"I{SLOT_BYTES - 4}x" * count) for count in range(size + 1)
        ]
        self._lengths = words[LENGTH::HEADER_WORDS]

    def keys(self, count: int) -> tuple[int, ...]:
        """Name the senders of the first `count` datagrams."""
        return self._keys[count].unpack_from(self._names)

    def heads(self, count: int) -> tuple[int, ...]:
        """Give the first four bytes of each as a number (`ACK_HEADS`); 0: it is shorter."""
        heads = self._heads[count].unpack_from(self._slots)
        lengths = self._lengths[:count].tolist()
        if lengths.count(FOUR_BYTES) != count:
            heads = tuple(
                head if length >> _HALF >= 4 else 0
                for head, length in zip(heads, lengths, strict=True)
            )
        return heads

    def length(self, index: int) -> int:
        """How long a datagram was."""
        return self._lengths[index] >> _HALF

    def datagram(self, index: int) -> bytes:
        """Copy what was kept of one datagram."""
        length = min(self.length(index), SLOT_BYTES)
        return bytes(self._slots[index * SLOT_BYTES : index * SLOT_BYTES + length])


class Outbound:
    """Room for a batch of messages, each of one piece of memory or of up to `pieces`.

    `control` goes with each, as (address, bytes).
    """

    def __init__(self, size: int, pieces: int = 0, control: tuple[int, int] = (0, 0)) -> None:
        self._headers = bytearray(size * HEADER_WORDS * WORD)
        self.address = address_of(self._headers)
        self._words = memoryview(self._headers).cast("L")
        self._names = self._words[NAME::HEADER_WORDS]
        self.vectors = self._words[VECTOR::HEADER_WORDS]
        self._pieces = pieces
        self._table = bytearray(size * pieces * VECTOR_BYTES)
        self._table_address = address_of(self._table)
        self._table_words = memoryview(self._table).cast("L")
        for index in range(size):
            self._words[index * HEADER_WORDS + NAME_LENGTH] = _ADDRESS_LENGTH
            self._words[index * HEADER_WORDS + VECTORS] = 1
            self._words[index * HEADER_WORDS + CONTROL] = control[0]
            self._words[index * HEADER_WORDS + CONTROL_LENGTH] = control[1]

    def put(self, names: list[int], vectors: list[int]) -> None:
        """Lay out messages of one piece each, by the addresses of peers and vectors."""
        self._names[: len(names)] = array("L", names)
        self.vectors[: len(vectors)] = array("L", vectors)

    def put_pieces(
        self, index: int, name: int, pieces: list[tuple[int, int]], control: tuple[int, int]
    ) -> None:
        """Lay out a message of several pieces of memory, with its own control.

        All are given as (address, bytes). What is laid out this way is not for `put`.
        """
        words, start = self._words, index * HEADER_WORDS
        words[start + NAME] = name
        words[start + VECTOR] = self._table_address + index * self._pieces * VECTOR_BYTES
        words[start + VECTORS] = len(pieces)
        words[start + CONTROL], words[start + CONTROL_LENGTH] = control
        table, start = self._table_words, index * self._pieces * 2
        for piece in pieces:
            table[start], table[start + 1] = piece
            start += 2


class Batch:
    """Messages of one kind that are to be sent on a lane."""

    def __init__(self, size: int, control: tuple[int, int]) -> None:
        self.names: list[int] = []
        self.vectors: list[int] = []
        """For each message its client's and its own place in memory."""
        self.headers = Outbound(size, control=control)

    def take(self) -> tuple[list[int], list[int]]:
        """Take what is to be sent."""
        taken = self.names, self.vectors
        self.names, self.vectors = [], []
        return taken


def _ack_heads() -> "array[int]":
    packets = b"".join(b"\0\4" + block.to_bytes(2, "big") for block in range(65536))
    return array("I", packets)


ACK_HEADS = _ack_heads()
"""For each 16-bit block number, its ACK as `Inbound.heads` gives it."""
