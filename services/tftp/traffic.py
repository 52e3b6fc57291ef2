"""Carries the datagrams of all transfers, over a few sockets.

What is decided is in `transfer`; here are only datagrams, times and bytes.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from bootyard.model.errors import TFTPErrorCode
from bootyard.model.events import TransferOutcome
from bootyard.runtime.log import get_logger
from services.tftp.batches import peer_of
from services.tftp.content import ContentStore
from services.tftp.lane import Lane
from services.tftp.lanes import Lanes
from services.tftp.order import Order
from services.tftp.outbox import Outbox
from services.tftp.packed import PacketCache
from services.tftp.packet import Opcode, error
from services.tftp.run import Run
from services.tftp.source import read_blocks
from services.tftp.turns import Turns
from services.tftp.wheel import Wheel

log = get_logger(__name__)

TICK_SECONDS = 0.005
ROOM_SECONDS = 0.001

_ERROR = bytes((0, Opcode.ERROR))


class Traffic:
    """The lanes, the transfers on them, and their timers."""

    def __init__(
        self,
        contents: ContentStore,
        packets: PacketCache,
        ended: Callable[[Run], None],
        fault: Callable[[], None],
    ) -> None:
        self.lanes = Lanes()
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._fault = fault
        self._runs = 0
        self._outbox = Outbox(packets, self._wait_for_room)
        self.turns = Turns(contents, self._outbox, self._look_closely, self._end_changed)
        self._wheel: Wheel[Run] = Wheel(TICK_SECONDS, monotonic())
        self._ticking: asyncio.TimerHandle | None = None

    def add(self, order: Order, avoided: Lane | None) -> Run:
        """Begin a transfer; raises OSError when there is no socket for it."""
        subject = order.subject
        lane, is_new = self.lanes.choose(subject.server_address, order.interface_index, avoided)
        if is_new and lane.is_batched:
            self.turns.listen(lane)
        run = Run(order, lane, monotonic())
        lane.runs[run.key] = run
        self._runs += 1
        if self._ticking is None:
            self._ticking = self._loop.call_later(TICK_SECONDS, self._tick)
        return run

    def step(self, run: Run, advance: Callable[..., object], *arguments: object) -> None:
        """Advance a transfer, by its last argument the time, and send what comes of it."""
        self._advance(run, monotonic(), advance, *arguments)
        self._outbox.flush(run.lane)

    def close_idle(self) -> None:
        """Give back the ports that nobody uses."""
        for lane in self.lanes.take_idle(monotonic()):
            self._close(lane)

    def close(self) -> None:
        """Give all ports back."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        for lane in self.lanes.all():
            self._close(lane)

    def _look_closely(
        self, lane: Lane, run: Run | None, key: int, datagram: bytes, now: float
    ) -> None:
        if run is not None:
            self._advance(run, now, run.transfer.receive, datagram)
        elif datagram[:2] != _ERROR and lane.may_answer_stranger(key, now):
            # RFC 1350 §4: another TID gets an ERROR, no transfer is disturbed.
            answer = error(TFTPErrorCode.UNKNOWN_TRANSFER_ID, "unknown transfer id")
            lane.send(answer, peer_of(key))

    def _end_changed(self, now: float) -> None:
        for lane in self.lanes.all():
            for run in list(lane.runs.values()):
                if run.packable is not None and run.packable.has_changed:
                    self._advance(run, now, run.transfer.source_changed)

    def _advance(
        self, run: Run, now: float, advance: Callable[..., object], *arguments: object
    ) -> None:
        """Let something happen to a transfer; what is to be sent of it waits for a flush."""
        transfer = run.transfer
        if transfer.outcome is not None:
            return
        run.sync()
        try:
            advance(*arguments, now)
            self._post(run, now)
        except OSError as failure:
            # The disk, not the network: what sockets say is dealt with where it is said.
            log.warning("file not readable", path=run.order.subject.path, error=str(failure))
            transfer.abort(TransferOutcome.ERROR, "the file cannot be read", now)
        except Exception:
            # A fault of ours costs this transfer, not the others.
            log.exception("transfer failed", path=run.order.subject.path)
            self._fault()
            transfer.abort(TransferOutcome.ERROR, "internal error", now)
        farewell = transfer.take_farewell()
        if farewell is not None:
            run.lane.send(farewell, run.peer)
        if transfer.outcome is not None:
            self._end(run, now)
            return
        run.settle()
        due = transfer.timer()
        if due is not None and due < run.armed - TICK_SECONDS:
            # A timer stays where it is when it moves on, with every ACK: it comes up early then.
            run.armed = due
            self._wheel.add(run, due)

    def _post(self, run: Run, now: float) -> None:
        transfer = run.transfer
        due = transfer.take_due()
        if due is None:
            return
        first, count = due
        if first == 0:
            run.lane.send(transfer.option_ack(), run.peer)
        elif run.packable is not None:
            if not self._outbox.post(run, first, count):
                transfer.source_changed(now)
        else:
            source = run.order.source
            datagrams = read_blocks(source, first, count, run.order.terms.block_size)
            if datagrams is None:
                transfer.source_changed(now)
            for datagram in datagrams or ():
                run.lane.send(datagram, run.peer)

    def _end(self, run: Run, now: float) -> None:
        self._outbox.hold(run)
        self._runs -= 1
        run.lane.forget(run, now)
        run.order.source.close()
        self._ended(run)

    def _tick(self) -> None:
        now = monotonic()
        for run in self._wheel.turn(now):
            if run.armed <= now:
                run.armed = float("inf")
                self._advance(run, now, run.transfer.handle_timer)
                self._outbox.flush(run.lane)
        self._ticking = (
            self._loop.call_later(TICK_SECONDS, self._tick) if self._runs or self._wheel else None
        )

    def _wait_for_room(self, lane: Lane) -> None:
        """Take no more ACKs while their answers cannot be sent."""
        if lane.is_batched:
            self.turns.ignore(lane)
            self._loop.add_writer(lane.descriptor, self._resume, lane)
        else:
            self._loop.call_later(ROOM_SECONDS, self._resume, lane)

    def _resume(self, lane: Lane) -> None:
        if lane.is_batched:
            self._loop.remove_writer(lane.descriptor)
        self._outbox.resume(lane)
        if lane.is_batched and not lane.backlog:
            self.turns.listen(lane)

    def _close(self, lane: Lane) -> None:
        if lane.is_batched:
            self.turns.ignore(lane)
            self._loop.remove_writer(lane.descriptor)
            lane.close()
