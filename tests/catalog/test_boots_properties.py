"""Whatever comes in, in whatever order: nothing raises, and nothing is told twice."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bootyard.model.document import decode, encode
from bootyard.model.events import BootEvent, IgnoreReason, OfferStage, Step, TransferOutcome
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import LOCAL_DISK
from services.catalog.boots.boot import Boot
from services.catalog.boots.timeline import Timeline
from tests.catalog.test_boots_timeline import TARGETS

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
    stage=st.none() | st.sampled_from(OfferStage),
    outcome=st.sampled_from(["", *TransferOutcome, *IgnoreReason]),
    path=st.none()
    | st.sampled_from(["images/debian-12@1/linux", "images/debian-12/initrd.gz", "images/", "x"]),
    image=st.none() | st.sampled_from(["debian-12", "gone"]),
    detail=st.sampled_from(["", LOCAL_DISK]),
)
INPUT = st.lists(EVENTS | st.floats(0, 9_000), max_size=80)
"""Events, and moments at which silent boots are looked for."""


@given(INPUT)
def test_any_events_in_any_order(told: list[BootEvent | float]) -> None:
    timeline = Timeline()
    boots: dict[int, Boot] = {}
    counted: list[int] = []
    placed: dict[tuple[str, str, int], int] = {}
    now = 0.0
    for item in told:
        if isinstance(item, float):
            now = max(now, item)
            changes = timeline.sweep(now, TARGETS)
        else:
            changes = timeline.observe(item, max(now, 6_000.0), TARGETS)
            assert len(changes.steps) <= 1
        boots.update(changes.boots)
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
        assert all(boot.started <= at <= boot.last for at in times)
        assert boot.is_open or boot.number in counted
    for mac in MACS:
        assert sum(b.is_open for b in boots.values() if b.mac == mac) <= 1


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
