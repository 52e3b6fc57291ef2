"""Whatever comes in, in whatever order: nothing raises, and nothing is told twice."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bootyard.model.architecture import Firmware
from bootyard.model.document import decode, encode
from bootyard.model.events import (
    OTHER_SERVER,
    BootEvent,
    IgnoreReason,
    OfferStage,
    Step,
    TransferOutcome,
)
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import LOCAL_DISK
from services.catalog.boots.boot import Boot
from services.catalog.boots.learning import MAX_FAILURES, NOTHING, Learning, learn
from services.catalog.boots.timeline import Timeline
from services.catalog.boots.verdict import verdict
from tests.catalog.test_boots_timeline import TARGETS

LOADERS = [
    *(f"loaders/uefi-x64/{file}" for file in ("snponly.efi", "shimx64.efi", "grubx64.efi")),
    "loaders/bios/undionly.kpxe",
    "pxelinux.0",
    "ldlinux.c32",
]
MACS = [MACAddress(f"52:54:00:00:00:0{n}") for n in range(1, 4)]

EVENTS = st.builds(
    BootEvent,
    service=st.sampled_from(["proxydhcp", "tftp", "catalog"]),
    run=st.sampled_from(["r1", "r2"]),
    sequence=st.integers(0, 60),
    time=st.floats(-10, 6_000) | st.floats(allow_nan=False, allow_infinity=False),
    step=st.sampled_from(Step),
    mac=st.none() | st.sampled_from(MACS),
    ip=st.none() | st.sampled_from(["192.0.2.1", "192.0.2.2"]),
    firmware=st.none() | st.sampled_from([Firmware.UEFI_X64, Firmware.HTTP_X64, Firmware.BIOS]),
    stage=st.none() | st.sampled_from(OfferStage),
    strategy=st.none() | st.sampled_from(OfferStrategy),
    outcome=st.sampled_from(["", *TransferOutcome, *IgnoreReason, OTHER_SERVER]),
    transport=st.sampled_from([None, "tftp", "http"]),
    seconds=st.none() | st.floats(0, 100),
    path=st.none()
    | st.sampled_from(["images/debian-12@1/linux", "images/debian-12/initrd.gz", "images/", "x"])
    | st.sampled_from(LOADERS),
    image=st.none() | st.sampled_from(["debian-12", "gone"]),
    detail=st.sampled_from(["", LOCAL_DISK]),
)
INPUT = st.lists(EVENTS | st.floats(0, 9_000), max_size=80)
"""Events, and moments at which silent boots are looked for."""


@given(INPUT)
def test_any_events_in_any_order(told: list[BootEvent | float]) -> None:
    timeline, learning = Timeline(), Learning()
    boots: dict[int, Boot] = {}
    counted: list[int] = []
    placed: dict[tuple[str, str, int], int] = {}
    now = 0.0
    for item in told:
        if isinstance(item, float):
            now = max(now, item)
            changes = timeline.sweep(now, TARGETS)
            undecided, _ = learning.review(now)
            boots.update(timeline.review(undecided, now).boots)
        else:
            changes = timeline.observe(item, max(now, 6_000.0), TARGETS)
            assert len(changes.steps) <= 1
        boots.update(changes.boots)
        for boot in changes.boots.values():
            learning.observe(boot, now)
        counted += [boot.number for boot in changes.counted]
        for boot, step, since in changes.steps:
            key = (step.service, step.run, step.sequence)
            assert key not in placed
            placed[key] = boot.number
            assert since is None or since >= 0
    assert len(counted) == len(set(counted))
    for boot in boots.values():
        times = [step.at for step in boot.steps]
        assert times == sorted(times)
        assert all(boot.started <= s.at <= boot.last for s in boot.steps if s.is_ours)
        verdict(boot)
        assert boot.is_open or boot.number in counted
    for mac in MACS:
        assert sum(b.is_open for b in boots.values() if b.mac == mac) <= 1
        evidence = learning.evidence(mac)
        assert max(len(evidence.refused), len(evidence.dead_ends)) <= MAX_FAILURES
        assert decode(encode(evidence), type(evidence)) == evidence
    learning.review(now + 1_000_000)
    assert not any(known.dead_ends for known in learning.learned.values())


@given(st.lists(EVENTS, max_size=60), st.randoms(use_true_random=False))
def test_it_does_not_matter_which_boot_is_looked_at_first(
    events: list[BootEvent], order: Random
) -> None:
    timeline = Timeline()
    boots: dict[int, Boot] = {}
    for event in events:
        boots.update(timeline.observe(replace(event, mac=MACS[0]), 6_000.0, TARGETS).boots)
    late = 7_000.0
    forwards = NOTHING
    for number in sorted(boots):
        forwards = learn(forwards, boots[number], late)
    shuffled = NOTHING
    for number in order.sample(sorted(boots), len(boots)):
        shuffled = learn(shuffled, boots[number], late)
    assert shuffled.learned(late) == forwards.learned(late)
    for boot in boots.values():
        assert learn(forwards, boot, late) == forwards, "and looking twice changes nothing"


@given(st.lists(EVENTS, max_size=40))
def test_a_restart_in_between_changes_no_boot(events: list[BootEvent]) -> None:
    whole, first = Timeline(), Timeline()
    told = [
        replace(event, sequence=number, mac=event.mac or MACS[0])
        for number, event in enumerate(events)
    ]
    for event in told:
        whole.observe(event, 6_000.0, TARGETS)
    kept: dict[int, Boot] = {}
    for event in told[: len(told) // 2]:
        kept.update(first.observe(event, 6_000.0, TARGETS).boots)
    second = Timeline(
        (decode(encode(boot), Boot) for boot in kept.values()), next_number=first.next_number
    )
    for event in told[len(told) // 2 :]:
        second.observe(event, 6_000.0, TARGETS)
    assert second.next_number == whole.next_number
    for mac in MACS:
        assert second.latest(mac) == whole.latest(mac)
