"""Events into boots: which boot an event belongs to, and how boots end."""

from collections.abc import Iterator
from itertools import count

import pytest

from bootyard.model.architecture import Firmware
from bootyard.model.events import (
    OTHER_SERVER,
    BootEvent,
    BootOutcome,
    MachineState,
    OfferStage,
    Step,
)
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import LOCAL_DISK, BootTarget, TargetKind
from services.catalog.boots.belonging import LEAVING_SECONDS
from services.catalog.boots.boot import MAX_STEPS, Boot
from services.catalog.boots.outcome import machine_state
from services.catalog.boots.timeline import (
    REFUSED_SILENT_SECONDS,
    SILENT_SECONDS,
    Changes,
    Timeline,
)

MAC = MACAddress("52:54:00:12:34:56")
OTHER = MACAddress("52:54:00:00:00:02")
IP = "192.0.2.50"
SNPONLY = "loaders/uefi-x64/snponly.efi"
KERNEL = "images/debian-12@1/linux"
INITRD = "images/debian-12@1/initrd.gz"


def target(name: str, kind: TargetKind, *initrds: str) -> BootTarget:
    return BootTarget(
        id=name, image="debian-12", title=name, kind=kind, kernel="linux", initrds=initrds
    )


TARGETS = {
    "debian-12": target("debian-12", TargetKind.LIVE, "initrd.gz"),
    "debian-12/auto": target("debian-12/auto", TargetKind.UNATTENDED, "initrd.gz"),
}
_sequence = count(1)


def event(
    step: str,
    at: float,
    *,
    stage: str | None = None,
    mac: MACAddress | None = MAC,
    ip: str | None = None,
    path: str | None = None,
    outcome: str = "",
    detail: str = "",
    image: str | None = None,
    transport: str | None = None,
    strategy: OfferStrategy | None = None,
    firmware: Firmware = Firmware.UEFI_X64,
) -> BootEvent:
    """Make an event; `discovered` is the firmware's unless a stage is given."""
    if step == "discovered" and stage is None:
        stage = "rom"
    if image is None and path is not None and path.startswith("images/"):
        image = "debian-12"
    return BootEvent(
        service="test",
        run="r1",
        sequence=next(_sequence),
        time=at,
        step=Step(step),
        mac=mac,
        ip=ip,
        firmware=firmware,
        stage=OfferStage(stage) if stage else None,
        strategy=strategy,
        outcome=outcome,
        path=path,
        image=image,
        transport=transport,
        detail=detail,
    )


class Told:
    """A timeline with a record of what it said."""

    def __init__(self, targets: dict[str, BootTarget] | None = None) -> None:
        self.timeline = Timeline()
        self.targets = TARGETS if targets is None else targets
        self.boots: dict[int, Boot] = {}
        self.counted: list[tuple[int, BootOutcome]] = []
        self.dropped: list[str] = []

    def tell(self, *events: BootEvent) -> "Told":
        for told in events:
            self.take(self.timeline.observe(told, max(told.time, 10_000.0), self.targets))
        return self

    def sweep(self, now: float) -> "Told":
        self.take(self.timeline.sweep(now, self.targets))
        return self

    def take(self, changes: Changes) -> None:
        self.boots.update(changes.boots)
        self.counted += [(boot.number, boot.outcome) for boot in changes.counted]
        if changes.dropped:
            self.dropped.append(changes.dropped)

    def steps(self, number: int) -> list[str]:
        return [step.step.value for step in self.boots[number].steps]


FIRMWARE = (event("discovered", 0), event("offered", 0.1), event("acked", 1), event("addressed", 2))


def fresh(*events: BootEvent) -> Iterator[BootEvent]:
    """Give the same events a sequence of their own."""
    for known in events:
        yield event(known.step, known.time, stage=known.stage, path=known.path)


def kernel(at: float, outcome: str = "complete") -> BootEvent:
    return event("kernel", at, path=KERNEL, outcome=outcome)


def initrd(at: float, outcome: str = "complete") -> BootEvent:
    return event("initrd", at, path=INITRD, outcome=outcome)


