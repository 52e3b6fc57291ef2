"""Sends packets from where they lie prebuilt, many with one call.

Memory is handed to the kernel by address: what an address points into is held until it was sent.
"""

import errno
import os
import socket
from collections.abc import Callable
from typing import NamedTuple

from bootyard.runtime.log import get_logger
from services.tftp import mmsg
from services.tftp.batches import HEADER_WORDS, WORD, Batch, Outbound
from services.tftp.lane import MESSAGES, Lane
from services.tftp.packed import HEADER, MOST_BYTES, MOST_SEGMENTS, Chunk, PacketCache
from services.tftp.run import Run

log = get_logger(__name__)

PIECES = 8
HEADER_BYTES = HEADER_WORDS * WORD

NOT_SEGMENTED = {errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT}
"""What is said where the way out cannot cut messages up."""


class Message(NamedTuple):
    """Blocks of a transfer that are sent with one message."""

    run: Run
    first: int
    blocks: int
    pieces: list[tuple[int, int]]
    """Where they are, as (address, bytes)."""
    chunks: list[Chunk]
    """Hold what is there."""


class Outbox:
    """What is to be sent on one lane, until `flush`; `blocked` is told of lanes without room."""

    def __init__(self, cache: PacketCache, blocked: Callable[[Lane], None]) -> None:
        self._cache = cache
        self._blocked = blocked
        self._messages = Outbound(MESSAGES, PIECES)
        self._pending: list[Message] = []
        self._held: list[object] = []

    def hold(self, owner: object) -> None:
        """Keep an owner of memory that may be about to be sent."""
        self._held.append(owner)

    def post(self, run: Run, first: int, count: int) -> bool:
        """Add blocks of a packable source; False: its file has changed. Raises OSError."""
        lane, block_size = run.lane, run.order.terms.block_size
        if run.is_waiting:
            return True  # for room: these, or those that they repeat
        self._held.append(run.chunk)
        batch = lane.batch(0) if run.window == 1 and lane.is_batched and not lane.backlog else None
        if batch is not None:
            chunk = run.chunk_of(first, self._cache)
            if chunk is None:
                return False
            batch.names.append(run.name_address)
            batch.vectors.append(chunk.vectors[first - chunk.first])
            return True
        most = 1
        if lane.can_segment:
            most = max(1, min(MOST_SEGMENTS, MOST_BYTES // (HEADER + block_size)))
        for block in range(first, first + count, most):
            message = self._gather(run, block, min(most, first + count - block))
            if message is None:
                return False
            self._pending.append(message)
        return True

    def go_on(self, run: Run) -> bool:
        """Go on to a run's next chunk; False: it is to be looked at closely."""
        before = run.chunk
        try:
            is_there = run.go_on(self._cache)
        except OSError:
            return False
        self._held.append(before)
        return is_there

    def flush(self, lane: Lane) -> None:
        """Send everything; what the socket has no room for waits for it."""
        for batch in lane.batches.values():
            if batch.names:
                self._flush_batch(lane, batch)
        if self._pending:
            pending, self._pending = self._pending, []
            self._send(lane, pending)
        self._held.clear()

    def resume(self, lane: Lane) -> None:
        """Send what waited for room, as far as there is some."""
        waited = list(lane.backlog)
        lane.backlog.clear()
        for message in waited:
            message.run.is_waiting = False
        self._send(lane, [m for m in waited if m.run.transfer.outcome is None])

    def _gather(self, run: Run, first: int, count: int) -> Message | None:
        message = Message(run, first, count, [], [])
        block, end = first, first + count
        while block < end:
            chunk = run.chunk_of(block, self._cache)
            if chunk is None:
                return None
            message.chunks.append(chunk)
            message.pieces.append(chunk.piece(block, end - block))
            block = chunk.first + len(chunk.vectors)
        return message

    def _flush_batch(self, lane: Lane, batch: Batch) -> None:
        names, vectors = batch.take()
        for start in range(0, len(names), MESSAGES):
            some = names[start : start + MESSAGES]
            batch.headers.put(some, vectors[start : start + MESSAGES])
            done = 0
            while done < len(some):
                sent = _call(lane, batch.headers, done, len(some))
                if sent > 0:
                    done += sent
                    continue
                runs = {run.name_address: run for run in lane.runs.values()}
                run = runs.get(some[done])
                if run is not None:
                    self.unsent(lane, run, -sent)
                done += 1

    def unsent(self, lane: Lane, run: Run, failure: int) -> None:
        """Keep the newest window of a transfer for when there is room; or it is lost."""
        run.sync()
        message = self._gather(run, run.transfer.newest_block + 1 - run.window, run.window)
        if message is None:
            _tell_unsent(run, failure)
        elif failure == errno.EAGAIN:
            self._wait(lane, [message])
        else:
            self._failed(lane, message, failure)

    def _send(self, lane: Lane, messages: list[Message]) -> None:
        for start in range(0, len(messages), MESSAGES):
            some = messages[start : start + MESSAGES]
            for index, message in enumerate(some):
                run = message.run
                segment = HEADER + run.order.terms.block_size if message.blocks > 1 else 0
                control = lane.control(segment)
                self._messages.put_pieces(index, run.name_address, message.pieces, control)
            done = 0
            while done < len(some) and not lane.backlog:
                sent = _call(lane, self._messages, done, len(some))
                if sent > 0:
                    done += sent
                elif -sent == errno.EAGAIN:
                    break
                else:
                    self._failed(lane, some[done], -sent)
                    done += 1
            self._wait(lane, some[done:])

    def _failed(self, lane: Lane, message: Message, failure: int) -> None:
        if message.blocks == 1 or failure not in NOT_SEGMENTED:
            _tell_unsent(message.run, failure)
            return
        log.info("packets are sent one by one", error=os.strerror(failure))
        lane.can_segment = False
        self._wait(lane, self._cut(message))

    def _cut(self, message: Message) -> list[Message]:
        singles = []
        for block in range(message.first, message.first + message.blocks):
            chunk = next(c for c in message.chunks if block < c.first + len(c.vectors))
            singles.append(Message(message.run, block, 1, [chunk.piece(block, 1)], [chunk]))
        return singles

    def _wait(self, lane: Lane, messages: list[Message]) -> None:
        if not messages:
            return
        for message in messages:
            message.run.is_waiting = True
        if not lane.backlog:
            self._blocked(lane)
        lane.backlog.extend(messages)


def _call(lane: Lane, batch: Outbound, start: int, end: int) -> int:
    address = batch.address + start * HEADER_BYTES
    return mmsg.send_many(lane.descriptor, address, end - start, socket.MSG_DONTWAIT)


def _tell_unsent(run: Run, failure: int) -> None:
    log.debug("datagram not sent", client=run.peer[0], error=os.strerror(failure))
