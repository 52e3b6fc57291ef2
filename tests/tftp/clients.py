"""A model client and an in-memory network with loss, duplication, delay and reordering."""

import heapq
from collections.abc import Callable
from itertools import count

from bootyard.model.events import TransferOutcome
from services.tftp.packet import Ack, Data, Error, OptionAck, parse
from services.tftp.transfer import ReadTransfer


class MemorySource:
    """Content in memory; `missing` bytes at its end can be cut off while it is read."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.size = len(content)
        self.is_closed = False

    def read_at(self, offset: int, size: int) -> bytes:
        return self.content[offset : offset + size]

    def close(self) -> None:
        self.is_closed = True


class ModelClient:
    """RFC 1350 and RFC 7440 as a client: acknowledges the window's end, or a gap."""

    def __init__(
        self,
        *,
        block_size: int = 512,
        window_size: int = 1,
        retry_s: float = 1.0,
        tries: int = 20,
        acknowledges_every_block: bool = False,
    ) -> None:
        self.block_size = block_size
        self.window_size = window_size
        self.retry_s = retry_s
        self.tries = tries
        self.every_block = acknowledges_every_block
        self.received = bytearray()
        self.block = 0
        self.in_window = 0
        self.is_started = False
        self.is_done = False
        self.has_failed = False
        self.gap_reported = False
        self.deadline = retry_s

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        match parse(datagram):
            case OptionAck(options=options):
                if self.block or self.in_window:
                    return []
                terms = dict(options)
                self.block_size = int(terms.get("blksize", 512))
                self.window_size = int(terms.get("windowsize", 1))
                self.is_started = True
                return self._acknowledge(now)
            case Data(block=block, payload=payload):
                return self._take(block, payload, now)
            case Error():
                self.has_failed = True
                return []
            case other:
                raise AssertionError(f"a server does not send {other}")

    def _take(self, block: int, payload: bytes, now: float) -> list[bytes]:
        self.is_started = True
        expected = (self.block + 1) & 0xFFFF
        if self.is_done:
            return [Ack(self.block & 0xFFFF).to_bytes()] if block == self.block & 0xFFFF else []
        if block != expected:
            ahead = (block - expected) & 0xFFFF
            if self.window_size == 1 or ahead > 0x8000:
                # Lockstep clients acknowledge a duplicate again.
                return [Ack(self.block & 0xFFFF).to_bytes()] if ahead > 0x8000 else []
            if self.gap_reported:
                return []
            self.gap_reported = True
            return self._acknowledge(now)
        self.gap_reported = False
        self.block += 1
        self.in_window += 1
        self.received += payload
        self.tries = max(self.tries, 1)
        self.deadline = now + self.retry_s
        if len(payload) < self.block_size:
            self.is_done = True
        if self.is_done or self.every_block or self.in_window >= self.window_size:
            return self._acknowledge(now)
        return []

    def _acknowledge(self, now: float) -> list[bytes]:
        self.in_window = 0
        self.deadline = now + self.retry_s
        return [Ack(self.block & 0xFFFF).to_bytes()]

    def handle_timer(self, now: float) -> list[bytes]:
        self.tries -= 1
        self.deadline = now + self.retry_s
        if self.tries <= 0:
            self.has_failed = True
            return []
        self.gap_reported = False
        return self._acknowledge(now) if self.is_started and not self.is_done else []


Fate = Callable[[], tuple[float, ...]]
"""Delays at which a datagram arrives: none is loss, two are duplication."""


class Network:
    """A transfer and a client that talk until both are at rest."""

    def __init__(
        self, transfer: ReadTransfer, client: ModelClient, to_client: Fate, to_server: Fate
    ) -> None:
        self.transfer = transfer
        self.client = client
        self.now = 0.0
        self.sent = 0
        self._fates = {True: to_client, False: to_server}
        self._order = count()
        self._queue: list[tuple[float, int, bool, bytes]] = []

    def run(self, deadline: float = 600.0) -> None:
        """Run until nothing is left to happen."""
        while self.now < deadline:
            datagrams = self.transfer.datagrams_to_send()
            self.sent += len(datagrams)
            self._send(datagrams, is_for_client=True)
            moments = self._moments()
            if not moments:
                break
            self.now = max(self.now, min(moments))
            self._advance()
        assert self.transfer.outcome is not None, "the transfer has no end"

    def _moments(self) -> list[float]:
        timer = self.transfer.timer()
        moments = [] if timer is None else [timer]
        if not (self.client.is_done or self.client.has_failed):
            moments.append(self.client.deadline)
        return moments + [entry[0] for entry in self._queue[:1]]

    def _advance(self) -> None:
        timer = self.transfer.timer()
        if self._queue and self._queue[0][0] <= self.now:
            _, _, is_for_client, datagram = heapq.heappop(self._queue)
            if not is_for_client:
                self.transfer.receive(datagram, self.now)
            elif not self.client.has_failed:
                self._send(self.client.receive(datagram, self.now), is_for_client=False)
        elif timer is not None and timer <= self.now:
            self.transfer.handle_timer(self.now)
        else:
            self._send(self.client.handle_timer(self.now), is_for_client=False)

    def _send(self, datagrams: list[bytes], *, is_for_client: bool) -> None:
        for datagram in datagrams:
            for delay in self._fates[is_for_client]():
                entry = (self.now + delay, next(self._order), is_for_client, datagram)
                heapq.heappush(self._queue, entry)


def run(transfer: ReadTransfer, client: ModelClient, to_client: Fate, to_server: Fate) -> int:
    """Let both talk until both are at rest; returns the number of datagrams the server sent."""
    network = Network(transfer, client, to_client, to_server)
    network.run()
    if transfer.outcome is TransferOutcome.COMPLETE:
        assert client.is_done or transfer.ended == transfer.last_progress
    return network.sent