def test_a_whole_boot_is_one_boot() -> None:
    told = Told().tell(
        *fresh(*FIRMWARE),
        event("loader", 4, path="loaders/uefi-x64/snponly.efi", outcome="complete"),
        event("script", 5),
        event("script", 5.2),
        event("menu", 5.2),
        kernel(9),
        initrd(10),
    )
    assert told.steps(1) == [
        *("discovered", "offered", "acked", "addressed"),
        *("loader", "script", "script", "menu", "kernel", "initrd"),
    ]
    boot = told.boots[1]
    assert (boot.id, boot.image, boot.firmware) == ("b-1", "debian-12", Firmware.UEFI_X64)
    assert boot.is_open
    assert told.counted == [(1, BootOutcome.RUNNING)]


@pytest.mark.parametrize(
    ("before", "again", "boots"),
    [
        pytest.param([event("discovered", 0)], event("discovered", 4), 1, id="rom-retries"),
        pytest.param([event("discovered", 0)], event("discovered", 601), 2, id="rom-after-10-min"),
        pytest.param(
            [event("discovered", 0), event("loader", 3)],
            event("discovered", 60),
            1,
            id="rom-before-anything-ran",
        ),
        pytest.param(
            [event("discovered", 0), event("loader", 3), event("script", 4)],
            event("discovered", 60),
            2,
            id="switched-on-again",
        ),
        pytest.param(
            [event("discovered", 0), event("loader", 3)],
            event("discovered", 5, stage="ipxe"),
            1,
            id="chainloaded-ipxe",
        ),
        pytest.param(
            [event("discovered", 0), event("loader", 3), event("script", 9)],
            event("discovered", 20, stage="ipxe"),
            1,
            id="chainloaded-ipxe-asks-again",
        ),
        pytest.param(
            [event("discovered", 0), event("loader", 3), event("script", 9)],
            event("discovered", 700, stage="ipxe"),
            2,
            id="ipxe-long-after-its-loader",
        ),
        pytest.param(
            [event("discovered", 0, stage="ipxe")],
            event("discovered", 4, stage="ipxe"),
            1,
            id="rom-ipxe-retries",
        ),
        pytest.param(
            [event("discovered", 0, stage="ipxe"), event("script", 3)],
            event("discovered", 60, stage="ipxe"),
            2,
            id="rom-ipxe-switched-on-again",
        ),
        pytest.param([event("script", 0)], event("script", 1), 1, id="script-over-both-transports"),
        pytest.param([event("script", 0)], event("script", 700), 2, id="script-of-another-boot"),
        pytest.param(
            [event("script", 0), kernel(5)], event("script", 60), 2, id="script-after-a-kernel"
        ),
        pytest.param(
            [event("script", 0), kernel(5, "client_abort")],
            event("script", 8),
            1,
            id="script-after-half-a-kernel",
        ),
        pytest.param(
            [event("script", 0), event("menu", 0)],
            event("script", 900, detail=LOCAL_DISK),
            1,
            id="local-disk-after-long-thought",
        ),
        pytest.param([event("script", 0)], initrd(1900), 2, id="after-30-silent-minutes"),
        pytest.param([event("discovered", 0)], event("discovered", 9, mac=OTHER), 2, id="another"),
    ],
)
def test_which_boot_an_event_belongs_to(
    before: list[BootEvent], again: BootEvent, boots: int
) -> None:
    assert len(Told().tell(*before, again).boots) == boots


