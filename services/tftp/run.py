"""A transfer on its way: the state machine, and how far its usual ACKs have carried it.

Nearly every datagram is the ACK of the newest block, and its answer is the next window, in lockstep
the next packet. `Run.expected` is how that ACK begins; it is answered without asking the transfer,
which is told of all of them at once when anything else happens (`ReadTransfer.run_ahead`).
"""

from bootyard.model.events import TransferOutcome
from services.tftp.batches import Batch, address_of, peer_key, socket_address
from services.tftp.content import SliceSource
from services.tftp.digest import TransferDigest
from services.tftp.lane import Lane
from services.tftp.order import Order
from services.tftp.packed import MOST_BYTES, MOST_SEGMENTS, NEVER, Chunk, PacketCache
from services.tftp.transfer import ReadTransfer

NO_BATCH = Batch(0, (0, 0))


class Run:
    """One transfer of the engine."""

    __slots__ = (
        "acks",
        "armed",
        "batch",
        "chunk",
        "expected",
        "index",
        "is_ahead",
        "is_waiting",
        "key",
        "lane",
        "moment",
        "name",
        "name_address",
        "order",
        "packable",
        "peer",
        "reported",
        "transfer",
        "vectors",
        "window",
    )

    def __init__(self, order: Order, lane: Lane, now: float) -> None:
        self.order = order
        self.peer = order.peer
        self.lane = lane
        self.transfer = ReadTransfer(order.source, order.terms, now)
        self.packable = order.source if isinstance(order.source, SliceSource) else None
        subject = order.subject
        self.name = socket_address(subject.client_ip, subject.client_port)
        self.name_address = address_of(self.name)
        self.key = peer_key(self.name)
        self.chunk: Chunk | None = None
        """Holds the newest block, once there is one."""
        self.window = order.terms.window_size
        self.acks: list[int] = []
        self.vectors: list[int] = []
        """Of the chunk's windows, while it is ahead of the transfer."""
        self.batch: Batch = NO_BATCH
        """Where their messages go."""
        self.is_ahead = False
        self.expected = NEVER
        self.index = 0
        """Of the newest window in the chunk."""
        self.moment = 0.0
        """When it was last acknowledged, while it is ahead."""
        self.armed = float("inf")
        """When it is looked at next."""
        self.is_waiting = False
        """For room in the socket's send buffer."""
        self.reported = (0, 0)

    def settle(self) -> None:
        """Go ahead of the transfer as long as its usual ACKs arrive."""
        transfer, chunk = self.transfer, self.chunk
        if chunk is None or not transfer.is_steady or not self.lane.is_batched:
            return
        window = self.window
        number, beside = divmod(transfer.newest_block + 1 - chunk.first, window)
        if beside or not 0 < number <= len(chunk.vectors) // window:
            return  # since blocks were lost its windows do not begin where those of others do
        segment = 0
        if window > 1:
            segment = chunk.stride
            if not self.lane.can_segment or window > MOST_SEGMENTS or window * segment > MOST_BYTES:
                return
        batch = self.lane.batch(segment)
        if batch is None:
            return
        self.batch = batch
        self.vectors, self.acks, _ = chunk.steps_of(window)
        self.index = number - 1
        self.expected = self.acks[self.index]
        self.moment = transfer.last_progress
        self.is_ahead = True

    def go_on(self, cache: PacketCache) -> bool:
        """Stand before the first window of the next chunk; False: it is to be looked at closely.

        Raises OSError.
        """
        if self.chunk is None or self.packable is None:
            return False
        block = self.chunk.first + len(self.chunk.vectors)
        chunk = cache.chunk(self.packable, self.order.terms.block_size, block)
        if chunk is None:
            return False
        vectors, acks, _ = chunk.steps_of(self.window)
        if not acks:
            return False  # it ends there
        self.chunk, self.vectors, self.acks, self.index = chunk, vectors, acks, -1
        return True

    def sync(self) -> None:
        """Let the transfer be where its client's ACKs have come."""
        if self.is_ahead and self.chunk is not None:
            self.is_ahead = False
            self.expected = NEVER
            newest = self.chunk.first + (self.index + 1) * self.window - 1
            self.transfer.run_ahead(newest, self.moment)

    @property
    def last_progress(self) -> float:
        """When the client last acknowledged something new."""
        return self.moment if self.is_ahead else self.transfer.last_progress

    def chunk_of(self, block: int, cache: PacketCache) -> Chunk | None:
        """Hold the chunk with a block; None: the file has changed. Raises OSError."""
        chunk = self.chunk
        if chunk is None or not chunk.first <= block < chunk.first + len(chunk.vectors):
            if self.packable is None:
                return None
            chunk = cache.chunk(self.packable, self.order.terms.block_size, block)
            if chunk is not None:
                self.chunk = chunk
        return chunk

    def take_progress(self) -> tuple[int, int]:
        """Bytes and repeats since the last time."""
        if self.is_ahead:
            self.sync()
            self.settle()
        now = (self.transfer.bytes_delivered, self.transfer.retransmits)
        before, self.reported = self.reported, now
        return now[0] - before[0], now[1] - before[1]

    def digest(self) -> TransferDigest:
        """Tell how it went."""
        transfer, terms = self.transfer, self.order.terms
        return TransferDigest(
            subject=self.order.subject,
            outcome=transfer.outcome or TransferOutcome.ERROR,
            bytes=transfer.bytes_delivered,
            seconds=max(0.0, transfer.ended - transfer.started),
            blocks=transfer.blocks,
            retransmits=transfer.retransmits,
            block_size=terms.block_size,
            window_size=terms.window_size,
        )
