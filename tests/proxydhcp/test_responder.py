"""One packet's way: answers, events, counts; no sockets."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootyard.model.document import encode
from bootyard.model.events import BootEvent, IgnoreReason, OfferStage, Step
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import PROBE_MAC, MACAddress
from bootyard.model.snapshot import Learned, Machine, Policy, Root, Slice, Snapshot
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.snapshots import SnapshotHolder
from bootyard.runtime.store import Store
from bootyard.runtime.telemetry import Telemetry
from services.proxydhcp.identify import Listener
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import DHCPPacket
from services.proxydhcp.reply import Endpoint
from services.proxydhcp.responder import Heard, Responder
from tests.proxydhcp.packets import CLIENT, MAC, SERVER, plain, request
from tests.proxydhcp.test_identify import BIOS, IPXE_OPTIONS, PI_MAC

NOBODY = IPv4Address("0.0.0.0")
OTHER_MAC = MACAddress.parse("02:00:00:00:00:02")
REQUESTED = {50: CLIENT.packed, 54: b"\xc0\xa8\x01\x01"}


MENU_ITEM = {43: bytes.fromhex("470480420000ff")}


def snapshot(
    policy: Policy | None = None, machine: Machine | None = None, learned: Learned | None = None
) -> Snapshot:
    names = ("uefi-x64/snponly.efi", "bios/undionly.kpxe")
    loaders = {n: Slice(root=Root.LOADERS, path=n, extents=((0, 1),)) for n in names}
    return Snapshot(
        epoch="t",
        number=1,
        http_port=8080,
        loaders=loaders,
        policy=policy or Policy(),
        machines={} if machine is None else {MAC: msgspec.Raw(encode(machine))},
        learned={} if learned is None else {MAC: msgspec.Raw(encode(learned))},
    )


class Bench:
    """A responder with everything around it in memory."""

    def __init__(
        self,
        policy: Policy | None = None,
        machine: Machine | None = None,
        learned: Learned | None = None,
        state: Snapshot | None = None,
    ) -> None:
        holder = SnapshotHolder(state or snapshot(policy, machine, learned))
        self.telemetry = Telemetry("proxydhcp", holder)
        sender = EventSender("proxydhcp", Store(None, self.telemetry))
        self.events: list[BootEvent] = []
        sender.listener = self.events.append
        self.responder = Responder(holder, sender, self.telemetry)
        self.sent: list[tuple[DHCPPacket, Endpoint]] = []
        self.now = 1000.0

    def hear(
        self,
        packet: DHCPPacket | bytes,
        listener: Listener = Listener.DHCP,
        source: IPv4Address = NOBODY,
    ) -> DHCPPacket | None:
        """Let the responder hear a packet, five seconds after the one before."""
        self.now += 5
        return self.hear_at_once(packet, listener, source)

    def hear_at_once(
        self,
        packet: DHCPPacket | bytes,
        listener: Listener = Listener.DHCP,
        source: IPv4Address = NOBODY,
    ) -> DHCPPacket | None:
        before = len(self.sent)
        data = packet if isinstance(packet, bytes) else packet.to_bytes()
        heard = Heard(data, (source, 4011), listener, "eth0", SERVER, self.now)
        self.responder.handle(heard, self._send)
        return self.sent[-1][0] if len(self.sent) > before else None

    def _send(self, data: bytes, target: Endpoint) -> None:
        self.sent.append((DHCPPacket.parse(data), target))

    def steps(self) -> list[Step]:
        return [event.step for event in self.events]

    def count(self, name: str, **labels: str) -> float:
        value = self.telemetry.registry.get_sample_value(f"bootyard_proxydhcp_{name}", labels)
        assert value is not None, f"{name} {labels} does not exist"
        return value

    def total(self, name: str) -> float:
        return sum(
            sample.value
            for metric in self.telemetry.registry.collect()
            for sample in metric.samples
            if sample.name == f"bootyard_proxydhcp_{name}"
        )

    def internal_errors(self) -> float:
        return sum(
            self.telemetry.registry.get_sample_value(
                "bootyard_internal_errors_total", {"where": place}
            )
            or 0
            for place in ("dhcp", "boot_server")
        )


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    assert made.internal_errors() == 0


def test_boot_of_a_uefi_machine_as_events(bench: Bench) -> None:
    offer = bench.hear(request())
    assert offer is not None
    assert offer.file == b"loaders/uefi-x64/snponly.efi"
    assert bench.hear(request(MessageType.REQUEST, more=REQUESTED)) is None
    ack = bench.hear(
        request(MessageType.REQUEST, ciaddr=CLIENT), Listener.BOOT_SERVER, source=CLIENT
    )
    assert ack is not None
    assert bench.hear(plain(MessageType.REQUEST, more=REQUESTED)) is None
    assert bench.steps() == [
        *(Step.DISCOVERED, Step.OFFERED, Step.ADDRESSED, Step.ACKED, Step.SYSTEM_UP)
    ]
    discovered, offered, addressed, acked, system_up = bench.events
    assert {event.mac for event in bench.events} == {MAC}
    assert discovered.firmware == "uefi-x64"
    assert discovered.stage is OfferStage.ROM
    assert discovered.outcome == ""
    assert offered.detail == acked.detail == "loaders/uefi-x64/snponly.efi"
    assert addressed.ip == acked.ip == system_up.ip == str(CLIENT)
    assert bench.sent[0][1] == (IPv4Address("255.255.255.255"), 68)
    assert bench.sent[1][1] == (CLIENT, 4011)


def test_bios_and_ipxe_get_what_they_load(bench: Bench) -> None:
    rom = bench.hear(request(arch=BIOS))
    ipxe = bench.hear(request(arch=BIOS, more={175: IPXE_OPTIONS, 77: b"iPXE"}))
    assert rom is not None
    assert ipxe is not None
    assert (rom.file, ipxe.file) == (b"loaders/bios/undionly.kpxe", b"boot.ipxe")
    assert bench.count("offers_total", firmware="bios", stage="rom") == 1
    assert bench.count("offers_total", firmware="bios", stage="ipxe") == 1


def test_repeated_discover_gets_the_same_offer(bench: Bench) -> None:
    assert bench.hear(request()) == bench.hear(request())


def test_each_packet_is_answered_or_ignored_with_a_reason(bench: Bench) -> None:
    for listener in Listener:
        for kind in (None, *MessageType, MessageType(77)):
            for make in (plain, request):
                bench.hear(make(kind), listener, CLIENT)
    received = bench.total("packets_received_total")
    assert received == 2 * 2 * 10
    assert received == bench.total("packets_ignored_total") + len(bench.sent)
    assert bench.count("packets_received_total", port="67", type="discover") == 2
    assert bench.count("packets_received_total", port="4011", type="other") == 4
    assert bench.total("response_duration_seconds_count") == len(bench.sent) == 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", IgnoreReason.MALFORMED),
        (request(more={53: b"\1\1"}).to_bytes(), IgnoreReason.MALFORMED),
        (request(MessageType.REQUEST, more={50: b"\1"}).to_bytes(), IgnoreReason.MALFORMED),
        (request(MessageType.REQUEST, more={54: b"\1"}).to_bytes(), IgnoreReason.MALFORMED),
        (request(arch=b"\0").to_bytes(), IgnoreReason.MALFORMED),
        (plain().to_bytes(), IgnoreReason.NOT_PXE),
        (request(MessageType.REQUEST).to_bytes(), IgnoreReason.NOT_OURS),
        (request(arch=b"\0\2").to_bytes(), IgnoreReason.NO_LOADER),
    ],
)
def test_silence_is_counted(bench: Bench, data: bytes, reason: IgnoreReason) -> None:
    assert bench.hear(data) is None
    assert bench.count("packets_ignored_total", reason=reason) == 1
    assert bench.total("packets_ignored_total") == 1


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Policy(deny=(MAC,)), IgnoreReason.DENIED),
        (Policy(allow=(OTHER_MAC,)), IgnoreReason.DENIED),
        (Policy(unknown="silence"), IgnoreReason.POLICY),
    ],
)
def test_refused_machine_is_seen(policy: Policy, reason: IgnoreReason) -> None:
    bench = Bench(policy)
    assert bench.hear(request()) is None
    assert [(event.step, event.outcome) for event in bench.events] == [(Step.DISCOVERED, reason)]
    assert bench.count("packets_ignored_total", reason=reason) == 1


def test_machine_without_a_loader_is_seen(bench: Bench) -> None:
    bench.hear(request(arch=b"\0\2"))
    assert [event.outcome for event in bench.events] == ["no_loader"]


def test_machine_that_no_loader_led_anywhere_is_seen_with_the_reason() -> None:
    bench = Bench(learned=Learned(dead_ends=(LoaderName.SNPONLY,)))
    assert bench.hear(request()) is None
    (event,) = bench.events
    assert (event.step, event.outcome) == (Step.DISCOVERED, IgnoreReason.NO_LOADER)
    assert "no loader led anywhere (snponly)" in event.detail


def test_silence_on_4011_is_seen_too(bench: Bench) -> None:
    # Sent there by a DHCP server on this host that names option 60 itself.
    asked = request(MessageType.REQUEST, arch=b"\0\2", ciaddr=CLIENT)
    assert bench.hear(asked, Listener.BOOT_SERVER, CLIENT) is None
    assert [(event.step, event.outcome) for event in bench.events] == [
        (Step.DISCOVERED, IgnoreReason.NO_LOADER)
    ]


@pytest.mark.parametrize("listener", Listener)
@pytest.mark.parametrize("kind", [MessageType.REQUEST, MessageType.INFORM])
def test_boot_by_a_menu(listener: Listener, kind: MessageType) -> None:
    bench = Bench(machine=Machine(mac=MAC, offer=OfferStrategy.MENU))
    offer = bench.hear(request())
    assert offer is not None
    assert offer.options[43].startswith(b"\6\1\7")
    assert bench.hear(request(MessageType.REQUEST, more=REQUESTED)) is None
    ack = bench.hear(request(kind, ciaddr=CLIENT, xid=7, more=MENU_ITEM), listener, CLIENT)
    assert ack is not None
    assert ack.message_type is MessageType.ACK
    assert ack.options[43] == MENU_ITEM[43]
    assert ack.file == b"loaders/uefi-x64/snponly.efi"
    assert bench.sent[-1][1] == (CLIENT, 4011)
    told = [(event.step, event.strategy) for event in bench.events if event.strategy is not None]
    assert told == [(Step.OFFERED, OfferStrategy.MENU), (Step.ACKED, OfferStrategy.MENU)]
    assert bench.internal_errors() == 0


@pytest.mark.parametrize("strategy", OfferStrategy)
def test_discovery_by_broadcast_is_answered_whatever_was_offered(strategy: OfferStrategy) -> None:
    bench = Bench(machine=Machine(mac=MAC, offer=strategy))
    bench.hear(request())
    for item in ("470400000000ff", "470480420000ff"):
        asked = request(MessageType.REQUEST, ciaddr=CLIENT, more={43: bytes.fromhex(item)})
        ack = bench.hear(asked)
        assert ack is not None
        assert (ack.message_type, ack.options[43].hex()) == (MessageType.ACK, item)


def test_discovery_of_another_server_is_left_to_it(bench: Bench) -> None:
    asked = request(MessageType.REQUEST, ciaddr=CLIENT, more={43: bytes.fromhex("470480030000ff")})
    assert bench.hear(asked) is None
    assert bench.count("packets_ignored_total", reason="not_ours") == 1


def test_strategy_switches_and_says_so(bench: Bench) -> None:
    for _ in range(5):
        bench.hear(request())
    offered = [event.strategy for event in bench.events if event.step is Step.OFFERED]
    assert offered == ["compatible", "compatible", "direct", "direct", "menu"]


def test_firmware_that_never_reaches_4011_gets_the_other_offer_at_once(bench: Bench) -> None:
    bench.hear(request())
    bench.hear(request(MessageType.REQUEST, more=REQUESTED))
    bench.hear(request(xid=2))
    bench.hear(request(MessageType.REQUEST, xid=2, more=REQUESTED))
    bench.hear(request(xid=3))
    offered = [event.strategy for event in bench.events if event.step is Step.OFFERED]
    assert offered == ["compatible", "direct", "direct"]


def test_what_was_learned_is_offered_first() -> None:
    bench = Bench(learned=Learned(offer=OfferStrategy.DIRECT))
    offer = bench.hear(request())
    assert offer is not None
    assert offer.options[43].hex() == "060108ff"


def test_acknowledgement_tells_how_it_was_offered(bench: Bench) -> None:
    # Twice, because the DHCP server was slow: that it came shows that the first way works.
    bench.hear(request())
    bench.hear(request())
    bench.hear(request(MessageType.REQUEST, more=REQUESTED))
    bench.hear(request(MessageType.REQUEST, ciaddr=CLIENT, xid=9), Listener.BOOT_SERVER, CLIENT)
    assert bench.events[-1].step is Step.ACKED
    assert bench.events[-1].strategy is OfferStrategy.COMPATIBLE


def test_operating_systems_that_were_offered_nothing_are_no_events(bench: Bench) -> None:
    bench.hear(plain())
    bench.hear(plain(MessageType.REQUEST, more=REQUESTED))
    assert bench.events == []


def test_system_up_is_told_once_a_boot_and_with_its_address(bench: Bench) -> None:
    for _ in range(2):
        bench.hear(request())
        bench.hear(plain())
        bench.hear(plain(MessageType.REQUEST, more=REQUESTED))
        bench.hear(plain(MessageType.REQUEST, ciaddr=CLIENT))
    assert bench.steps() == [Step.DISCOVERED, Step.OFFERED, Step.SYSTEM_UP] * 2
    assert [e.ip for e in bench.events if e.step is Step.SYSTEM_UP] == [str(CLIENT)] * 2


def test_firmware_that_asks_for_a_program_of_efi_is_no_system(bench: Bench) -> None:
    """As it does for syslinux.efi, before the menu."""
    bench.hear(request())
    bench.hear(plain(MessageType.REQUEST, more={55: b"\x01\x03\x06", **REQUESTED}))
    assert bench.steps() == [Step.DISCOVERED, Step.OFFERED]
    bench.hear(plain(MessageType.REQUEST, more={55: b"\x01\x03\x06\x0f", **REQUESTED}))
    assert bench.steps()[2:] == [Step.SYSTEM_UP]


def test_system_that_takes_a_lease_in_two_messages_is_up_without_an_address(bench: Bench) -> None:
    bench.hear(request())
    bench.hear(plain(more={80: b""}))
    assert [(e.step, e.ip) for e in bench.events[2:]] == [(Step.SYSTEM_UP, None)]


def test_repeated_request_is_one_address(bench: Bench) -> None:
    for _ in range(3):
        bench.hear(request(MessageType.REQUEST, more=REQUESTED))
    bench.hear(request(MessageType.REQUEST, ciaddr=CLIENT, xid=9))
    assert [(event.step, event.ip) for event in bench.events] == [
        (Step.ADDRESSED, str(CLIENT)),
        (Step.ADDRESSED, str(CLIENT)),
    ]


@pytest.mark.parametrize("policy", [Policy(), Policy(allow=(MAC,)), Policy(unknown="silence")])
def test_probe_is_answered_and_leaves_nothing(policy: Policy) -> None:
    bench = Bench(policy)
    loopback = IPv4Address("127.0.0.1")
    probe = request(MessageType.REQUEST, mac=PROBE_MAC)
    for _ in range(1000):
        ack = bench.hear_at_once(probe, Listener.BOOT_SERVER, source=loopback)
        assert ack is not None
        assert ack.message_type is MessageType.ACK
    bench.hear(plain(MessageType.REQUEST, mac=PROBE_MAC, more=REQUESTED))
    assert bench.events == []
    assert bench.total("packets_received_total") == 0
    assert bench.total("packets_ignored_total") == 0
    assert bench.total("response_duration_seconds_count") == 0


def test_machine_that_floods_is_dropped_and_others_are_served(bench: Bench) -> None:
    answers = [bench.hear_at_once(request()) for _ in range(50)]
    assert sum(answer is not None for answer in answers) == 10
    assert bench.count("packets_ignored_total", reason="rate_limited") == 40
    assert bench.hear_at_once(request(mac=OTHER_MAC)) is not None


def test_flood_of_all_is_dropped_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.proxydhcp.limits.STRANGERS_BURST", 500.0)
    bench = Bench()
    for _ in range(700):
        bench.hear_at_once(b"garbage")
    assert bench.count("packets_ignored_total", reason="malformed") == 500
    assert bench.count("packets_ignored_total", reason="rate_limited") == 200
    bench.now += 1
    assert bench.hear_at_once(request()) is not None


def test_answer_that_cannot_be_sent_is_no_offer(bench: Bench) -> None:
    def fail(_data: bytes, _target: Endpoint) -> None:
        raise OSError(101, "Network is unreachable")

    heard = Heard(request().to_bytes(), (NOBODY, 68), Listener.DHCP, "eth0", SERVER, bench.now)
    bench.responder.handle(heard, fail)
    assert bench.steps() == [Step.DISCOVERED]
    assert bench.count("offers_total", firmware="uefi-x64", stage="rom") == 0


def test_fault_of_ours_loses_one_packet_and_is_counted() -> None:
    bench = Bench()

    def fail(_data: bytes, _target: Endpoint) -> None:
        raise KeyError("a fault")

    for listener in Listener:
        kind = MessageType.DISCOVER if listener is Listener.DHCP else MessageType.REQUEST
        data = request(kind).to_bytes()
        bench.responder.handle(Heard(data, (CLIENT, 68), listener, "eth0", SERVER, bench.now), fail)
    assert bench.internal_errors() == 2
    assert bench.hear(request()) is not None


def test_other_servers_are_counted(bench: Bench) -> None:
    own = {50: CLIENT.packed, 54: SERVER.packed}
    for more in (REQUESTED, REQUESTED, own, {54: b"\xc0\xa8\x01\x09"}):
        bench.hear(plain(MessageType.REQUEST, more=more))
    bench.responder.refresh(bench.now)
    assert bench.count("other_servers", kind="dhcp") == 2
    assert bench.count("other_servers", kind="pxe") == 0
    bench.responder.refresh(bench.now + 7200)
    assert bench.count("other_servers", kind="dhcp") == 0


def test_every_child_of_an_enumeration_exists(bench: Bench) -> None:
    for reason in IgnoreReason:
        assert bench.count("packets_ignored_total", reason=reason) == 0
    for stage in OfferStage:
        assert bench.count("offers_total", firmware="pi", stage=stage) == 0
    assert bench.count("packets_received_total", port="67", type="inform") == 0
    assert bench.count("packets_received_total", port="4011", type="other") == 0


def test_raspberry_pi_without_files_is_silence_with_a_reason(bench: Bench) -> None:
    bench.hear(request(mac=PI_MAC, arch=BIOS))
    assert [(event.firmware, event.stage) for event in bench.events][:1] == [("pi", "pi")]


@settings(max_examples=200)
@given(st.binary(max_size=400), st.sampled_from(Listener))
def test_any_bytes_are_survived(data: bytes, listener: Listener) -> None:
    bench = shared_bench()
    for datagram in (data, request().to_bytes()[:240] + data):
        bench.hear(datagram, listener, CLIENT)
    assert bench.internal_errors() == 0


def shared_bench(made: list[Bench] = []) -> Bench:  # noqa: B006 - one for all examples
    if not made:
        made.append(Bench())
    return made[0]


def test_log_line_of_an_offer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, dict[str, Any]]] = []

    class Log:
        def info(self, event: str, **fields: Any) -> None:  # noqa: ANN401
            lines.append((event, fields))

        def debug(self, event: str, **fields: Any) -> None:  # noqa: ANN401
            pass

    monkeypatch.setattr("services.proxydhcp.teller.log", Log())
    bench.hear(request())
    bench.hear(plain(MessageType.REQUEST))
    assert [event for event, _ in lines] == ["offer sent", "system up"]
    assert lines[0][1]["boot_file"] == "loaders/uefi-x64/snponly.efi"