@pytest.mark.parametrize(
    ("step", "opens"),
    [(step, step not in {"system_up", "done"}) for step in Step],
)
def test_what_opens_a_boot_when_redis_lost_the_rest(step: Step, opens: bool) -> None:
    assert bool(Told().tell(event(step, 0)).boots) is opens


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        pytest.param([event("discovered", 0)], "silent", id="no-answer"),
        pytest.param([event("discovered", 0, outcome="denied")], "denied", id="denied"),
        pytest.param([*FIRMWARE[:2]], "stopped_offer", id="offer-not-taken"),
        pytest.param([*FIRMWARE[:3]], "stopped_4011", id="no-loader-request"),
        pytest.param([*FIRMWARE], "stopped_4011", id="addressed-after-4011"),
        pytest.param([*FIRMWARE[:2], FIRMWARE[3]], "stopped_offer", id="addressed-without-4011"),
        pytest.param(
            [*FIRMWARE, event("loader", 4), event("discovered", 6, stage="ipxe")],
            "stopped_loader",
            id="ipxe-found-no-address",
        ),
        pytest.param([event("loader", 4)], "stopped_loader", id="loader"),
        pytest.param([event("script", 4)], "stopped_script", id="script"),
        pytest.param([event("script", 4), event("menu", 4)], "menu_only", id="menu"),
        pytest.param([event("script", 4), kernel(5)], "stopped_kernel", id="kernel"),
        pytest.param([kernel(5), initrd(6, "client_abort")], "stopped_initrd", id="half-initrd"),
        pytest.param([kernel(5), initrd(6)], "running", id="initrd"),
        pytest.param([event("script", 4), event("system_up", 90)], "running", id="system-up"),
        pytest.param([kernel(5), event("done", 9)], "installed", id="done"),
        pytest.param([event("script", 4, detail=LOCAL_DISK)], "local_disk", id="local-disk"),
        pytest.param(
            [*FIRMWARE, event("loader", 4, path=SNPONLY, outcome="complete")],
            "secure_boot",
            id="unsigned-loader-without-a-sign-of-life",
        ),
        pytest.param(
            [
                *FIRMWARE,
                event("loader", 4, path=SNPONLY, outcome="complete"),
                event("system_up", 60),
            ],
            "secure_boot",
            id="refused-and-then-the-disk",
        ),
        pytest.param(
            [*FIRMWARE, event("loader", 4, path=SNPONLY, outcome="client_abort")],
            "stopped_loader",
            id="half-a-loader",
        ),
        pytest.param(
            [
                *FIRMWARE[:2],
                event("loader", 4, path="loaders/bios/lpxelinux.0", outcome="complete"),
                event("loader", 4, path="loaders/bios/ldlinux.c32", outcome="complete"),
                event("menu", 4.1, path="pxelinux.cfg/default", transport="tftp"),
            ],
            "menu_only",
            id="pxelinux-menu",
        ),
        pytest.param(
            [
                *FIRMWARE[:2],
                event("loader", 4, path="loaders/bios/lpxelinux.0", outcome="complete"),
                event("menu", 4.1, path="pxelinux.cfg/default", transport="tftp"),
                kernel(9),
                initrd(10),
            ],
            "running",
            id="pxelinux-kernel",
        ),
        pytest.param(
            [
                *FIRMWARE,
                event("loader", 4, path="loaders/uefi-x64/shimx64.efi", outcome="complete"),
            ],
            "stopped_loader",
            id="shim-alone",
        ),
        pytest.param(
            [
                *FIRMWARE,
                event("loader", 4, path="loaders/uefi-x64/shimx64.efi", outcome="complete"),
                event("loader", 5, path="loaders/uefi-x64/grubx64.efi", outcome="complete"),
                event("script", 6, path="grub/grub.cfg", transport="tftp"),
                event("script", 6.1, path="grub/grub.cfg", transport="http"),
                event("menu", 6.1, path="grub/menu.cfg"),
                kernel(9),
            ],
            "stopped_kernel",
            id="grub-kernel",
        ),
        pytest.param(
            [
                event("discovered", 0, stage="pi"),
                event("offered", 0, stage="pi"),
                event("loader", 1, path="9ffefdef/start4.elf", image="debian-12"),
            ],
            "stopped_loader",
            id="pi-firmware",
        ),
        pytest.param(
            [
                event("discovered", 0, stage="pi"),
                event("offered", 0, stage="pi"),
                event("kernel", 5, path="9ffefdef/linux", image="debian-12", outcome="complete"),
                event("initrd", 6, path="initrd.gz", image="debian-12", outcome="complete"),
            ],
            "running",
            id="pi",
        ),
        pytest.param(
            [
                *FIRMWARE[:2],
                event("acked", 1, outcome=OTHER_SERVER),
                event("offered", 2, outcome=OTHER_SERVER),
            ],
            "stopped_offer",
            id="another-server-took-over",
        ),
        pytest.param(
            [event("discovered", 0), event("offered", 1, outcome=OTHER_SERVER)],
            "silent",
            id="only-another-server-offers",
        ),
    ],
)
def test_how_a_boot_ends(events: list[BootEvent], outcome: str) -> None:
    told = Told().tell(*events).sweep(10_000)
    assert not told.boots[1].is_open
    assert told.counted == [(1, outcome)]
    assert told.boots[1].outcome == outcome


