"""What is learned of machines: sequences of real boots, and what must never be concluded."""

from itertools import count

import pytest

from bootyard.model.architecture import Firmware
from bootyard.model.events import BootEvent, BootOutcome, OfferStage, Step
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import LOCAL_DISK, Learned
from services.catalog.boots.boot import Boot
from services.catalog.boots.learning import REVIEW_SECONDS, Change, Learning
from services.catalog.boots.timeline import Timeline
from services.catalog.boots.verdict import verdict
from tests.catalog.test_boots_timeline import MAC, TARGETS

START = 1_800_000_000.0
SNPONLY = "loaders/uefi-x64/snponly.efi"
IPXE = "loaders/uefi-x64/ipxe.efi"
SHIM = "loaders/uefi-x64/shimx64.efi"
GRUB = "loaders/uefi-x64/grubx64.efi"
UNDIONLY = "loaders/bios/undionly.kpxe"
PXELINUX = "loaders/bios/pxelinux.0"
COMPATIBLE, DIRECT = OfferStrategy.COMPATIBLE, OfferStrategy.DIRECT
_sequence = count(1)


def event(
    at: float,
    step: str,
    path: str | None = None,
    *,
    stage: str | None = None,
    outcome: str = "",
    firmware: Firmware = Firmware.UEFI_X64,
    strategy: OfferStrategy | None = None,
    transport: str | None = None,
    seconds: float | None = None,
    detail: str = "",
    mac: MACAddress = MAC,
) -> BootEvent:
    return BootEvent(
        service="test",
        run="r1",
        sequence=next(_sequence),
        time=START + at,
        step=Step(step),
        mac=mac,
        firmware=firmware,
        stage=OfferStage(stage) if stage else None,
        strategy=strategy,
        outcome=outcome,
        path=path,
        image="debian-12" if path and path.startswith("images/") else None,
        transport=transport,
        seconds=seconds,
        detail=detail,
    )


def switched_on(
    at: float,
    boot_file: str = SNPONLY,
    firmware: Firmware = Firmware.UEFI_X64,
    stage: str = "rom",
    strategy: OfferStrategy = COMPATIBLE,
) -> list[BootEvent]:
    """Firmware asks and is offered a loader."""
    return [
        event(at, "discovered", stage=stage, firmware=firmware),
        event(
            at, "offered", stage=stage, firmware=firmware, strategy=strategy, detail=boot_file
        ),
    ]  # fmt: skip


def loader(at: float, path: str = SNPONLY, outcome: str = "complete", **more: float) -> BootEvent:
    firmware = Firmware.BIOS if "/bios/" in path else Firmware.UEFI_X64
    return event(at, "loader", path, outcome=outcome, transport="tftp", firmware=firmware, **more)  # type: ignore[arg-type]


def first_script(at: float) -> BootEvent:
    return event(at, "script", "loaders/uefi-x64/autoexec.ipxe", transport="tftp")


def script(at: float, detail: str = "") -> BootEvent:
    return event(at, "script", "boot.ipxe", transport="http", detail=detail)


def started(at: float) -> list[BootEvent]:
    """A kernel and its initrd are taken."""
    return [
        event(at, "kernel", "images/debian-12@1/linux", outcome="complete", transport="http"),
        event(at + 1, "initrd", "images/debian-12@1/initrd.gz", outcome="complete"),
    ]


def good_boot(at: float) -> list[BootEvent]:
    """UEFI, chainloaded iPXE on the firmware's lease (the lab's OVMF)."""
    return [
        *switched_on(at),
        event(at + 4, "acked", stage="rom", detail=SNPONLY),
        loader(at + 4.7),
        first_script(at + 4.9),
        script(at + 5),
        *started(at + 5.5),
    ]


def signed_boot(at: float) -> list[BootEvent]:
    """shim, GRUB, its first script, the catalog's, a menu (the lab's OVMF with Secure Boot)."""
    return [
        *switched_on(at, SHIM),
        loader(at + 5, SHIM),
        loader(at + 7, GRUB),
        event(at + 7.2, "script", "grub/grub.cfg", transport="tftp"),
        script(at + 7.3),
        event(at + 7.3, "menu", transport="http"),
        *started(at + 9),
    ]


