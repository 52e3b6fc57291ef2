"""What is overheard on port 68: datagrams out of frames, on a real wire, and in a flood."""

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.events import OTHER_SERVER, BootEvent, Step
from bootyard.model.snapshot import builtin_snapshot
from bootyard.runtime.interfaces import Interface
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.snapshots import SnapshotHolder
from bootyard.runtime.store import Store
from bootyard.runtime.telemetry import Telemetry
from services.proxydhcp import offer_listener
from services.proxydhcp.offer_listener import OfferListener, read_datagram
from services.proxydhcp.others import OtherServers
from services.proxydhcp.overhearing import PLACE, Overhearing
from tests.namespaces import End, Namespaces, inside, lay_wire
from tests.proxydhcp.packets import MAC, request
from tests.proxydhcp.test_others import OTHER, OWN, answer

REPLY = answer(file=b"pxelinux.0").to_bytes()
ETH0 = Interface(
    name="lo",
    index=1,
    address=IPv4Address("192.0.2.10"),
    network=IPv4Network("192.0.2.0/24"),
    mtu=1500,
)


def datagram(payload: bytes = REPLY, *, source: IPv4Address = OTHER, options: bytes = b"") -> bytes:
    udp = struct.pack("!HHHH", 67, 68, 8 + len(payload), 0) + payload
    header = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x45 + len(options) // 4, 0, 20 + len(options) + len(udp), 1, 0, 64, 17, 0),
        *(source.packed, b"\xff" * 4),
    )
    return header + options + udp


def test_datagram_is_taken_out_of_its_packet() -> None:
    assert read_datagram(datagram()) == (OTHER, REPLY)
    assert read_datagram(datagram(options=b"\1" * 8)) == (OTHER, REPLY)
    assert read_datagram(datagram() + b"padding") == (OTHER, REPLY)
    assert read_datagram(datagram(b"")) == (OTHER, b"")


def test_packet_that_is_cut_or_lies_about_its_length_is_none() -> None:
    whole = datagram()
    assert read_datagram(b"") is None
    assert read_datagram(b"\x60" + whole[1:]) is None
    assert read_datagram(b"\x44" + whole[1:]) is None
    assert read_datagram(b"\x4f" + whole[1:40]) is None
    assert all(read_datagram(whole[:cut]) is None for cut in range(len(whole)))
    assert read_datagram(whole[:24] + b"\0\7" + whole[26:]) is None
    assert read_datagram(whole[:24] + b"\xff\xff" + whole[26:]) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_survived(data: bytes) -> None:
    for packet in (data, b"\x45" + data, datagram()[: len(data)] + data):
        read = read_datagram(packet)
        assert read is None or len(read[1]) <= len(packet) - 28


class Wire:
    """A wire between two namespaces; the near end is listened on."""

    def __init__(self) -> None:
        self._namespaces = Namespaces()
        self.near, self.far = self._namespaces.add("near"), self._namespaces.add("far")
        lay_wire(
            End(self.near, "eth0", ("192.0.2.10/24",)), End(self.far, "eth0", ("192.0.2.66/24",))
        )
        self.heard: list[tuple[bytes, IPv4Address, str]] = []
        self._sockets: list[socket.socket] = []

    def listener(self) -> OfferListener:
        def hear(data: bytes, source: IPv4Address, interface: str, _at: float) -> None:
            self.heard.append((data, source, interface))

        interface = Interface(
            name="eth0",
            index=1,
            address=IPv4Address("192.0.2.10"),
            network=IPv4Network("192.0.2.0/24"),
            mtu=1500,
        )
        return OfferListener(interface, hear)

    def socket(self, namespace: str, address: str, port: int) -> socket.socket:
        def make() -> socket.socket:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            opened.bind((address, port))
            return opened

        opened = inside(namespace, make)
        self._sockets.append(opened)
        return opened

    def close(self) -> None:
        for opened in self._sockets:
            opened.close()
        self._namespaces.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


async def until(wire: Wire, count: int) -> None:
    async with asyncio.timeout(20):
        while len(wire.heard) < count:
            await asyncio.sleep(0.01)


def open_in(namespace: str, listener: OfferListener, loop: asyncio.AbstractEventLoop) -> None:
    """Open the socket in the namespace, for the loop of the test."""

    def work() -> None:
        asyncio._set_running_loop(loop)
        try:
            listener.open()
        finally:
            asyncio._set_running_loop(None)

    inside(namespace, work)


@pytest.fixture
async def listening(wire: Wire) -> AsyncIterator[OfferListener]:
    listener = wire.listener()
    open_in(wire.near, listener, asyncio.get_running_loop())
    yield listener
    listener.close()


@pytest.mark.needs("ip")
async def test_answers_to_port_68_are_heard_and_nothing_else(
    wire: Wire, listening: OfferListener
) -> None:
    assert listening is not None
    far = wire.socket(wire.far, "192.0.2.66", 67)
    near = wire.socket(wire.near, "192.0.2.10", 67)
    near.sendto(REPLY, ("255.255.255.255", 68))  # our own
    far.sendto(request().to_bytes(), ("255.255.255.255", 68))  # no answer
    for port in (67, 69, 4011):
        far.sendto(REPLY, ("255.255.255.255", port))
    far.sendto(REPLY * 8, ("192.0.2.10", 68))  # in fragments
    far.sendto(REPLY, ("192.0.2.10", 68))
    far.sendto(REPLY, ("255.255.255.255", 68))
    await until(wire, 2)
    await asyncio.sleep(0.1)
    assert wire.heard == [(REPLY, OTHER, "eth0")] * 2
    # The port stays free for this host's own DHCP client.
    wire.socket(wire.near, "0.0.0.0", 68)