def test_another_servers_offer_opens_no_boot_and_keeps_none_open() -> None:
    stray = event("offered", 5, outcome=OTHER_SERVER, detail="198.51.100.9")
    told = Told().tell(stray)
    assert told.boots == {}
    told.tell(event("discovered", 10), event("offered", 11, outcome=OTHER_SERVER))
    assert told.steps(1) == ["discovered", "offered"]
    assert told.boots[1].last == 10
    told.sweep(10 + SILENT_SECONDS)
    assert told.boots[1].closed == 10 + SILENT_SECONDS
    told.tell(event("offered", 12 + SILENT_SECONDS, outcome=OTHER_SERVER))
    assert told.steps(1) == ["discovered", "offered"]


def test_an_offer_says_how_it_was_made() -> None:
    told = Told().tell(event("offered", 1, strategy=OfferStrategy.MENU))
    assert told.boots[1].steps[0].strategy is OfferStrategy.MENU


def refused(at: float) -> list[BootEvent]:
    return [*firmware_at(at), event("loader", at + 4, path=SNPONLY, outcome="complete")]


def firmware_at(at: float) -> list[BootEvent]:
    return [event(known.step, at + known.time, stage=known.stage) for known in FIRMWARE]


def test_every_try_after_a_refused_loader_is_a_boot() -> None:
    told = Told().tell(*refused(0), event("discovered", 20), *firmware_at(21))
    assert told.counted == [(1, BootOutcome.SECURE_BOOT)]
    assert len(told.boots) == 2
    assert machine_state(told.boots[1], TARGETS) is MachineState.FAILED


def test_a_refused_loader_is_told_before_the_boot_is_over() -> None:
    told = Told()
    for step in refused(0):
        told.take(told.timeline.observe(step, step.time, TARGETS))
    boot = told.boots[1]
    told.take(told.timeline.review([boot], 4 + 14))
    assert boot.outcome is BootOutcome.RUNNING
    told.take(told.timeline.review([boot], 4 + 15))
    assert (boot.outcome, boot.is_open, boot.counted) == (BootOutcome.SECURE_BOOT, True, False)
    assert machine_state(boot, TARGETS) is MachineState.FAILED
    told.sweep(4 + REFUSED_SILENT_SECONDS)
    assert boot.closed == 4 + REFUSED_SILENT_SECONDS
    assert told.counted == [(1, BootOutcome.SECURE_BOOT)]
    told.tell(event("script", 6))
    assert boot.outcome.value == "stopped_script", "it ran after all"
    assert told.counted == [(1, BootOutcome.SECURE_BOOT)]


LEFT = (*FIRMWARE, event("loader", 4, path=SNPONLY), event("script", 8, detail=LOCAL_DISK))


def http_boot(at: float) -> list[BootEvent]:
    """The option after PXE: firmware asks over HTTP, and its iPXE is sent to the disk as well."""
    return [
        event("discovered", at, stage="http", firmware=Firmware.HTTP_X64),
        event("offered", at, stage="http"),
        event("addressed", at + 4, stage="http"),
        event("loader", at + 5, path=SNPONLY, outcome="complete", transport="http"),
        event("script", at + 6, transport="http", detail=LOCAL_DISK),
    ]


def test_firmwares_other_network_option_belongs_to_the_boot_that_left_for_the_disk() -> None:
    told = Told().tell(*LEFT)
    assert told.timeline.left_for_disk(MAC, 8)
    assert told.timeline.left_for_disk(MAC, 8 + LEAVING_SECONDS - 1)
    assert not told.timeline.left_for_disk(MAC, 8 + LEAVING_SECONDS)
    assert not told.timeline.left_for_disk(OTHER, 8)
    told.tell(*http_boot(12))
    assert len(told.boots) == 1
    assert told.steps(1)[-5:] == ["discovered", "offered", "addressed", "loader", "script"]
    boot = told.boots[1]
    assert (boot.outcome, boot.firmware) == (BootOutcome.LOCAL_DISK, Firmware.UEFI_X64)
    assert boot.closed == 8
    assert told.counted == [(1, BootOutcome.LOCAL_DISK)]


