"""What is learned of machines: sequences of real boots, and what must never be concluded."""

from collections.abc import Callable
from itertools import count
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bootyard.boot.choice import BootOffer, Silence, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.architecture import ClientArchitecture, Firmware
from bootyard.model.document import decode, encode
from bootyard.model.events import BootEvent, BootOutcome, OfferStage, Step
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import LOCAL_DISK, Learned, Root, Slice, Snapshot
from services.catalog.boots import learning as room
from services.catalog.boots.boot import Boot
from services.catalog.boots.learning import REVIEW_SECONDS, Change, Evidence, Learning
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
Told = tuple[Callable[[float], list[BootEvent]], float, bool, Random]
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


def test_what_is_learned_decides_the_next_offer() -> None:
    """Another build, the signed chain, silence; and from the beginning after ten minutes."""
    files = (SNPONLY, IPXE, SHIM, GRUB)
    catalog, offered, at = Catalog(), list[str](), 0.0
    while True:
        offer = choice(catalog, files)
        offered.append(offer.boot_file if isinstance(offer, BootOffer) else offer.reason.value)
        if isinstance(offer, Silence):
            break
        catalog.tell(*switched_on(at, offer.boot_file), loader(at + 5, offer.boot_file))
        at += 100
        catalog.tell(event(at, "discovered", stage="rom")).wait_until(at + 62)
        at += 70
    assert offered == [SNPONLY, SHIM, IPXE, GRUB, "no_loader"]
    assert "no loader led anywhere" in offer.detail
    catalog.wait_until(at + 600)
    offer = choice(catalog, files)
    assert isinstance(offer, BootOffer)
    assert offer.boot_file == SHIM, "never locked out; that it refused what is unsigned stays"


def choice(catalog: Catalog, files: tuple[str, ...]) -> BootOffer | Silence:
    """Choose for the machine by what is learned."""
    content = Slice(root=Root.PACKAGED, path="loader", extents=((0, 1),))
    snapshot = Snapshot(
        epoch="e",
        number=1,
        http_port=8080,
        loaders={path.removeprefix("loaders/"): content for path in files},
        learned={MAC: msgspec.Raw(encode(catalog.learned()))},
    )
    client = BootClient(
        mac=MAC,
        firmware=Firmware.UEFI_X64,
        kind=ClientKind.ROM,
        architecture=ClientArchitecture.X64_UEFI,
    )
    return choose(client, RecentBoot(), snapshot)


def test_a_restart_forgets_nothing_and_concludes_nothing_new() -> None:
    catalog = Catalog().tell(*switched_on(0), loader(5), *switched_on(40)).wait_until(60)
    evidence = decode(encode(catalog.learning.evidence(MAC)), Evidence)
    assert evidence == catalog.learning.evidence(MAC)
    again = Learning([(MAC, evidence)], catalog.now)
    assert again.learned == {MAC: catalog.learned()}
    assert again.review(catalog.now + 1) == ([], [])
    later = Learning([(MAC, evidence)], START + 700)
    assert later.learned[MAC].dead_ends == ()
    assert later.learned[MAC].secure_boot == "probable"


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    catalog = Catalog().tell(*switched_on(0), loader(5), *switched_on(40)).wait_until(60)
    assert catalog.learned().dead_ends
    catalog.learning.review(START - 86_400)
    assert catalog.learned().dead_ends == ()


def test_a_clock_that_was_ahead_hides_nothing_that_is_new() -> None:
    ahead = Catalog().tell(*switched_on(90_000, strategy=DIRECT), loader(90_005))
    ahead.tell(first_script(90_006), script(90_007)).wait_until(90_100)
    catalog = Catalog()
    catalog.learning = Learning([(MAC, ahead.learning.evidence(MAC))], catalog.now)
    catalog.tell(*switched_on(10), loader(15), *switched_on(40)).wait_until(50)
    assert catalog.learned() == Learned(
        offer=COMPATIBLE, secure_boot="probable", dead_ends=(LoaderName.SNPONLY,)
    )


