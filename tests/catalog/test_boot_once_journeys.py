"""Boot-once through the HTTP application and a real database, in any order of what can happen.

A machine is switched on (heard of in time, late, or never: Redis is away), asks for its script and
its kernel, again and again or only half; the operator arms and disarms; the clock goes on; the
catalog is restarted, or dies after any of the database's transactions and finds what was on disk.
"""

import asyncio
import shutil
import socket
import struct
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from bootyard.model.architecture import Firmware
from bootyard.model.events import BootEvent, OfferStage, Step
from bootyard.model.mac import MACAddress
from services.catalog.boots.belonging import SAME_BOOT_SECONDS
from tests.catalog.http_catalog import NUC, NUC_IP, PI_IP, running_catalog, write_image
from tests.catalog.images import Clock

T = TypeVar("T")

ARMED = "echo Bootyard: boot-once"
STRANGER_IP = "127.0.0.9"
BRIDGE_IP, BRIDGE = "127.0.0.7", MACAddress("52:54:00:00:00:07")
"""A Wi-Fi bridge, which answers ARP for the machine behind it."""
NOW = 1_800_000_000.0
CRASHES = st.none() | st.integers(0, 5)
"""After how many transactions of what is done then the catalog dies; None: it lives on."""
DELIVERED = 1000
"""It dies when a machine has its kernel, and before it could do anything about that."""


@dataclass(slots=True)
class Arming:
    """What the operator armed last, and what the machine got of it."""

    target: str
    expires: float
    was_given: bool = False
    may_be_given: bool = False
    """The catalog died while it answered: only it knows whether this boot has the target."""
    was_taken: bool = False
    is_over: bool = False
    """It belongs to a boot that is known to be over."""
    is_unclear: bool = False
    """What happened cannot be told apart from outside: it may be given or not."""