@pytest.mark.parametrize(
    "again",
    [
        pytest.param([event("discovered", 20)], id="switched-on-again"),
        pytest.param([event("discovered", 8 + 120, stage="http")], id="too-late"),
        pytest.param([event("script", 20, transport="http")], id="iPXE-alone"),
        pytest.param([*http_boot(12)[:4], event("script", 18, transport="http")], id="a-menu"),
        pytest.param([*http_boot(12), kernel(30)], id="a-kernel"),
    ],
)
def test_what_is_a_boot_of_its_own_after_the_disk(again: list[BootEvent]) -> None:
    told = Told().tell(*LEFT, *again)
    assert len(told.boots) == 2


def test_left_for_disk_is_about_the_newest_boot() -> None:
    told = Told().tell(*LEFT, event("discovered", 20))
    assert not told.timeline.left_for_disk(MAC, 21)


def test_a_kernel_without_initrd_is_a_whole_boot() -> None:
    told = Told({"tool": target("tool", TargetKind.TOOL)}).tell(kernel(1))
    assert told.counted == [(1, BootOutcome.RUNNING)]


def test_all_initrds_must_be_there() -> None:
    two = {"debian-12": target("debian-12", TargetKind.LIVE, "initrd.gz", "extra.gz")}
    told = Told(two).tell(kernel(1), initrd(2))
    assert told.counted == []
    told.tell(event("initrd", 3, path="images/debian-12/EXTRA.gz", outcome="complete"))
    assert told.counted == [(1, BootOutcome.RUNNING)]


def test_an_initrd_of_an_image_that_is_gone_counts_at_the_end() -> None:
    told = Told({}).tell(kernel(1), initrd(2))
    assert told.counted == []
    assert told.sweep(10_000).counted == [(1, BootOutcome.RUNNING)]


def test_an_unattended_target_is_counted_when_it_is_done() -> None:
    told = Told().tell(event("script", 1))
    boot = told.timeline.current(MAC)
    assert boot is not None
    told.take(told.timeline.assign(boot, "debian-12/auto", "debian-12"))
    told.tell(kernel(2), initrd(3))
    assert told.counted == []
    assert machine_state(boot, TARGETS) is MachineState.INSTALLING
    # It is the installer that asks for an address: alive, but nothing is decided by it.
    told.tell(event("system_up", 60))
    assert told.steps(1) == ["script", "kernel", "initrd", "system_up"]
    assert machine_state(boot, TARGETS) is MachineState.INSTALLING
    assert told.counted == []
    told.tell(event("done", 900))
    assert told.counted == [(1, BootOutcome.INSTALLED)]


def test_done_long_after_the_last_word_still_tells_the_truth_but_counts_once() -> None:
    told = Told().tell(kernel(1), initrd(2)).sweep(10_000).tell(event("done", 9_000))
    assert told.counted == [(1, BootOutcome.RUNNING)]
    assert told.boots[1].outcome is BootOutcome.INSTALLED
    assert told.steps(1)[-1] == "done"


def test_an_event_seen_before_changes_nothing() -> None:
    first = event("discovered", 0)
    told = Told().tell(first, first)
    assert told.steps(1) == ["discovered"]
    assert told.dropped == ["seen before"]


def test_late_events_find_the_boot_that_they_were_seen_in() -> None:
    """Redis was away for two boots; only what the catalog itself saw came in time."""
    told = Told().tell(event("script", 5), kernel(7), initrd(8))
    told.tell(event("script", 65), event("menu", 65), event("script", 70, detail=LOCAL_DISK))
    told.tell(
        event("discovered", 0),
        event("offered", 0.1),
        event("discovered", 4),
        event("loader", 4.5),
        event("discovered", 60),
        event("offered", 60.1),
        event("loader", 64),
    )
    assert told.steps(1) == [
        *("discovered", "offered", "discovered", "loader", "script", "kernel", "initrd")
    ]
    assert told.steps(2) == ["discovered", "offered", "loader", "script", "menu", "script"]
    assert [told.boots[n].started for n in (1, 2)] == [0, 60]
    assert told.counted == [(1, BootOutcome.RUNNING), (2, BootOutcome.LOCAL_DISK)]