def test_what_is_learned_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_MACHINES", 3)
    catalog = Catalog()
    macs = [MACAddress(f"52:54:00:00:00:0{n}") for n in range(5)]
    for at, mac in enumerate([*macs[:3], macs[0], *macs[3:]]):
        events = [replace(known, mac=mac) for known in good_boot(at * 100)]
        catalog.tell(*events)
    assert set(catalog.learning.learned) == {macs[0], macs[3], macs[4]}
    forgotten = [change.mac for change in catalog.changes if change.evidence is None]
    assert forgotten == [macs[1], macs[2]]


def bios_boot(at: float) -> list[BootEvent]:
    """A BIOS loads undionly.kpxe, which asks for an address and its script itself."""
    return [
        *switched_on(at, UNDIONLY, Firmware.BIOS, strategy=DIRECT),
        loader(at + 2, UNDIONLY),
        event(at + 3, "discovered", stage="ipxe", firmware=Firmware.BIOS),
        event(at + 6, "script", "boot.ipxe", transport="tftp", firmware=Firmware.BIOS),
        script(at + 6.2),
        *started(at + 8),
    ]


def rom_boot(at: float) -> list[BootEvent]:
    """An iPXE in the card's ROM needs no loader."""
    return [
        event(at, "discovered", stage="ipxe", firmware=Firmware.BIOS),
        event(at + 3, "script", "boot.ipxe", transport="tftp", firmware=Firmware.BIOS),
        script(at + 3.1),
        *started(at + 4),
    ]


def pxelinux_boot(at: float) -> list[BootEvent]:
    """A pinned pxelinux: no script, a menu over TFTP."""
    return [
        *switched_on(at, PXELINUX, Firmware.BIOS, strategy=DIRECT),
        loader(at + 2, PXELINUX),
        loader(at + 2.1, "loaders/bios/ldlinux.c32"),
        event(at + 2.2, "menu", "pxelinux.cfg/default", transport="tftp"),
        *started(at + 9),
    ]


def disk_boot(at: float) -> list[BootEvent]:
    """The menu's timeout leads to the disk, by way of HTTP Boot."""
    return [
        *good_boot(at)[:6],
        script(at + 15, LOCAL_DISK),
        event(at + 18, "discovered", stage="http", firmware=Firmware.HTTP_X64),
        event(at + 18, "offered", stage="http", firmware=Firmware.HTTP_X64, detail=SNPONLY),
        event(at + 23, "loader", SNPONLY, outcome="complete", transport="http"),
        script(at + 24, LOCAL_DISK),
    ]


KINDS = (good_boot, signed_boot, bios_boot, rom_boot, pxelinux_boot, disk_boot)


BOOTS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.floats(0.5, 4000),
        st.booleans(),
        st.randoms(use_true_random=False),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(BOOTS)
def test_boots_that_succeed_say_nothing_against_a_loader(told: list[Told]) -> None:
    """In time; or Redis was away, and what the other services saw comes when all is over."""
    catalog = Catalog()
    at = 0.0
    for kind, pause, in_time, order in told:
        events = kind(at)
        if in_time:
            catalog.tell(*events)
        else:
            own = [e for e in events if service(e) == "catalog"]
            catalog.tell(*own).wait_until(at + 40).hear(*overtaking(events, order))
        at = max(catalog.now, *(e.time for e in events)) - START + pause
        catalog.wait_until(at)
    catalog.wait_until(at + 300)
    against = [known for known in catalog.history if known.secure_boot or known.dead_ends]
    assert against == []


def service(told: BootEvent) -> str:
    """Who saw it."""
    if told.step in {Step.DISCOVERED, Step.OFFERED, Step.ACKED}:
        return "proxydhcp"
    return "tftp" if told.transport == "tftp" else "catalog"


def overtaking(events: list[BootEvent], order: Random) -> list[BootEvent]:
    """Events of proxydhcp and of tftp, each in their order, and some of them twice."""
    waiting = [[e for e in events if service(e) == name] for name in ("proxydhcp", "tftp")]
    heard: list[BootEvent] = []
    while any(waiting):
        heard.append(order.choice([queue for queue in waiting if queue]).pop(0))
        if order.random() < 0.2:
            heard.append(heard[-1])
    return heard
