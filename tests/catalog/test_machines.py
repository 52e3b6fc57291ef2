"""Machines, policy and boot-once as the API uses them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bootyard.model.architecture import Firmware
from bootyard.model.document import decode
from bootyard.model.errors import RequestRefused
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Machine, Policy, TargetKind
from services.catalog.boot_once import BootOnceState
from services.catalog.machines import MachineChange, Machines
from services.catalog.policy import PolicyChange
from tests.catalog.images import Clock, make_target, open_database

MAC = MACAddress("52:54:00:12:34:56")
OTHER = MACAddress("52:54:00:12:34:57")
TARGETS = {
    target.id: target
    for target in (
        make_target("live", TargetKind.LIVE),
        make_target("debian-12"),
        make_target("debian-12-auto", TargetKind.UNATTENDED),
    )
}


class MachinesAtHand:
    def __init__(self, base: Path) -> None:
        self.clock = Clock()
        self.targets = dict(TARGETS)
        self.database = open_database(base)
        self.seen: dict[MACAddress, Firmware] = {}
        self.machines = Machines(
            self.database,
            lambda: self.targets,
            self.clock,
            loaders=lambda: ("bios/undionly.kpxe", "uefi-x64/grubx64.efi"),
            firmware_of=self.seen.get,
        )
        self.changes = 0
        self.machines.on_change(self._count)

    def _count(self) -> None:
        self.changes += 1


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[MachinesAtHand]:
    hand = MachinesAtHand(tmp_path)
    yield hand
    hand.database.close()


async def test_a_machine_is_made_and_changed(hand: MachinesAtHand) -> None:
    made = await hand.machines.set(
        "52-54-00-12-34-56",
        MachineChange(
            name="nuc-3",
            tags=("lab",),
            target="live",
            kernel_args="console=ttyS0",
            firmware=Firmware.UEFI_X64,
            variables={"disk": "/dev/sda", "host": "nuc"},
        ),
    )
    assert made.machine == Machine(
        mac=MAC,
        name="nuc-3",
        tags=("lab",),
        target="live",
        kernel_args="console=ttyS0",
        firmware=Firmware.UEFI_X64,
    )
    changed = await hand.machines.set(
        "525400123456", MachineChange(target=None, variables={"disk": None, "user": "x"})
    )
    assert (changed.machine.name, changed.machine.target) == ("nuc-3", None)
    assert changed.variables == {"host": "nuc", "user": "x"}
    assert await hand.machines.get("5254.0012.3456") == changed
    assert await hand.machines.list() == (changed,)
    assert hand.changes == 2


async def test_how_a_machine_boots_is_pinned(hand: MachinesAtHand) -> None:
    change = MachineChange(
        loader=LoaderName.SHIM, offer=OfferStrategy.MENU, secure_boot=False, name="nuc"
    )
    made = await hand.machines.set(MAC, change)
    assert made.machine == Machine(
        mac=MAC,
        name="nuc",
        loader=LoaderName.SHIM,
        offer=OfferStrategy.MENU,
        secure_boot=False,
    )
    left = await hand.machines.set(MAC, MachineChange(loader=None, offer=None, secure_boot=None))
    assert left.machine == Machine(mac=MAC, name="nuc")
    said = await hand.machines.for_snapshot()
    assert decode(said.machines[MAC], Machine) == left.machine


async def test_a_loader_fits_the_firmware_that_was_seen_or_is_said(hand: MachinesAtHand) -> None:
    hand.seen[MAC] = Firmware.BIOS
    with pytest.raises(RequestRefused, match="firmware bios cannot run grub; use one of undionly"):
        await hand.machines.set(MAC, MachineChange(loader=LoaderName.GRUB))
    fits = MachineChange(loader=LoaderName.GRUB, firmware=Firmware.UEFI_X64)
    before = await hand.machines.set(MAC, fits)
    with pytest.raises(RequestRefused, match="firmware bios cannot run grub"):
        await hand.machines.set(MAC, MachineChange(firmware=None))
    assert await hand.machines.get(MAC) == before
    renamed = await hand.machines.set(MAC, MachineChange(name="nuc"))
    assert renamed.machine.loader is LoaderName.GRUB


async def test_a_machine_that_nobody_knows(hand: MachinesAtHand) -> None:
    assert await hand.machines.get(MAC) is None
    assert not await hand.machines.remove(MAC)
    assert await hand.machines.list() == ()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (MachineChange(target="gone"), "no target 'gone'"),
        (MachineChange(target="debian-12-auto"), "erases the machine"),
        (MachineChange(kernel_args="${x}"), "cannot carry"),
        (MachineChange(name="a b"), "cannot be a machine's name"),
        (MachineChange(tags=("",)), "cannot be a tag"),
        (MachineChange(variables={"a b": ""}), "cannot be a variable"),
        (MachineChange(name="nuc-4"), "52:54:00:12:34:57 is called nuc-4 already"),
        (MachineChange(name="NUC-4"), "is called NUC-4 already"),
    ],
)
async def test_refused_as_a_whole(
    hand: MachinesAtHand, change: MachineChange, problem: str
) -> None:
    await hand.machines.set(OTHER, MachineChange(name="nuc-4"))
    before = await hand.machines.set(MAC, MachineChange(name="nuc-3"))
    changes = hand.changes
    with pytest.raises(RequestRefused, match=problem):
        await hand.machines.set(MAC, change)
    with pytest.raises(RequestRefused, match=problem):
        await hand.machines.check(MAC, change)
    assert await hand.machines.get(MAC) == before
    assert hand.changes == changes


async def test_checking_changes_nothing(hand: MachinesAtHand) -> None:
    await hand.machines.check(MAC, MachineChange(name="nuc-3", target="live"))
    assert await hand.machines.list() == ()
    assert hand.changes == 0


async def test_a_name_can_be_kept_taken_away_and_taken_over(hand: MachinesAtHand) -> None:
    await hand.machines.set(MAC, MachineChange(name="nuc"))
    await hand.machines.set(MAC, MachineChange(name="NUC"))
    await hand.machines.set(MAC, MachineChange(name=None))
    await hand.machines.set(OTHER, MachineChange(name="nuc"))
    names = [record.machine.name for record in await hand.machines.list()]
    assert names == [None, "nuc"]


async def test_a_machine_keeps_a_target_that_goes_away_or_becomes_unattended(
    hand: MachinesAtHand,
) -> None:
    await hand.machines.set(MAC, MachineChange(target="debian-12"))
    for targets in ({}, {"debian-12": make_target("debian-12", TargetKind.UNATTENDED)}):
        hand.targets = targets
        record = await hand.machines.set(MAC, MachineChange(name="nuc"))
        assert record.machine.target == "debian-12"


async def test_boot_once(hand: MachinesAtHand) -> None:
    record = await hand.machines.arm("525400123456", "debian-12-auto")
    assert record.machine == Machine(mac=MAC)
    assert record.boot_once is not None
    assert record.boot_once.expires_at == hand.clock.now + 1800
    assert record.boot_once.state is BootOnceState.ARMED
    assert await hand.machines.bind(MAC, "b-1") == "debian-12-auto"
    assert await hand.machines.bind(MAC, "b-1", bootable=()) is None
    assert await hand.machines.bind(MAC, "b-2") is None
    assert await hand.machines.burn(MAC, "b-1")
    assert not await hand.machines.burn(MAC, "b-1")
    read = await hand.machines.get(MAC)
    assert read is not None
    assert read.boot_once is not None
    assert (read.boot_once.state, read.boot_once.boot) == (BootOnceState.BURNED, "b-1")


async def test_boot_once_keeps_what_was_said_about_the_machine(hand: MachinesAtHand) -> None:
    before = await hand.machines.set(MAC, MachineChange(name="nuc", variables={"a": "b"}))
    armed = await hand.machines.arm(MAC, "live", 5)
    assert (armed.machine, armed.variables) == (before.machine, before.variables)
    assert await hand.machines.disarm(MAC)
    assert await hand.machines.get(MAC) == before


async def test_boot_once_expires(hand: MachinesAtHand) -> None:
    await hand.machines.arm(MAC, "debian-12-auto", expires_minutes=1)
    hand.clock.now += 60
    assert await hand.machines.bind(MAC, "b-1") is None


@pytest.mark.parametrize(
    ("mac", "target", "minutes"),
    [("x", "live", 1.0), (MAC, "gone", 1.0), (MAC, "menu", 1.0), (MAC, "live", 0.0)],
)
async def test_boot_once_refused(
    hand: MachinesAtHand, mac: str, target: str, minutes: float
) -> None:
    with pytest.raises(RequestRefused):
        await hand.machines.arm(mac, target, minutes)
    assert await hand.machines.list() == ()


async def test_a_machine_that_is_forgotten_is_not_armed_when_it_comes_back(
    hand: MachinesAtHand,
) -> None:
    await hand.machines.arm(MAC, "debian-12-auto")
    assert await hand.machines.remove(MAC)
    await hand.machines.set(MAC, MachineChange(name="nuc"))
    assert await hand.machines.bind(MAC, "b-1") is None


async def test_boots_that_ask_at_once_have_one_winner(hand: MachinesAtHand) -> None:
    await hand.machines.arm(MAC, "debian-12-auto")
    given = await asyncio.gather(*(hand.machines.bind(MAC, f"b-{n}") for n in range(50)))
    assert len([target for target in given if target]) == 1


async def test_the_policy(hand: MachinesAtHand) -> None:
    assert await hand.machines.policy() == Policy()
    policy = await hand.machines.set_policy(PolicyChange(default="live", timeout_seconds=3))
    assert policy == await hand.machines.policy() == Policy(default="live", timeout_seconds=3)
    with pytest.raises(RequestRefused):
        await hand.machines.set_policy(PolicyChange(default="debian-12-auto"))
    assert await hand.machines.policy() == policy
    assert hand.changes == 1


async def test_what_a_snapshot_carries(hand: MachinesAtHand) -> None:
    await hand.machines.set(OTHER, MachineChange(variables={"password": "secret"}))
    await hand.machines.set(MAC, MachineChange(name="nuc"))
    await hand.machines.arm(OTHER, "debian-12-auto")
    said = await hand.machines.for_snapshot()
    machines = [decode(raw, Machine) for raw in said.machines.values()]
    assert machines == [Machine(mac=MAC, name="nuc"), Machine(mac=OTHER)]
    assert list(said.machines) == [MAC, OTHER]
    assert said.policy == Policy()
    assert said.armed == {OTHER: "debian-12-auto"}


async def test_everything_outlives_a_restart(tmp_path: Path) -> None:
    first = MachinesAtHand(tmp_path)
    await first.machines.set(MAC, MachineChange(name="nuc", variables={"a": "b"}))
    await first.machines.arm(OTHER, "debian-12-auto")
    await first.machines.set_policy(PolicyChange(unknown="local-disk"))
    before = (await first.machines.list(), await first.machines.policy())
    first.database.close()
    second = MachinesAtHand(tmp_path)
    assert (await second.machines.list(), await second.machines.policy()) == before
    second.database.close()
