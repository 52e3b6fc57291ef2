"""DATA packets as they go out, made once for all clients that load the same file.

A chunk is a run of packets in one piece of memory: a packet is sent from where it is, and a window
of them as one message that the kernel cuts up (UDP_SEGMENT, udp(7)).
"""

from array import array
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple, Protocol

from services.tftp.batches import ACK_HEADS, VECTOR_BYTES, address_of, pack_vectors
from services.tftp.packet import Opcode
from services.tftp.transfer import MEASURED_EVERY

HEADER = 4
"""Opcode and block number (RFC 1350 §5)."""

CHUNK_BYTES = 48 * 1024
CHUNK_BLOCKS = 2 * MEASURED_EVERY
CACHE_BYTES = 32 << 20

NEVER = -1
"""No datagram begins like this: an ACK that is looked at closely."""


class PackableSource(Protocol):
    """Content of a file that does not change."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def identity(self) -> Hashable:
        """Equal for sources of the same content."""

    @property
    def is_at_rest(self) -> bool:
        """Whether it may be kept for others."""

    @property
    def has_changed(self) -> bool:
        """Whether the file was seen to be another one."""

    def read_into(self, offset: int, pieces: list[memoryview]) -> bool:
        """Fill pieces of memory; False: the file has changed."""

    def look(self) -> bool:
        """Look whether the file is still the same."""


class Chunk(NamedTuple):
    """Packets of blocks from `first` on."""

    first: int
    packets: bytearray
    table: bytearray
    """`struct iovec` of each packet."""
    start: int
    """Where the packets are in memory."""
    stride: int
    """Bytes from one packet to the next."""
    vectors: list[int]
    """Where the vector of each packet is."""
    acks: list[int]
    """How the ACK of each begins (`Inbound.heads`); NEVER where more is to be done than to send
    the packet behind it."""

    def piece(self, block: int, count: int) -> tuple[int, int]:
        """Locate up to `count` packets from a block on, as (address, bytes)."""
        offset = (block - self.first) * self.stride
        return self.start + offset, min(count * self.stride, len(self.packets) - offset)


def blocks_per_chunk(block_size: int) -> int:
    """Tell how many blocks are read at once: a power of two up to CHUNK_BLOCKS."""
    count = CHUNK_BLOCKS
    while count > 1 and count * block_size > CHUNK_BYTES:
        count //= 2
    return count


def pack(source: PackableSource, block_size: int, first: int, count: int) -> Chunk | None:
    """Read blocks and make their packets; None: the file has changed."""
    offset = (first - 1) * block_size
    last_block = source.size // block_size + 1
    count = min(count, last_block - first + 1)
    content = min(count * block_size, source.size - offset)
    stride = HEADER + block_size
    packets = bytearray(content + count * HEADER)
    packets[1::stride] = bytes((Opcode.DATA,)) * count
    blocks = range(first, first + count)
    packets[2::stride] = bytes([block >> 8 & 0xFF for block in blocks])
    packets[3::stride] = bytes([block & 0xFF for block in blocks])
    view = memoryview(packets)
    starts = range(HEADER, len(packets) + 1, stride)
    if not source.read_into(offset, [view[start : start + block_size] for start in starts]):
        return None
    start = address_of(packets)
    lengths = [stride] * count
    lengths[-1] = len(packets) - (count - 1) * stride
    table = pack_vectors(start, lengths, stride)
    vectors = address_of(table)
    return Chunk(
        first=first,
        packets=packets,
        table=table,
        start=start,
        stride=stride,
        vectors=list(range(vectors, vectors + count * VECTOR_BYTES, VECTOR_BYTES)),
        acks=_acks(blocks, last_block),
    )


def _acks(blocks: range, last_block: int) -> list[int]:
    acks = _heads(blocks.start & 0xFFFF, len(blocks))
    acks[-1] = NEVER  # the next packet is in another chunk
    for block in range(last_block - 1, last_block + 1):
        # Before the last block is sent the file is looked at once more.
        if block in blocks:
            acks[block - blocks.start] = NEVER
    for block in range(
        -(-blocks.start // MEASURED_EVERY) * MEASURED_EVERY, blocks.stop, MEASURED_EVERY
    ):
        acks[block - blocks.start] = NEVER
    return acks


def _heads(number: int, count: int) -> list[int]:
    heads: array[int] = ACK_HEADS[number : number + count]
    if len(heads) < count:
        heads += ACK_HEADS[: count - len(heads)]  # 65535 is followed by 0
    return heads.tolist()


class PacketCache:
    """The chunks that were used last, up to so many bytes."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._chunks: OrderedDict[tuple[Hashable, int, int], Chunk] = OrderedDict()
        self.bytes_kept = 0
        """Of packets."""

    def chunk(self, source: PackableSource, block_size: int, block: int) -> Chunk | None:
        """Give the chunk that holds a block; None: the file has changed. Raises OSError."""
        per_chunk = blocks_per_chunk(block_size)
        number = (block - 1) // per_chunk
        key = (source.identity, block_size, number)
        chunk = self._chunks.get(key)
        if chunk is not None:
            self._chunks.move_to_end(key)
            return chunk
        chunk = pack(source, block_size, number * per_chunk + 1, per_chunk)
        if chunk is not None and source.is_at_rest:
            self._keep(key, chunk)
        return chunk

    def _keep(self, key: tuple[Hashable, int, int], chunk: Chunk) -> None:
        self._chunks[key] = chunk
        self.bytes_kept += len(chunk.packets)
        while self.bytes_kept > self._limit:
            _, oldest = self._chunks.popitem(last=False)
            self.bytes_kept -= len(oldest.packets)
