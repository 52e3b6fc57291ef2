"""Offers from memory are byte for byte the ones that would be made anew."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootyard.boot.client import RecentBoot
from bootyard.model.document import encode
from bootyard.model.mac import PROBE_MAC, MACAddress
from bootyard.model.snapshot import Machine, Policy
from services.proxydhcp.identify import RASPBERRY_PI_OUIS, Listener
from services.proxydhcp.offers_made import REMEMBERED, OffersMade
from services.proxydhcp.packet import DHCPPacket
from tests.proxydhcp.packets import CLIENT, MAC, SERVER, request
from tests.proxydhcp.test_identify import BIOS, IPXE_OPTIONS
from tests.proxydhcp.test_responder import Bench, snapshot

REGISTERED = MACAddress.parse("02:00:00:00:01:01")
MACS = (
    *(MACAddress.parse(f"02:00:00:00:02:0{number}") for number in range(4)),
    REGISTERED,
    MACAddress.parse(f"{RASPBERRY_PI_OUIS[0]}:00:00:01"),
    PROBE_MAC,
)
UUIDS = (bytes(range(16)), bytes(16), b"RPi4" + bytes(12), b"\x97\x61\x11\0" * 4, b"0" * 16)
EDK2 = {57: b"\x05\xc0", 55: bytes(range(1, 36)), 94: b"\1\3\x10"}
MAKES: tuple[dict[str, Any], ...] = (
    {"more": EDK2},
    {"arch": BIOS, "more": {55: bytes(range(60)), 61: b""}},
    {"arch": BIOS, "more": {175: IPXE_OPTIONS, 77: b"iPXE", 61: b""}},
    {"arch": BIOS, "more": {175: b"\x18\1\1"}},
    {"vendor_class": b"HTTPClient:Arch:00016:UNDI:003001", "arch": b"\0\x10"},
    {"giaddr": CLIENT, "more": {82: b"\1\4eth7"}},
    {"more": {61: b"", 55: b"\x61\x11\0" * 8}},
)
ONCE_MORE = b"\x61\x02ab"
"""Option 97 a second time; parts are joined (RFC 3396)."""
OVERLOADED = b"\x34\x01\x01"
"""The field `file` holds options (RFC 2132 §9.3)."""


def bench() -> Bench:
    machine = Machine(mac=REGISTERED, firmware=None, secure_boot=True)
    machines = {str(REGISTERED): msgspec.Raw(encode(machine))}
    return Bench(state=msgspec.structs.replace(snapshot(), machines=machines))


@dataclass
class Pair:
    """One bench that remembers offers, and one that makes every one anew."""

    remembering: Bench
    forgetful: Bench
    found: int = 0

    def hear(self, data: bytes, seconds: float) -> None:
        self.remembering.now += seconds
        self.forgetful.now += seconds
        for each in (self.remembering, self.forgetful):
            each.sent.clear()
            each.events.clear()
            each.hear_at_once(data)
        assert self.remembering.sent == self.forgetful.sent
        told = [self._story(each) for each in (self.remembering, self.forgetful)]
        assert told[0] == told[1]

    def compare_counts(self) -> None:
        for name in ("packets_received_total", "packets_ignored_total", "offers_total"):
            assert self.remembering.total(name) == self.forgetful.total(name)

    @staticmethod
    def _story(bench: Bench) -> list[Any]:
        alike = {"run": "", "time": 0.0}
        return [msgspec.structs.replace(event, **alike) for event in bench.events]


def pair() -> Pair:
    made = Pair(bench(), bench())
    made.forgetful.responder._offers.keep = lambda *_: None  # type: ignore[method-assign]
    find = made.remembering.responder._offers.find

    def counted(*question: Any) -> Any:  # noqa: ANN401
        answer = find(*question)
        made.found += answer is not None
        return answer

    made.remembering.responder._offers.find = counted  # type: ignore[method-assign, assignment]
    return made


shared = pair()
"""For all examples: what is remembered from one must not spoil another."""


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """A DISCOVER of some make and machine, at times with damage."""
    make = dict(draw(st.sampled_from(MAKES)))
    mac, uuid = draw(st.sampled_from(MACS)), draw(st.sampled_from(UUIDS))
    options = dict(make.pop("more", {}))
    if 61 in options:
        options[61] = b"\1" + mac.octets
    kind = draw(st.sampled_from((1, 1, 1, 3)))
    packet = request(
        kind,
        mac=mac,
        xid=draw(st.integers(0, 2**32 - 1)),
        machine_id=draw(st.sampled_from((b"\0" + uuid, b"\0" + uuid, b"\1" + uuid, None))),
        more=options,
        **make,
    )
    data = bytearray(packet.to_bytes() + draw(st.sampled_from((b"", bytes(30)))))
    data[9] = draw(st.integers(0, 5))
    oddity = draw(st.sampled_from((b"", b"", b"", ONCE_MORE, OVERLOADED)))
    data[240:240] = oddity
    if oddity == OVERLOADED:
        data[108 : 108 + len(ONCE_MORE)] = ONCE_MORE
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(datagrams(), st.sampled_from((0.0, 2.0, 400.0))), max_size=8))
def test_an_offer_from_memory_is_the_one_that_would_be_made(
    heard: list[tuple[bytes, float]],
) -> None:
    for data, seconds in heard:
        shared.hear(data, seconds)
    shared.compare_counts()
    assert shared.remembering.internal_errors() == 0


def test_machines_of_one_make_are_answered_from_memory() -> None:
    both = pair()
    for number in range(20):
        mac = MACAddress.from_bytes(b"\2\0\0\0\3" + bytes((number,)))
        for make in (EDK2, {**EDK2, 61: b"\1" + mac.octets}):
            packet = request(
                mac=mac, xid=number, machine_id=b"\0" + mac.octets + bytes(10), more=make
            )
            both.hear(packet.to_bytes(), 0.0)
    assert both.found >= 38


@pytest.mark.parametrize("mac", MACS[4:])
def test_machines_that_are_told_apart_are_not(mac: MACAddress) -> None:
    both = pair()
    both.hear(request().to_bytes(), 2.0)
    both.hear(request(mac=mac).to_bytes(), 2.0)
    both.hear(request(mac=mac).to_bytes(), 2.0)
    assert both.found == 0


def test_a_new_snapshot_and_another_address_are_new_offers() -> None:
    made = bench()
    offers = made.responder._offers
    first = made.hear(request())
    assert first is not None
    data, held = request(mac=MACS[0]).to_bytes(), made.responder._snapshots.snapshot
    recent = RecentBoot()
    found = offers.find(data, recent, SERVER, held)
    assert found is not None
    assert DHCPPacket.parse(found.reply).mac == MACS[0]
    assert offers.find(data, recent, CLIENT, held) is None
    assert offers.find(data, recent, SERVER, snapshot(Policy(deny=(MAC,)))) is None


def test_memory_is_bounded() -> None:
    made = bench()
    for number in range(3 * REMEMBERED):
        more = {12: number.to_bytes(2) + bytes(number % 50)}
        packet = request(mac=MACAddress.from_bytes(b"\2\0" + number.to_bytes(4)), more=more)
        made.hear_at_once(packet, Listener.DHCP)
    offers: OffersMade = made.responder._offers
    assert len(offers._kept) <= REMEMBERED
    assert len(offers._shapes) <= REMEMBERED
