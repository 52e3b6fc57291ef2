"""DATA packets as they go out, made once for all clients that load the same file.

A chunk is a run of packets in one piece of memory: a packet is sent from where it is, and a window
of them as one message that the kernel cuts up (UDP_SEGMENT, udp(7)).
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple, Protocol

from services.tftp.batches import ACK_HEADS, VECTOR_BYTES, address_of, pack_vectors
from services.tftp.packet import Opcode
from services.tftp.transfer import MEASURED_EVERY

HEADER = 4
"""Opcode and block number (RFC 1350 §5)."""

CHUNK_BYTES = 48 * 1024
CHUNK_BLOCKS = 64
CACHE_BYTES = 16 << 20

MOST_SEGMENTS = 64
MOST_BYTES = 65507
"""Of a message that the kernel cuts up: UDP_MAX_SEGMENTS, and what a UDP datagram can hold."""

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

    def read_into(self, offset: int, pieces: list[memoryview]) -> bool:
        """Fill pieces of memory; False: the file has changed."""


class Steps(NamedTuple):
    """The windows of one size in a chunk, one behind the other."""

    vectors: list[int]
    """Where the vector of each window is, and 0 behind them."""
    acks: list[int]
    """How the ACK of each window's end begins (`Inbound.heads`); NEVER where more is to be done
    than to send the next window."""
    table: bytearray
    """`struct iovec` of each."""


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
    last_block: int
    """Of the content."""
    steps: "dict[int, Steps]"
    """By window size."""

    def piece(self, block: int, count: int) -> tuple[int, int]:
        """Locate up to `count` packets from a block on, as (address, bytes)."""
        offset = (block - self.first) * self.stride
        return self.start + offset, min(count * self.stride, len(self.packets) - offset)

    def steps_of(self, window_size: int) -> Steps:
        """Give the windows that are sent when the ACKs of their ends arrive."""
        steps = self.steps.get(window_size)
        if steps is None:
            steps = self.steps[window_size] = self._make_steps(window_size)
        return steps

    def _make_steps(self, window_size: int) -> Steps:
        count = len(self.vectors) // window_size
        ends = [self.first + (index + 1) * window_size - 1 for index in range(count)]
        acks = [
            NEVER
            if end % MEASURED_EVERY == 0 or end + window_size > self.last_block
            else ACK_HEADS[end & 0xFFFF]
            for end in ends
        ]
        if acks and len(self.vectors) % window_size:
            acks[-1] = NEVER  # the next window is in two chunks
        if window_size == 1:
            return Steps([*self.vectors, 0], acks, self.table)
        stride = window_size * self.stride
        lengths = [min(stride, len(self.packets) - index * stride) for index in range(count)]
        table = pack_vectors(self.start, lengths, stride)
        start = address_of(table) if count else 0
        vectors = [*range(start, start + len(table), VECTOR_BYTES), 0]
        return Steps(vectors, acks, table)


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
        last_block=last_block,
        steps={},
    )


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
