"""Floods of made-up machines, and power for a whole site: who is answered, told of and kept."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bootyard.model.document import encode
from bootyard.model.events import Step
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Machine
from bootyard.runtime.store import BUFFERED_EVENTS
from services.proxydhcp.identify import Listener
from services.proxydhcp.limits import (
    LINES_BURST,
    LINES_RATE,
    NEWCOMERS_BURST,
    NEWCOMERS_RATE,
    REMEMBERED,
    Recent,
)
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import DHCPPacket
from services.proxydhcp.reply import BOOTPC, BOOTPS
from tests.proxydhcp.host import BROADCAST, Host
from tests.proxydhcp.packets import CLIENT, MAC, plain, request
from tests.proxydhcp.test_responder import Bench, snapshot

RATE = 5_000
"""Packets a second."""
REGISTERED = MACAddress.parse("02:00:00:00:01:01")
SITE = 1_000


def stranger(number: int) -> MACAddress:
    return MACAddress.from_bytes(b"\6\0" + number.to_bytes(4))


class Flood:
    """Requests of made-up machines at a steady rate, on a bench whose clock they move."""

    def __init__(self, kind: MessageType = MessageType.DISCOVER) -> None:
        machine = Machine(mac=REGISTERED, name="nuc-3")
        machines = {str(REGISTERED): msgspec.Raw(encode(machine))}
        self.bench = Bench(state=msgspec.structs.replace(snapshot(), machines=machines))
        self._kind = kind
        self._sent = 0

    def go_on(self, seconds: float) -> int:
        """Let strangers ask; returns how many were answered."""
        before = len(self.bench.sent)
        for _ in range(int(seconds * RATE)):
            self.bench.now += 1 / RATE
            self._sent += 1
            more = {50: CLIENT.packed} if self._kind is MessageType.REQUEST else {}
            asked = request(self._kind, mac=stranger(self._sent), xid=self._sent, more=more)
            self.bench.hear_at_once(asked, source=CLIENT)
        return len(self.bench.sent) - before


@pytest.fixture
def flood() -> Iterator[Flood]:
    made = Flood()
    yield made
    assert made.bench.internal_errors() == 0


@pytest.fixture
def exhausted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers may send ten packets, and then no more."""
    monkeypatch.setattr("services.proxydhcp.limits.STRANGERS_BURST", 10.0)
    monkeypatch.setattr("services.proxydhcp.limits.STRANGERS_RATE", 0.0)


@pytest.mark.usefixtures("exhausted")
def test_a_registered_machine_is_answered_when_strangers_no_longer_are() -> None:
    flood = Flood()
    assert flood.go_on(1) == 10
    for turn in range(8):
        assert flood.bench.hear_at_once(request(mac=REGISTERED, xid=turn)) is not None
        assert flood.go_on(0.5) == 0


@pytest.mark.usefixtures("exhausted")
def test_a_machine_on_its_way_is_answered_when_strangers_no_longer_are() -> None:
    flood = Flood()
    assert flood.bench.hear(request()) is not None
    flood.bench.hear(request(MessageType.REQUEST, more={50: CLIENT.packed}))
    assert flood.go_on(1) == 8
    asked = request(MessageType.REQUEST, ciaddr=CLIENT)
    assert flood.bench.hear_at_once(asked, Listener.BOOT_SERVER, CLIENT) is not None
    assert flood.go_on(1) == 0
    assert flood.bench.hear_at_once(request(xid=7)) is not None
    assert flood.bench.hear_at_once(request(mac=stranger(0))) is None


def test_tables_are_bounded_and_known_machines_stay_in_them(flood: Flood) -> None:
    bench = flood.bench
    bench.hear_at_once(request(mac=REGISTERED))
    bench.hear_at_once(plain(MessageType.REQUEST, mac=REGISTERED, more={50: CLIENT.packed}))
    bench.hear_at_once(request())
    bench.hear_at_once(request(MessageType.REQUEST, ciaddr=CLIENT), Listener.BOOT_SERVER, CLIENT)
    assert flood.go_on(2) == 2 * RATE
    responder = bench.responder
    parts = (
        responder._boots,
        responder._limiter,
        responder._known,
        responder._teller._event_budget,
    )
    tables = [t for part in parts for t in vars(part).values() if isinstance(t, Recent)]
    assert len(tables) >= 7
    assert max(map(len, tables)) == REMEMBERED
    assert responder._boots.address_of(REGISTERED) == CLIENT
    # The second offer that it leaves is still the second.
    assert responder._boots.recall(REGISTERED, 99, bench.now).ignored == 1
    assert responder._boots.recall(MAC, 99, bench.now).strategy is not None


@pytest.mark.parametrize("kind", [MessageType.DISCOVER, MessageType.REQUEST])
def test_a_flood_is_told_in_few_events(kind: MessageType) -> None:
    flood = Flood(kind)
    flood.go_on(2)
    about_strangers = len(flood.bench.events)
    newcomers = NEWCOMERS_BURST + 2 * NEWCOMERS_RATE
    assert 0 < about_strangers <= 2 * newcomers < BUFFERED_EVENTS / 2
    asked = [request(mac=REGISTERED, xid=xid) for xid in range(3)]
    assert all(flood.bench.hear_at_once(packet) is not None for packet in asked)
    told = flood.bench.events[about_strangers:]
    assert [event.step for event in told] == [Step.DISCOVERED, Step.OFFERED] * 3


def test_every_event_that_is_not_sent_is_counted(flood: Flood) -> None:
    answered = flood.go_on(1)
    dropped = flood.bench.telemetry.registry.get_sample_value("bootyard_events_dropped_total")
    assert dropped == 2 * answered - len(flood.bench.events) > 0


def test_a_flood_is_logged_in_few_lines(flood: Flood, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, dict[str, Any]]] = []

    class Log:
        def info(self, event: str, **fields: Any) -> None:  # noqa: ANN401
            lines.append((event, fields))

    monkeypatch.setattr("services.proxydhcp.teller.log", Log())
    answered = flood.go_on(3)
    flood.bench.responder.refresh(flood.bench.now + 2)
    single = sum(event == "offer sent" for event, _ in lines)
    summaries = [fields["count"] for event, fields in lines if event == "more offers sent"]
    assert single <= LINES_BURST + 3 * LINES_RATE
    assert 2 <= len(summaries) <= 4
    assert single + sum(summaries) == answered


@pytest.mark.needs("ip")
def test_power_for_a_whole_site_is_answered_completely(tmp_path: Path) -> None:
    host = Host(tmp_path, wires=1)
    try:
        host.start(BOOTYARD_LOG_LEVEL="info")
        wire = host.machines[0].socket(BOOTPC)
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        asking = {number: stranger(number) for number in range(SITE)}
        for _ in range(3):  # firmware asks again when nothing comes
            for number, mac in asking.items():
                wire.sendto(request(mac=mac, xid=number).to_bytes(), (BROADCAST, BOOTPS))
            for offer in offers(wire):
                if asking.get(offer.xid) == offer.mac:
                    assert offer.file == b"loaders/uefi-x64/snponly.efi"
                    assert offer.siaddr == IPv4Address("10.77.0.1")
                    del asking[offer.xid]
                if not asking:
                    break
        assert not asking
        assert "Traceback" not in host.log.read_text()
    finally:
        host.close()


SO_RCVBUFFORCE = 33


def offers(wire: socket.socket) -> Iterator[DHCPPacket]:
    """What arrives, until nothing does for two seconds."""
    try:
        while True:
            yield DHCPPacket.parse(wire.recv(4096))
    except TimeoutError:
        return