class Catalog:
    """The journal's way of telling, on a clock that the story moves."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.learning = Learning()
        self.now = START
        self.boots: dict[int, Boot] = {}
        self.changes: list[Change] = []
        self.history: list[Learned] = [Learned()]

    def tell(self, *events: BootEvent) -> "Catalog":
        for told in events:
            self.wait_until(told.time - START)
            self.hear(told)
        return self

    def hear(self, *events: BootEvent) -> "Catalog":
        """Take in events that come now, whatever their time."""
        for told in events:
            changes = self.timeline.observe(told, self.now, TARGETS)
            self.boots.update(changes.boots)
            for boot in changes.boots.values():
                self._note(self.learning.observe(boot, self.now))
        return self

    def wait_until(self, at: float) -> "Catalog":
        while self.now < START + at:
            self.now = min(self.now + REVIEW_SECONDS, START + at)
            boots, changes = self.learning.review(self.now)
            self.boots.update(self.timeline.review(boots, self.now).boots)
            self._note(changes)
            self.boots.update(self.timeline.sweep(self.now, TARGETS).boots)
        return self

    def _note(self, changes: list[Change]) -> None:
        self.changes += changes
        if self.learned() != self.history[-1]:
            self.history.append(self.learned())

    def learned(self, mac: MACAddress = MAC) -> Learned:
        return self.learning.learned.get(mac, Learned())

    def outcomes(self) -> list[str]:
        return [self.boots[number].outcome.value for number in sorted(self.boots)]


def test_the_strategy_that_a_machine_went_on_from() -> None:
    catalog = Catalog().tell(
        *switched_on(0, strategy=COMPATIBLE),
        *switched_on(4, strategy=COMPATIBLE),
        *switched_on(12, strategy=DIRECT),
    )
    assert catalog.learned().offer is None
    catalog.tell(loader(16))
    assert catalog.learned().offer is DIRECT
    assert not any(change.is_urgent for change in catalog.changes)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([*switched_on(0), loader(4, "pxelinux.0")], id="named-by-another-server"),
        pytest.param([*switched_on(0, stage="http"), loader(4)], id="http-has-only-one-way"),
        pytest.param(
            [*switched_on(0), event(1, "offered", stage="rom", outcome="other_server")],
            id="offer-of-another-server",
        ),
    ],
)
def test_no_strategy_is_learned_from(events: list[BootEvent]) -> None:
    assert Catalog().tell(*events).learned().offer is None


def test_secure_boot_fails_over_by_itself() -> None:
    """OVMF with Secure Boot: the loader is refused, HTTP Boot is tried, then it is switched on."""
    catalog = Catalog().tell(*switched_on(0), loader(5))
    catalog.wait_until(19.9)
    assert catalog.learned().secure_boot is None
    catalog.wait_until(22)
    assert catalog.learned().secure_boot == "probable"
    assert catalog.changes[-1].is_urgent
    assert catalog.outcomes() == ["secure_boot"]
    assert verdict(catalog.boots[1]) is not None
    assert "probably" in (verdict(catalog.boots[1]) or "")
    catalog.tell(*signed_boot(60))
    assert catalog.learned().secure_boot == "confirmed"
    assert catalog.outcomes() == ["secure_boot", "running"]
    assert verdict(catalog.boots[2]) is None


def test_firmware_that_asks_again_says_it_sooner() -> None:
    catalog = Catalog().tell(*switched_on(0), loader(5), *switched_on(7, stage="http"))
    catalog.wait_until(11)
    assert catalog.learned() == Learned(
        offer=COMPATIBLE, secure_boot="probable", dead_ends=(LoaderName.SNPONLY,)
    )
    assert catalog.outcomes() == ["secure_boot", "running"]


def test_http_boot_is_uefi_too() -> None:
    taken = event(
        4, "loader", SNPONLY, outcome="complete", transport="http", firmware=Firmware.HTTP_X64
    )
    offered = switched_on(0, firmware=Firmware.HTTP_X64, stage="http")
    assert Catalog().tell(*offered, taken).wait_until(30).learned().secure_boot == "probable"


def test_a_bios_has_no_secure_boot() -> None:
    catalog = Catalog().tell(*switched_on(0, UNDIONLY, Firmware.BIOS), loader(2, UNDIONLY))
    catalog.wait_until(170)
    assert catalog.learned().secure_boot is None
    assert catalog.learned().dead_ends == ()
    assert catalog.wait_until(4000).outcomes() == ["stopped_loader"]


def test_a_slow_loader_takes_the_conclusion_back() -> None:
    catalog = Catalog().tell(*switched_on(0), loader(5)).wait_until(30)
    assert catalog.outcomes() == ["secure_boot"]
    catalog.tell(first_script(31))
    assert catalog.outcomes() == ["running"]
    assert catalog.learned() == Learned(offer=COMPATIBLE)
    catalog.tell(script(32), *started(33))
    assert len(catalog.boots) == 1


def test_secure_boot_that_is_switched_off_is_forgotten() -> None:
    catalog = Catalog().tell(*switched_on(0), loader(5), *signed_boot(60))
    assert catalog.learned().secure_boot == "confirmed"
    assert catalog.tell(*good_boot(900)).learned().secure_boot is None


def test_shim_alone_confirms_nothing() -> None:
    catalog = Catalog().tell(*switched_on(0), loader(5), *switched_on(60, SHIM), loader(65, SHIM))
    catalog.tell(loader(67, GRUB)).wait_until(200)
    assert catalog.learned() == Learned(
        offer=COMPATIBLE, secure_boot="probable", dead_ends=(LoaderName.SNPONLY, LoaderName.SHIM)
    )


def test_a_vendors_chain_confirms_too() -> None:
    folder = "images/ubuntu@1/casper"
    catalog = Catalog().tell(
        *switched_on(0),
        loader(5),
        *switched_on(60, f"{folder}/bootx64.efi"),
        loader(65, f"{folder}/bootx64.efi"),
        loader(67, f"{folder}/grubx64.efi"),
        event(68, "script", f"{folder}/grub.cfg", transport="tftp"),
    )
    assert catalog.learned().secure_boot == "confirmed"


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(good_boot(0), id="to-the-kernel"),
        pytest.param([*good_boot(0)[:6], script(20, LOCAL_DISK)], id="local-disk"),
        pytest.param(good_boot(0)[:6], id="menu-left-alone"),
        pytest.param([*good_boot(0)[:6], *switched_on(60)], id="reset-at-the-menu"),
        pytest.param(
            [*switched_on(0), loader(20, outcome="timeout", seconds=15), *switched_on(30)],
            id="power-cut-in-the-loader",
        ),
        pytest.param(
            [
                *good_boot(0)[:6],
                event(9, "kernel", "images/debian-12@1/linux", outcome="client_abort"),
                *switched_on(20),
            ],
            id="power-cut-in-the-kernel",
        ),
        pytest.param(
            [
                *switched_on(0, SHIM),
                loader(5, SHIM),
                *switched_on(20, SHIM),
                loader(40, GRUB, outcome="timeout", seconds=34.0),
            ],
            id="power-cut-in-grub-told-late",
        ),
        pytest.param(signed_boot(0), id="signed"),
        pytest.param(
            [
                *switched_on(0, SHIM),
                loader(5, SHIM),
                loader(50, GRUB),
                event(51, "script", "grub/grub.cfg", transport="tftp"),
                script(52),
            ],
            id="grub-over-a-slow-line",
        ),
        pytest.param(
            [
                *switched_on(0, PXELINUX, Firmware.BIOS),
                loader(2, PXELINUX),
                loader(2.1, "loaders/bios/ldlinux.c32"),
                event(2.2, "menu", "pxelinux.cfg/default", transport="tftp"),
                *switched_on(60, PXELINUX, Firmware.BIOS),
            ],
            id="pxelinux-menu-and-reset",
        ),
        pytest.param(
            [
                *switched_on(0, UNDIONLY, Firmware.BIOS),
                loader(2, UNDIONLY),
                event(4, "discovered", stage="ipxe", firmware=Firmware.BIOS),
                event(30, "discovered", stage="ipxe", firmware=Firmware.BIOS),
            ],
            id="ipxe-without-an-address",
        ),
    ],
)
def test_what_says_nothing_against_a_loader(events: list[BootEvent]) -> None:
    catalog = Catalog().tell(*events).wait_until(170)
    assert [known for known in catalog.history if known.secure_boot or known.dead_ends] == []


def test_firmware_and_ipxe_in_a_loop() -> None:
    """iPXE starts, finds no address, leaves; the firmware begins again."""

    def again(at: float) -> list[BootEvent]:
        taken = switched_on(at, UNDIONLY, Firmware.BIOS)
        return [
            *taken,
            loader(at + 2, UNDIONLY),
            event(at + 4, "discovered", stage="ipxe", firmware=Firmware.BIOS),
        ]

    catalog = Catalog().tell(*again(0), *again(40), *switched_on(80, UNDIONLY, Firmware.BIOS))
    assert catalog.learned().dead_ends == (LoaderName.UNDIONLY,)
    assert len(catalog.boots) == 1
    said = verdict(catalog.boots[1])
    assert said is not None
    assert "2 times" in said
    catalog.wait_until(41 + 600)
    assert catalog.learned().dead_ends == (LoaderName.UNDIONLY,)
    catalog.wait_until(45 + 600)
    assert catalog.learned().dead_ends == (), "a machine is never locked out"
    assert catalog.changes[-1].is_urgent


def test_a_loop_through_the_first_script() -> None:
    """iPXE takes its first script, and cannot reach the catalog: each round is a boot."""
    rounds = [
        told
        for at in (0, 50)
        for told in (*switched_on(at), loader(at + 5), first_script(at + 5.2))
    ]
    catalog = Catalog().tell(*rounds, *switched_on(100)).wait_until(104)
    assert catalog.learned() == Learned(offer=COMPATIBLE, dead_ends=(LoaderName.SNPONLY,))
    assert [verdict(catalog.boots[n]) is not None for n in (1, 2)] == [True, True]


def test_another_loader_that_works_clears_the_way() -> None:
    catalog = Catalog().tell(
        *switched_on(0), loader(5), first_script(5.2), *switched_on(40, IPXE), loader(45, IPXE)
    )
    assert catalog.learned().dead_ends == (LoaderName.SNPONLY,)
    catalog.tell(first_script(45.2), script(45.3))
    assert catalog.learned().dead_ends == ()


def test_an_event_that_came_late_takes_a_dead_end_back() -> None:
    catalog = Catalog().tell(*switched_on(0), loader(5), *switched_on(40)).wait_until(60)
    assert catalog.learned().dead_ends == (LoaderName.SNPONLY,)
    catalog.hear(first_script(5.2), script(6))
    assert catalog.learned() == Learned(offer=COMPATIBLE)
    assert catalog.boots[1].outcome is not BootOutcome.SECURE_BOOT