class Journeys(RuleBasedStateMachine):
    """One machine, its operator, and the catalog between them."""

    base: Path

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = Clock(NOW)
        self.runner = asyncio.Runner()
        self.states = 0
        self.state = Path(self.directory.name) / "0"
        self.stack = AsyncExitStack()
        self.events = 0
        self.late: list[BootEvent] = []
        self.ip = NUC_IP
        self.arming: Arming | None = None
        self.asked = NOW
        """When the machine last asked for a script, and was answered."""
        self.died_at_end = False
        self.runner.run(self._start())

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.directory.cleanup()

    async def _start(self) -> None:
        running = await self.stack.enter_async_context(
            running_catalog(self.base, self.state, self.clock)
        )
        running.neighbours[BRIDGE_IP] = BRIDGE
        self.running = running
        self.watched: Callable[[], None] = lambda: None
        thread = running.parts.database._thread
        submit = thread.submit

        def watching(call: Callable[..., T], *args: object) -> Future[T]:
            def work() -> T:
                try:
                    return call(*args)
                finally:
                    self.watched()

            return submit(work)

        thread.submit = watching  # type: ignore[method-assign, assignment]

    async def _crash_after(self, transactions: int | None, work: Awaitable[T]) -> T:
        """Do something, and die after so many transactions of it, or at its end."""
        if transactions is None:
            return await work
        self.states += 1
        left, ends = transactions, False
        copy = Path(self.directory.name) / str(self.states)

        def count() -> None:
            nonlocal left
            if not copy.exists() and (left == 0 or ends):
                shutil.copytree(self.state, copy)
                self.died_at_end = ends
            left -= 1

        def end(*_: object) -> None:
            nonlocal ends
            ends = True
            self.running.parts.database.run_blocking(lambda _: None)

        if transactions == DELIVERED:
            self.running.catalog.journal._on_kernel.insert(0, end)
        self.running.parts.database.run_blocking(lambda _: self._watch(count))
        result = await work
        end()
        self.watched = lambda: None
        await self._reopen(copy)
        return result

    def _watch(self, count: Callable[[], None]) -> None:
        self.watched = count

    async def _reopen(self, state: Path) -> None:
        await self.stack.aclose()
        self.state = state
        await self._start()

    @initialize(is_behind_a_bridge=st.booleans())
    def begin(self, is_behind_a_bridge: bool) -> None:
        if is_behind_a_bridge:
            self.move()

    @rule(what=st.sampled_from(["auto", "debian"]), minutes=st.sampled_from([5, 15, 600]))
    def arm(self, what: str, minutes: int) -> None:
        async def put() -> None:
            url = f"/api/v1/machines/{NUC}/boot-once"
            body = {"target": what, "expires_minutes": minutes}
            async with self.running.admin() as admin, admin.put(url, json=body) as got:
                assert got.status == 200, await got.text()

        self.runner.run(put())
        self.arming = Arming(what, self.clock.now + minutes * 60)

    def disarm(self) -> None:
        async def delete() -> int:
            url = f"/api/v1/machines/{NUC}/boot-once"
            async with self.running.admin() as admin, admin.delete(url) as got:
                return got.status

        assert self.runner.run(delete()) == (204 if self.arming is not None else 404)
        self.arming = None

    @rule(seconds=st.sampled_from([1, 30, 30, 400, 700]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(heard=st.sampled_from(["in time", "late", "never"]), crash=CRASHES)
    def switch_on(self, heard: str, crash: int | None) -> None:
        self.clock.now += 1
        discover = self._told(Step.DISCOVERED, None)
        if heard == "late":
            self.late.append(discover)
        elif heard == "in time":
            self._hear(discover)
            if self.arming is not None and self.arming.was_given:
                self.arming.is_over = True
            elif self.arming is not None and self.arming.may_be_given:
                self.arming.is_unclear = True
        self.script(crash)

    def redis_is_back(self) -> None:
        self._hear(*self.late)
        self.late = []
        if self.arming is not None:
            self.arming.is_unclear = True

    def move(self) -> None:
        self.ip = BRIDGE_IP if self.ip == NUC_IP else NUC_IP
        self._hear(self._told(Step.ADDRESSED, self.ip))

    @rule(crash=CRASHES)
    def script(self, crash: int | None) -> None:
        self.clock.now += 1
        text = self.runner.run(self._crash_after(crash, self.running.script(self.ip, NUC)))
        arming, late = self.arming, self.clock.now - self.asked > SAME_BOOT_SECONDS
        if arming is not None and late and (arming.was_given or arming.may_be_given):
            arming.is_over = arming.is_over or arming.was_given
            arming.is_unclear = arming.is_unclear or arming.may_be_given
        self.asked = self.clock.now
        is_possible = (
            arming is not None
            and self.clock.now < arming.expires
            and not arming.was_taken
            and not arming.is_over
        )
        if ARMED in text:
            assert is_possible, arming
            assert arming is not None
            assert f"images/{arming.target}@" in text
        elif is_possible and arming is not None:
            assert arming.is_unclear, arming
        if arming is None:
            return
        if crash is not None:
            # The answer may or may not have left before the catalog died.
            arming.may_be_given = arming.may_be_given or ARMED in text
        elif ARMED in text:
            arming.was_given = True

    def ask_as_another(self) -> None:
        for ip in (STRANGER_IP, PI_IP):
            for claim in (NUC, None):
                assert ARMED not in self.runner.run(self.running.script(ip, claim))

    def question(self) -> None:
        async def head() -> None:
            url = f"/boot.ipxe?mac={NUC}"
            async with self.running.client(self.ip) as client, client.head(url) as got:
                assert got.status == 200

        self.runner.run(head())

    @rule(image=st.sampled_from(["auto", "debian"]), crash=CRASHES | st.just(DELIVERED))
    def kernel(self, image: str, crash: int | None) -> None:
        self.clock.now += 1
        self.runner.run(
            self._crash_after(crash, self.running.take(self.ip, f"images/{image}/linux"))
        )
        self._taken(crash, is_whole=crash is None or self.died_at_end)

    @rule(crash=CRASHES)
    def abort_kernel(self, crash: int | None) -> None:
        self.clock.now += 1
        self.runner.run(self._crash_after(crash, self._abort("/tree/images/auto/linux")))
        if crash is not None:
            self._taken(crash, is_whole=False)

    def _taken(self, crash: int | None, *, is_whole: bool) -> None:
        arming = self.arming
        if arming is None or not (arming.was_given or arming.may_be_given):
            return
        arming.is_unclear = arming.is_unclear or crash is not None or not arming.was_given
        if is_whole and arming.was_given:
            arming.was_taken = True

    async def _abort(self, path: str) -> None:
        """Ask for a file, and be switched off when the first bytes are there."""
        port = int(self.running.url.rpartition(":")[2])
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.bind((self.ip, 0))
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
            assert await loop.sock_recv(client, 1000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        async with asyncio.timeout(10):
            while self.running.catalog.kernels._boots:
                await asyncio.sleep(0.002)

    def restart(self) -> None:
        self.runner.run(self._reopen(self.state))

    def crash(self) -> None:
        async def nothing() -> None:
            return

        self.runner.run(self._crash_after(5, nothing()))

    @rule(
        what=st.sampled_from(
            [disarm, move, ask_as_another, question, restart, crash, redis_is_back]
        )
    )
    def beside(self, what: "Callable[[Journeys], None]") -> None:
        """Do what happens less often, or must change nothing."""
        what(self)

    def _told(self, step: Step, ip: str | None) -> BootEvent:
        self.events += 1
        return BootEvent(
            service="proxydhcp",
            run="r",
            sequence=self.events,
            time=self.clock.now,
            step=step,
            mac=NUC,
            ip=ip,
            stage=OfferStage.ROM if step is Step.DISCOVERED else None,
            firmware=Firmware.UEFI_X64,
        )

    def _hear(self, *events: BootEvent) -> None:
        told = [(f"{event.sequence}-0", event) for event in events]
        self.runner.run(self.running.catalog.journal.receive(told))


def _machine(base: Path) -> type[Journeys]:
    write_image(base / "images", "debian")
    write_image(base / "images", "auto", title="Unattended", cmdline="auto=true priority=high")
    return type("JourneysHere", (Journeys,), {"base": base})


def test_a_catalog_that_dies_when_a_machine_has_its_kernel(tmp_path: Path) -> None:
    journeys = _machine(tmp_path)()
    journeys.arm("auto", 60)
    journeys.script(None)
    journeys.kernel("auto", DELIVERED)
    assert journeys.died_at_end
    journeys.script(None)
    journeys.teardown()


def test_a_catalog_that_dies_while_it_answers_with_a_boot_once(tmp_path: Path) -> None:
    for transactions in range(4):
        journeys = _machine(tmp_path / str(transactions))()
        journeys.arm("auto", 60)
        journeys.script(transactions)
        journeys.script(None)
        journeys.kernel("auto", None)
        journeys.script(None)
        journeys.teardown()


def _run(base: Path, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        _machine(base),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_boot_once_starts_one_boot_at_most(tmp_path: Path) -> None:
    _run(tmp_path, examples=40, steps=20)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_boot_once_starts_one_boot_at_most_for_long(tmp_path: Path) -> None:
    _run(tmp_path, examples=400, steps=40)
