"""Takes the datagrams of transfers off their sockets, in turns of the event loop.

A turn belongs to the transfers as long as they have something to say, up to TURN_SECONDS: the event
loop costs more than a packet does, so a turn also waits for the next ACK by itself.
"""

import asyncio
import select
import socket
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
                taken = self._receive(lane)
            if not taken:
                taken = self._receive_from_all(WAIT_MS)
            if not taken or monotonic() >= turn_ends:
                return
        self._receive_from_all(0)

    def _talk_to_one(self, lane: Lane, run: Run, turn_ends: float) -> bool:
        """Talk to a lane's only client, until it says something unusual; False: it is silent.

        A batch of one costs more than its packet: this is `_take` without batches, and little else
        is left of it than system calls. A turn is short: no ACK in it is too slow to be usual.
        """
        inbound, headers = self._inbound, run.batch.headers
        descriptor, received, sent = lane.descriptor, inbound.address, headers.address
        if mmsg.receive_many(descriptor, received, 1, socket.MSG_DONTWAIT) != 1:
            return False
        headers.put([run.name_address], [0])
        keys, heads, to_send = inbound.key_words, inbound.head_words, headers.vectors
        key, acks, vectors = run.key, run.acks, run.vectors
        index, expected, moment = run.index, run.expected, run.moment
        exchange, length, now = mmsg.exchange, inbound.length(0), monotonic()
        ends = min(turn_ends, self._contents.next_look, moment + run.patience)
        while length == 4 and heads[0] == expected and keys[0] == key and now < ends:
            moment = now
            index += 1
            expected = acks[index]
            to_send[0] = vectors[index]
            length = exchange(descriptor, sent, received)
            now = monotonic()
        run.moment, run.index, run.expected = moment, index, expected
        if length <= -mmsg.NOT_SENT:
            self._outbox.unsent(lane, run, -mmsg.NOT_SENT - length)
        elif length >= 0:
            inbound.received_one(length)
            self._take(lane, 1, now)
            return now < turn_ends
        return False

    def _receive_from_all(self, wait_ms: int) -> int:
        """Take a batch of each lane; 0 when there was none, or a request arrived."""
        taken = 0
        is_asked = False
        for descriptor, _ in self._poll.poll(wait_ms):
            lane = self._lanes.get(descriptor)
            if lane is None:
                is_asked = True
            else:
                taken += self._receive(lane)
        return 0 if is_asked else taken

    def _receive(self, lane: Lane) -> int:
        arrived = self._inbound.address
        taken = mmsg.receive_many(lane.descriptor, arrived, BATCH, socket.MSG_DONTWAIT)
        return self._take(lane, taken, monotonic())

    def _take(self, lane: Lane, count: int, now: float) -> int:
        """Answer the usual ACKs of a batch with the packets behind them; look at others closely."""
        if count <= 0:
            return 0
        if now >= self._contents.next_look and self._contents.look():
            self._changed(now)
        inbound, get = self._inbound, lane.runs.get
        others: list[tuple[Run | None, int, int]] = []
        for key, head, number in zip(inbound.keys(count), inbound.heads(count), NUMBERS):  # noqa: B905
            run = get(key)
            if run is None or run.expected != head or now - run.moment > run.patience:
                others.append((run, key, number))
                continue
            run.moment = now
            run.index = index = run.index + 1
            run.expected = run.acks[index]
            batch = run.batch
            batch.names.append(run.name_address)
            batch.vectors.append(run.vectors[index])
        for run, key, number in others:
            self._look_closely(lane, run, key, inbound.datagram(number), now)
        self._outbox.flush(lane)
        return count
