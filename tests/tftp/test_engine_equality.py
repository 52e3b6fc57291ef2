"""The engine sends what the state machine alone would, under any schedule.

Each client has two servers: the engine, whose datagrams it receives, and a ReadTransfer that is fed
the same ones, one by one. Both must want to send the same, byte by byte, at every moment.
"""

import os
import random
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.tftp.options import Limits, Negotiated, negotiate
from services.tftp.packet import Error
from services.tftp.run import Run
from services.tftp.traffic import TICK_SECONDS
from services.tftp.transfer import ReadTransfer
from tests.tftp.clients import MemorySource, ModelClient
from tests.tftp.memory_wire import MemoryEngine, memory_engine

CONTENT = random.Random(7).randbytes(20_000)


class Plan(NamedTuple):
    """A client, and what happens to its datagrams."""

    size: int
    block_size: int
    window_size: int
    loss: float
    duplication: float
    jitter: float
    stops_after: int
    """Datagrams, after which it sends an ERROR."""


plans = st.builds(
    Plan,
    size=st.integers(0, 9000),
    block_size=st.sampled_from([8, 32, 100, 512]),
    window_size=st.sampled_from([1, 1, 2, 4, 5, 16]),
    loss=st.sampled_from([0.0, 0.0, 0.02, 0.2]),
    duplication=st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    jitter=st.sampled_from([0.0, 0.0005, 0.01, 0.3]),
    stops_after=st.sampled_from([10_000, 10_000, 10_000, 30]),
)


class Side:
    """One client and its two servers."""

    def __init__(self, engine: MemoryEngine, plan: Plan, number: int, rng: random.Random) -> None:
        self.plan, self.rng = plan, rng
        self.client = ModelClient(retry_s=1.0, tries=8)
        self.received = 0
        self.timers: list[float] = []
        self.to_server: list[tuple[float, int, bytes]] = []
        self.to_client: list[tuple[float, int, bytes]] = []
        self._sent = 0
        options = (("blksize", str(plan.block_size)), ("windowsize", str(plan.window_size)))
        terms: Negotiated = negotiate(options, Limits(), plan.size)
        self.reference = ReadTransfer(
            MemorySource(CONTENT[number : number + plan.size]), terms, engine.wire.now
        )
        self.run: Run = engine.load((number, plan.size), 2000 + number, terms)
        self._watch_timer()

    def _watch_timer(self) -> None:
        fire = self.run.transfer.handle_timer

        def handle_timer(now: float) -> None:
            self.timers.append(now)
            fire(now)

        self.run.transfer.handle_timer = handle_timer  # type: ignore[method-assign]

    def compare(self, engine: MemoryEngine) -> None:
        """Both servers want to send the same; the client's network takes it."""
        sent = engine.wire.sent.pop(self.run.peer, [])
        assert sent == self.reference.datagrams_to_send()
        assert self.run.transfer.outcome == self.reference.outcome
        if self.rng.random() < 0.1:
            self.run.take_progress()  # makes the transfer come up with its client
            assert self.run.transfer.timer() == self.reference.timer()
        for datagram in sent:
            self._travel(self.to_client, datagram, engine.wire.now)

    def fire(self, now: float) -> None:
        while self.timers:
            self.timers.pop()
            self.reference.handle_timer(now)

    def answer(self, datagrams: list[bytes], now: float) -> None:
        for datagram in datagrams:
            self._travel(self.to_server, datagram, now)

    def _travel(self, road: list[tuple[float, int, bytes]], datagram: bytes, now: float) -> None:
        if self.rng.random() < self.plan.loss:
            return
        for _ in range(2 if self.rng.random() < self.plan.duplication else 1):
            self._sent += 1
            delay = 0.0005 + self.rng.random() * self.plan.jitter
            road.append((now + delay, self._sent, datagram))
        road.sort()

    def client_hears(self, now: float) -> None:
        while self.to_client and self.to_client[0][0] <= now:
            _, _, datagram = self.to_client.pop(0)
            self.received += 1
            if self.received == self.plan.stops_after:
                self.client.has_failed = True
                self.answer([Error(0, "stop").to_bytes()], now)
            elif not self.client.has_failed:
                self.answer(self.client.receive(datagram, now), now)
        if not (self.client.is_done or self.client.has_failed) and now >= self.client.deadline:
            self.answer(self.client.handle_timer(now), now)

    def moments(self) -> list[float]:
        found = [road[0][0] for road in (self.to_client, self.to_server) if road]
        if not (self.client.is_done or self.client.has_failed):
            found.append(self.client.deadline)
        return found