@pytest.mark.needs("ip")
async def test_flood_is_left_to_the_kernel_and_hearing_goes_on(
    wire: Wire, listening: OfferListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offer_listener, "PAUSE_SECONDS", 0.3)
    listening._left = 50
    listening._since = asyncio.get_running_loop().time()
    far = wire.socket(wire.far, "192.0.2.66", 67)
    for _ in range(60):
        far.sendto(b"\2flood", ("255.255.255.255", 68))
    await until(wire, 50)
    assert len(wire.heard) == 50
    far.sendto(REPLY, ("255.255.255.255", 68))
    await until(wire, 61)
    assert wire.heard[-1][0] == REPLY


class Told:
    """Overhearing with everything around it in memory."""

    def __init__(self) -> None:
        holder = SnapshotHolder(builtin_snapshot(8080, {}))
        self.telemetry = Telemetry("proxydhcp", holder)
        self.store = Store(None, self.telemetry)
        self.sent: list[BootEvent] = []
        sender = EventSender("proxydhcp", self.store)
        self.others = OtherServers(OWN)
        self.overhearing = Overhearing(self.others, sender, self.telemetry)
        sender.listener = self._observe
        self.sender = sender

    def _observe(self, event: BootEvent) -> None:
        self.overhearing.note_event(event)
        self.sent.append(event)

    async def hear(self, data: bytes) -> None:
        self.overhearing.hear(data, OTHER, "eth0", asyncio.get_running_loop().time())
        await asyncio.sleep(0.3)

    def internal_errors(self) -> float | None:
        return self.telemetry.registry.get_sample_value(
            "bootyard_internal_errors_total", {"where": PLACE}
        )


async def test_offer_is_told_in_the_timeline_even_if_it_was_first() -> None:
    told = Told()
    now = asyncio.get_running_loop().time()
    told.overhearing.hear(REPLY, OTHER, "eth0", now)
    told.sender.send(Step.OFFERED, mac=MAC)  # ours comes a moment later
    await asyncio.sleep(0.3)
    (_, other) = told.sent
    assert (other.step, other.mac, other.outcome) == (Step.OFFERED, MAC, OTHER_SERVER)
    assert other.detail == "192.0.2.66 also offers pxelinux.0 to this machine"
    await told.hear(answer(5, file=b"pxelinux.0").to_bytes())
    assert told.sent[-1].step is Step.ACKED


async def test_what_is_no_answer_is_dropped() -> None:
    told = Told()
    told.sender.send(Step.OFFERED, mac=MAC)
    bad = answer(more={54: b"\1"}).to_bytes()
    for data in (b"", b"\2" * 20, REPLY[:241], bad, b"\xff" * 1500):
        await told.hear(data)
    assert len(told.sent) == 1
    assert told.internal_errors() == 0


async def test_fault_of_ours_is_counted_and_hearing_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()
    told.sender.send(Step.OFFERED, mac=MAC)
    monkeypatch.setattr(told.others.__class__, "overhear", lambda *_: 1 / 0)
    await told.hear(REPLY)
    assert told.internal_errors() == 1
    monkeypatch.undo()
    await told.hear(REPLY)
    assert told.sent[-1].outcome == OTHER_SERVER


async def test_another_server_s_offer_makes_nobody_a_machine_of_ours() -> None:
    told = Told()
    told.sender.send(Step.OFFERED, mac=MAC, outcome=OTHER_SERVER)
    told.sender.send(Step.DISCOVERED, mac=MAC)
    await told.hear(REPLY)
    assert len(told.sent) == 2


async def test_without_the_right_to_listen_it_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = 0

    def refuse(_: OfferListener) -> None:
        nonlocal tries
        tries += 1
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(OfferListener, "open", refuse)
    told = Told()
    told.telemetry.ready("sockets", None)
    for _ in range(3):
        told.overhearing.listen_on((ETH0,))
    readiness = told.telemetry.readiness()
    assert tries == 1
    assert readiness["ready"] is True
    assert any("CAP_NET_RAW" in str(reason) for reason in readiness["reasons"])  # type: ignore[attr-defined]


async def test_interface_that_went_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[OSError | None] = [OSError(errno.ENODEV, "No such device"), None]
    closed: list[OfferListener] = []

    def sometimes(_: OfferListener) -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    def note_closed(listener: OfferListener) -> None:
        closed.append(listener)

    monkeypatch.setattr(OfferListener, "open", sometimes)
    monkeypatch.setattr(OfferListener, "close", note_closed)
    told = Told()
    for _ in range(3):
        told.overhearing.listen_on((ETH0,))
    assert outcomes == []
    told.overhearing.close()
    assert len(closed) == 1
