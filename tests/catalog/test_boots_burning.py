"""A boot-once is used up by its kernel; a Raspberry Pi, which asks for no script, binds it so."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bootyard.model.architecture import Firmware
from bootyard.model.events import BootEvent, BootOutcome
from bootyard.model.snapshot import BootTarget, TargetKind
from services.catalog import machines as room
from services.catalog.boot_once import BootOnceState
from services.catalog.boots import learned, storage
from services.catalog.boots.burning import BootOnceBurner
from services.catalog.boots.journal import BootJournal
from services.catalog.database import Database
from services.catalog.machines import Machines
from services.catalog.metrics import BootMetrics
from tests.catalog.images import Clock
from tests.catalog.test_boots_timeline import MAC, event, initrd, kernel

PI = BootTarget(
    id="debian-12/pi",
    image="debian-12",
    title="Pi",
    kind=TargetKind.UNATTENDED,
    kernel="kernel8.img",
    initrds=("initramfs8",),
    loader="pi",
)
PC = BootTarget(
    id="debian-12",
    image="debian-12",
    title="PC",
    kind=TargetKind.UNATTENDED,
    kernel="linux",
    initrds=("initrd.gz",),
)
TARGETS = {target.id: target for target in (PI, PC)}


class Hand:
    def __init__(self, base: Path) -> None:
        schemas = (*room.SCHEMAS, storage.SCHEMA, learned.SCHEMA)
        self.clock = Clock(10_000.0)
        self.database = Database.open(base / "catalog.db", schemas)
        self.machines = Machines(self.database, lambda: TARGETS, self.clock)
        self.journal = BootJournal(
            self.database,
            BootMetrics(CollectorRegistry()),
            lambda: TARGETS,
            pytest.fail,
            self.clock,
        )
        self.burned = 0
        self.burner = BootOnceBurner(
            self.machines, self.journal, lambda: TARGETS, self._count_burned
        )
        self.journal.on_kernel(self.burner.kernel_taken)

    def _count_burned(self) -> None:
        self.burned += 1

    def hear(self, *events: BootEvent) -> None:
        for told in events:
            self.journal.observe(told)

    async def state(self) -> BootOnceState:
        record = await self.machines.get(MAC)
        assert record is not None
        assert record.boot_once is not None
        return record.boot_once.state

    async def settle(self) -> None:
        """Let the burner work off what it was told."""
        async with asyncio.timeout(10):
            while self.burner._taken:
                await asyncio.sleep(0.01)


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    made = Hand(tmp_path)
    keeping = asyncio.create_task(made.burner.keep())
    yield made
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    made.database.close()


def pi(at: float, name: str, outcome: str = "complete") -> BootEvent:
    """A file of the Pi, below its serial number."""
    step = "kernel" if name == "kernel8.img" else "initrd"
    told = event(step, at, path=f"9ffefdef/{name}", image="debian-12", outcome=outcome)
    return replace(told, firmware=Firmware.PI)


PI_ASKS = [event("discovered", 1, stage="pi"), event("offered", 1, stage="pi")]


async def test_a_pi_uses_its_boot_once_up_with_its_kernel(hand: Hand) -> None:
    await hand.machines.arm(MAC, PI.id)
    hand.hear(*PI_ASKS, pi(5, "kernel8.img", "client_abort"))
    await hand.settle()
    assert await hand.state() is BootOnceState.ARMED
    hand.hear(pi(6, "kernel8.img"), pi(7, "initramfs8"))
    await hand.settle()
    assert await hand.state() is BootOnceState.BURNED
    assert hand.burned == 1
    boot = hand.journal.timeline.latest(MAC)
    assert boot is not None
    assert (boot.target, boot.outcome) == (PI.id, BootOutcome.RUNNING)


async def test_a_pi_that_took_another_images_kernel_keeps_it(hand: Hand) -> None:
    await hand.machines.arm(MAC, PC.id)
    hand.hear(*PI_ASKS, pi(6, "kernel8.img"))
    await hand.settle()
    assert await hand.state() is BootOnceState.ARMED


async def test_a_pc_that_never_asked_for_its_script_keeps_it(hand: Hand) -> None:
    await hand.machines.arm(MAC, PC.id)
    hand.hear(event("discovered", 1), kernel(5), initrd(6))
    await hand.settle()
    assert await hand.state() is BootOnceState.ARMED
    assert hand.burned == 0