class Simulation:
    """An engine, and some clients that talk until their transfers are over."""

    def __init__(self, engine: MemoryEngine, chosen: list[Plan], rng: random.Random) -> None:
        self.engine, self.rng = engine, rng
        self.sides = [Side(engine, plan, number, rng) for number, plan in enumerate(chosen)]
        for side in self.sides:
            side.client.deadline += engine.wire.now
            side.compare(engine)
        self.next_tick = engine.wire.now + TICK_SECONDS

    def run(self) -> None:
        wire = self.engine.wire
        while any(side.reference.outcome is None for side in self.sides):
            moments = [moment for side in self.sides for moment in side.moments()]
            wire.now = max(wire.now, min((*moments, self.next_tick)))
            for side in self.sides:
                side.client_hears(wire.now)
            if not self._receive() and wire.now >= self.next_tick:
                self._tick()
            for side in self.sides:
                side.compare(self.engine)

    def _receive(self) -> bool:
        """Let one batch arrive, of at most one datagram from each client."""
        now = self.engine.wire.now
        due = [side for side in self.sides if side.to_server and side.to_server[0][0] <= now]
        arrived = [
            (side, side.to_server.pop(0)[2]) for side in due[: self.rng.randint(1, len(due) or 1)]
        ]
        if arrived:
            self.engine.receive(*((side.run, datagram) for side, datagram in arrived))
        for side, datagram in arrived:
            side.reference.receive(datagram, now)
        return bool(arrived)

    def _tick(self) -> None:
        self.engine.tick()
        self.next_tick += TICK_SECONDS
        if not any(side.to_client or side.to_server for side in self.sides):
            # Silence: nothing happens before the next timer.
            dues = [due for side in self.sides if (due := side.reference.timer()) is not None]
            dues += [moment for side in self.sides for moment in side.moments()]
            self.next_tick = max(self.next_tick, min(dues, default=0.0))
        for side in self.sides:
            side.fire(self.engine.wire.now)

    def check(self) -> None:
        assert self.engine.faults == 0
        assert len(self.engine.ended) == len(self.sides)
        for number, side in enumerate(self.sides):
            mine, plain = side.run.transfer, side.reference
            assert mine.retransmits == plain.retransmits
            assert mine.bytes_delivered == plain.bytes_delivered
            assert (mine.started, mine.ended) == (plain.started, plain.ended)
            assert mine._clock.interval == plain._clock.interval
            if side.client.is_done:
                assert bytes(side.client.received) == CONTENT[number : number + side.plan.size]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("equality")
    (folder / "content").write_bytes(CONTENT)
    os.utime(folder / "content", (1, 1))  # at rest: its packets are kept
    return folder


def compare_both(folder: Path, chosen: list[Plan], seed: int) -> None:
    with memory_engine(folder) as engine:
        simulation = Simulation(engine, chosen, random.Random(seed))
        simulation.run()
        simulation.check()


SCHEDULE = {
    "chosen": st.lists(plans, min_size=1, max_size=5),
    "seed": st.integers(0, 2**32),
}
HEALTH = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)


@settings(max_examples=150, deadline=None, suppress_health_check=HEALTH)
@given(**SCHEDULE)
def test_the_engine_sends_what_the_transfer_would(
    folder: Path, chosen: list[Plan], seed: int
) -> None:
    compare_both(folder, chosen, seed)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=10_000, deadline=None, suppress_health_check=HEALTH)
@given(**SCHEDULE)
def test_the_engine_sends_what_the_transfer_would_in_ten_thousand_schedules(
    folder: Path, chosen: list[Plan], seed: int
) -> None:
    compare_both(folder, chosen, seed)
