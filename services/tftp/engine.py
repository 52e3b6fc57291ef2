"""The running transfers, one per client address and port: what the server knows of an engine."""

import asyncio
import socket
from collections.abc import Callable
from time import monotonic

from bootyard.model.events import TransferOutcome
from services.tftp.content import ContentStore
from services.tftp.digest import TransferDigest, TransferSubject
from services.tftp.lane import Lane
from services.tftp.order import Order, Peer
from services.tftp.packed import PacketCache
from services.tftp.run import Run
from services.tftp.traffic import Traffic

STALLED_SECONDS = 3.0
"""At a stop, a client that was silent for this long is not waited for."""

DRAIN_STEP = 0.05


class Engine:
    """Runs transfers; `traffic` carries their datagrams."""

    def __init__(
        self,
        contents: ContentStore,
        packets: PacketCache,
        finished: Callable[[TransferDigest], None],
        progressed: Callable[[TransferSubject, int, int], None],
        fault: Callable[[], None],
    ) -> None:
        self._finished = finished
        self._progressed = progressed
        self._traffic = Traffic(contents, packets, self._ended, fault)
        self._runs: dict[Peer, Run] = {}
        self._unproven: dict[Run, None] = {}
        self._superseded: tuple[Peer, Lane] | None = None

    def use_one_port(self, listener: socket.socket) -> None:
        """Send everything from port 69, for clients behind NAT; it hands over what it hears."""
        self._traffic.lanes.listener = listener

    def yield_to(self, listener: socket.socket) -> None:
        """Let a request that arrives there interrupt."""
        self._traffic.turns.yield_to(listener.fileno())

    def hurry(self, *, requests_wait: bool) -> None:
        """Take short turns while requests wait."""
        self._traffic.turns.requests_wait = requests_wait

    def start(self, order: Order) -> None:
        """Begin a transfer; raises OSError when there is no socket for it."""
        peer, superseded = order.peer, self._superseded
        avoided = superseded[1] if superseded is not None and superseded[0] == peer else None
        run = self._traffic.add(order, avoided)
        self._runs[peer] = run
        self._unproven[run] = None
        self._traffic.step(run, _begin)

    def receive(self, peer: Peer, datagram: bytes) -> bool:
        """Take what the listener heard in single-port mode; False: it is of no transfer."""
        run = self._runs.get(peer)
        if run is None or self._traffic.lanes.listener is None:
            return False
        self._traffic.step(run, run.transfer.receive, datagram)
        return True

    def repeat_request(self, peer: Peer) -> bool:
        """Give a running transfer its RRQ again; False when the client has begun anew."""
        run = self._runs[peer]
        answers: list[bool] = []
        repeat = run.transfer.repeat_request
        self._traffic.step(run, lambda now: answers.append(repeat(now)))
        return answers == [True]

    def supersede(self, peer: Peer) -> None:
        """End a transfer whose client has begun anew, without a word to it."""
        run = self._runs[peer]
        self._superseded = (peer, run.lane)
        self._traffic.step(run, run.transfer.supersede)

    def stop(self, peer: Peer, outcome: TransferOutcome, message: str) -> None:
        """End a transfer with an ERROR."""
        run = self._runs[peer]
        self._traffic.step(run, run.transfer.abort, outcome, message)

    def evict_unproven(self) -> bool:
        """End the oldest transfer whose client acknowledged nothing: it may not exist."""
        while self._unproven:
            run = next(iter(self._unproven))
            del self._unproven[run]
            if not run.transfer.peer_proven:
                self.stop(run.peer, TransferOutcome.REJECTED, "busy, try again")
                return True
        return False

    def fold(self) -> None:
        """Report what running transfers did since the last time, and give unused ports back."""
        for run in self._runs.values():
            self._fold(run)
        self._traffic.close_idle()

    async def drain(self, seconds: float) -> None:
        """Let running transfers finish for a while, then end what is left."""
        for _ in range(round(seconds / DRAIN_STEP)):
            if not any(self._is_moving(run) for run in self._runs.values()):
                break
            await asyncio.sleep(DRAIN_STEP)
        self.close()

    def close(self) -> None:
        """End all transfers at once, and give the ports back."""
        for peer in list(self._runs):
            self.stop(peer, TransferOutcome.ERROR, "the server is stopping, try again")
        self._traffic.close()

    def _is_moving(self, run: Run) -> bool:
        return monotonic() - run.last_progress < STALLED_SECONDS

    def _ended(self, run: Run) -> None:
        """Report a transfer that is over."""
        peer = run.peer
        if self._runs.get(peer) is run:
            del self._runs[peer]
        self._unproven.pop(run, None)
        self._fold(run)
        self._finished(run.digest())

    def _fold(self, run: Run) -> None:
        sent, retransmits = run.take_progress()
        if sent or retransmits:
            self._progressed(run.order.subject, sent, retransmits)


def _begin(now: float) -> None:
    """Nothing more: a transfer is made with its first datagram due."""
    del now