def test_a_late_event_never_opens_a_boot() -> None:
    told = Told().tell(event("discovered", 1000), event("script", 1005), event("discovered", 1002))
    assert told.steps(1) == ["discovered", "discovered", "script"]
    told.tell(event("loader", 5))
    assert len(told.boots) == 1
    assert told.dropped == ["older than what is remembered"]


def test_a_closed_boot_takes_what_comes_late_and_is_not_counted_again() -> None:
    told = Told().tell(event("script", 5), event("script", 8, detail=LOCAL_DISK))
    told.tell(event("loader", 4), kernel(7), event("system_up", 40))
    assert told.steps(1) == ["loader", "script", "kernel", "script"]
    assert told.counted == [(1, BootOutcome.LOCAL_DISK)]
    assert told.dropped == ["no boot is under way"]


def test_an_address_tells_which_machine_it_was() -> None:
    told = Told().tell(event("loader", 0, mac=None, ip=IP))
    assert told.dropped == ["no machine is known behind it"]
    told.tell(event("addressed", 1, ip=IP), event("loader", 2, mac=None, ip=IP))
    assert told.steps(1) == ["addressed", "loader"]
    assert told.timeline.machine_at(IP) == MAC
    told.tell(event("addressed", 3, mac=OTHER, ip=IP))
    assert told.timeline.machine_at(IP) == OTHER


def test_a_silent_boot_is_over_at_the_time_that_it_was() -> None:
    told = Told().tell(event("loader", 100)).sweep(100 + SILENT_SECONDS - 1)
    assert told.boots[1].is_open
    told.sweep(90_000)
    assert told.boots[1].closed == 100 + SILENT_SECONDS


def test_a_clock_ahead_does_not_put_a_boot_into_the_future() -> None:
    timeline = Timeline()
    timeline.observe(event("discovered", 1e12), 50.0, TARGETS)
    boot = timeline.current(MAC)
    assert boot is not None
    assert boot.last == 50.0


def test_a_machine_in_a_loop_does_not_grow_its_boot_without_end() -> None:
    told = Told().tell(*(event("loader", n / 10) for n in range(3 * MAX_STEPS)), kernel(40))
    assert len(told.boots[1].steps) == MAX_STEPS + 1
    assert told.steps(1)[-1] == "kernel"


def test_boots_go_on_after_a_restart() -> None:
    told = Told().tell(event("discovered", 0, ip=IP), event("loader", 3))
    timeline = Timeline(told.boots.values(), told.timeline.next_number)
    changes = timeline.observe(event("script", 5), 10_000, TARGETS)
    assert [step.step for step in changes.boots[1].steps] == ["discovered", "loader", "script"]
    assert timeline.machine_at(IP) == MAC
    again = told.boots[1].steps[1]
    repeated = BootEvent(
        service=again.service,
        run=again.run,
        sequence=again.sequence,
        time=3,
        step=Step.LOADER,
        mac=MAC,
    )
    assert timeline.observe(repeated, 10_000, TARGETS).dropped == "seen before"
    assert timeline.observe(event("discovered", 60), 10_000, TARGETS).boots.keys() == {1, 2}


@pytest.mark.parametrize(
    ("events", "now", "state"),
    [
        pytest.param([event("discovered", 0)], 1, "booting", id="asking"),
        pytest.param([kernel(1), initrd(2)], 3, "booting", id="loaded"),
        pytest.param([kernel(1), initrd(2), event("system_up", 9)], 10, "idle", id="runs"),
        pytest.param([event("loader", 1)], 9_000, "failed", id="stopped"),
        pytest.param([event("discovered", 0)], 9_000, "idle", id="not-answered"),
        pytest.param([event("script", 0, detail=LOCAL_DISK)], 1, "idle", id="local-disk"),
    ],
)
def test_what_a_machine_is_doing(events: list[BootEvent], now: float, state: str) -> None:
    told = Told().tell(*events).sweep(now)
    assert machine_state(told.timeline.latest(MAC), TARGETS) == state
