"""Takes the datagrams of transfers off their sockets, in turns of the event loop.

A turn belongs to the transfers as long as they have something to say, up to TURN_SECONDS: the event
loop costs more than a packet does, so a turn also waits for the next ACK by itself.
"""

import asyncio
import select
from collections.abc import Callable
from time import monotonic

from services.tftp import mmsg
from services.tftp.batches import Inbound
from services.tftp.content import ContentStore
from services.tftp.lane import Lane
from services.tftp.outbox import Outbox
from services.tftp.run import Run

BATCH = 128
NUMBERS = range(BATCH)
TURN_SECONDS = 0.002
WAIT_MS = 1

LOOKS = 100
"""At a lane that is silent, before a wait: its next ACKs are a few microseconds away, and being
woken up takes longer than that."""

EXCHANGES = 8
"""With one client, between two looks at the clock: each waits for a millisecond at most."""

Closely = Callable[[Lane, Run | None, int, bytes, float], None]


class Turns:
    """The lanes that are listened to.

    `look_closely` is told of every datagram that is no usual ACK: its lane, its transfer or None,
    the number of its sender, what it says, and the time. `changed` is told that a file has.
    """

    def __init__(
        self,
        contents: ContentStore,
        outbox: Outbox,
        look_closely: Closely,
        changed: Callable[[float], None],
    ) -> None:
        self.requests_wait = False
        """A turn does not wait for anything while requests do."""
        self._loop = asyncio.get_running_loop()
        self._contents = contents
        self._outbox = outbox
        self._look_closely = look_closely
        self._changed = changed
        self._lanes: dict[int, Lane] = {}
        self._poll = select.poll()
        self._inbound = Inbound(BATCH)

    def yield_to(self, descriptor: int) -> None:
        """End a turn when something arrives there."""
        self._poll.register(descriptor, select.POLLIN)

    def listen(self, lane: Lane) -> None:
        """Take what arrives on a lane from now on."""
        if lane.descriptor not in self._lanes:
            self._lanes[lane.descriptor] = lane
            self._poll.register(lane.descriptor, select.POLLIN)
            self._loop.add_reader(lane.descriptor, self._turn)

    def ignore(self, lane: Lane) -> None:
        """Leave what arrives on a lane where it is."""
        if self._lanes.pop(lane.descriptor, None) is not None:
            self._poll.unregister(lane.descriptor)
            self._loop.remove_reader(lane.descriptor)

    def _turn(self) -> None:
        """Let transfers talk until they are silent, or others have waited long enough."""
        turn_ends = monotonic() + TURN_SECONDS
        while not self.requests_wait:
            taken = 0
            if len(self._lanes) == 1:
                [lane] = self._lanes.values()
                run = next(iter(lane.runs.values())) if len(lane.runs) == 1 else None
                if run is not None and run.is_ahead:
                    if not self._talk_to_one(lane, run, turn_ends):
                        return
                    continue
                taken = self._receive(lane, LOOKS)
            if not taken:
                taken = self._receive_from_all(WAIT_MS)
            if not taken or monotonic() >= turn_ends:
                return
        self._receive_from_all(0)

    def _talk_to_one(self, lane: Lane, run: Run, turn_ends: float) -> bool:
        """Talk to a lane's only client, until it says something unusual; False: it is silent.

        A batch of one costs more than its packet: this is `_take` without batches, and little else
        is left of it than system calls.
        """
        inbound, headers, exchange = self._inbound, run.batch.headers, mmsg.exchange
        descriptor, received, sent = lane.descriptor, inbound.address, headers.address
        if mmsg.receive_many(descriptor, received, 1, 1) != 1:
            return False
        now = monotonic()
        self._look_at_files(now)
        [key], [answer] = inbound.keys(1), inbound.heads(1)
        if key == run.key and run.is_ahead:
            headers.put([run.name_address], [0])
            to_send, vectors, acks, index = headers.vectors, run.vectors, run.acks, run.index
            while answer == acks[index] and now < turn_ends:
                if not vectors[index + 1]:
                    if not self._outbox.go_on(run):
                        break
                    vectors, acks, index = run.vectors, run.acks, run.index
                end = min(index + 1 + EXCHANGES, len(acks))
                for index in range(index + 1, end):  # noqa: B020 - from where it is
                    to_send[0] = vectors[index]
                    answer = exchange(descriptor, sent, received)
                    if answer != acks[index]:
                        break
                run.index, run.expected = index, acks[index]
                run.moment = now = monotonic()
            if answer < 0:
                if answer <= -mmsg.NOT_SENT:
                    self._outbox.unsent(lane, run, -mmsg.NOT_SENT - answer)
                return False
        self._take(lane, 1, now)
        return now < turn_ends

    def _receive_from_all(self, wait_ms: int) -> int:
        """Take a batch of each lane; 0 when there was none, or a request arrived."""
        taken = 0
        is_asked = False
        for descriptor, _ in self._poll.poll(wait_ms):
            lane = self._lanes.get(descriptor)
            if lane is None:
                is_asked = True
            else:
                taken += self._receive(lane, 1)
        return 0 if is_asked else taken

    def _receive(self, lane: Lane, looks: int) -> int:
        """Take a batch that comes within so many looks; 0: none does."""
        taken = mmsg.receive_many(lane.descriptor, self._inbound.address, BATCH, looks)
        if taken <= 0:
            return 0
        now = monotonic()
        self._look_at_files(now)
        self._take(lane, taken, now)
        return taken

    def _look_at_files(self, now: float) -> None:
        if now >= self._contents.next_look and self._contents.look():
            self._changed(now)

    def _take(self, lane: Lane, count: int, now: float) -> None:
        """Answer the usual ACKs of a batch with the packets behind them; look at others closely."""
        inbound, get = self._inbound, lane.runs.get
        others: list[tuple[Run | None, int, int]] = []
        for key, head, number in zip(inbound.keys(count), inbound.heads(count), NUMBERS):  # noqa: B905
            run = get(key)
            if run is None or run.expected != head:
                others.append((run, key, number))
                continue
            index = run.index + 1
            vector = run.vectors[index]
            if not vector:
                if not self._outbox.go_on(run):
                    others.append((run, key, number))
                    continue
                index, vector = 0, run.vectors[0]
            run.index = index
            run.expected = run.acks[index]
            run.moment = now
            batch = run.batch
            batch.names.append(run.name_address)
            batch.vectors.append(vector)
        for run, key, number in others:
            self._look_closely(lane, run, key, inbound.datagram(number), now)
        self._outbox.flush(lane)
