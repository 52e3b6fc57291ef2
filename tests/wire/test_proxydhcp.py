"""The service as a process, on wires in network namespaces."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootyard.model.mac import PROBE_MAC, MACAddress
from services.proxydhcp.options import MessageType
from services.proxydhcp.reply import BOOTPC, BOOTPS
from tests.namespaces import inside, ip
from tests.proxydhcp.host import BROADCAST, Host, hears_nothing, receive
from tests.proxydhcp.packets import plain, request

pytestmark = pytest.mark.needs("ip")

BOOT_SERVER = 4011


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


def mac(number: int) -> MACAddress:
    return MACAddress.from_bytes(bytes((2, 0, 0, 0, 1, number)))


def test_offer_is_broadcast_from_the_interface_that_heard_the_request(host: Host) -> None:
    for number, machine in enumerate(host.machines):
        wire = machine.socket(BOOTPC)
        discover = request(mac=mac(number))
        wire.sendto(discover.to_bytes(), (BROADCAST, BOOTPS))
        offer, source = receive(wire)
        assert source == (f"10.{77 + number}.0.1", BOOTPS)
        assert offer.message_type is MessageType.OFFER
        assert (offer.xid, offer.mac) == (discover.xid, discover.mac)
        assert offer.siaddr == IPv4Address(source[0])
        assert offer.yiaddr == IPv4Address(0)
        assert offer.file == b"loaders/uefi-x64/snponly.efi"
        assert hears_nothing(wire, 0.2)
    offers = 'bootyard_proxydhcp_offers_total{firmware="uefi-x64",stage="rom"}'
    assert host.metric(offers) == 2


def test_boot_server_answers_where_it_was_asked(host: Host) -> None:
    for number, machine in enumerate(host.machines):
        for port in (BOOT_SERVER, BOOTPC):
            wire = machine.socket(port)
            asked = request(MessageType.REQUEST, mac=mac(number), ciaddr=machine.address)
            wire.sendto(asked.to_bytes(), (f"10.{77 + number}.0.1", BOOT_SERVER))
            ack, source = receive(wire)
            assert source == (f"10.{77 + number}.0.1", BOOT_SERVER)
            assert ack.message_type is MessageType.ACK
            assert ack.ciaddr == machine.address
            assert ack.file == b"loaders/uefi-x64/snponly.efi"
            assert 43 not in ack.options


@pytest.mark.parametrize("kind", [MessageType.REQUEST, MessageType.INFORM])
def test_discovery_by_broadcast_is_answered_to_the_machine_alone(
    host: Host, kind: MessageType
) -> None:
    item = bytes.fromhex("470480420000ff")
    for number, machine in enumerate(host.machines):
        wire = machine.socket(BOOTPC)
        asked = request(kind, mac=mac(number), ciaddr=machine.address, more={43: item})
        wire.sendto(asked.to_bytes(), (BROADCAST, BOOTPS))
        ack, source = receive(wire)
        assert source == (f"10.{77 + number}.0.1", BOOTPS)
        assert ack.message_type is MessageType.ACK
        assert (ack.ciaddr, ack.options[43]) == (machine.address, item)
        assert ack.file == b"loaders/uefi-x64/snponly.efi"
        # A lease, or an entry of another server's menu, is none of ours.
        wire.sendto(
            request(kind, mac=mac(number), more={43: item, 50: machine.address.packed}).to_bytes(),
            (BROADCAST, BOOTPS),
        )
        other = {43: bytes.fromhex("470400070000ff")}
        wire.sendto(
            request(kind, mac=mac(number), ciaddr=machine.address, more=other).to_bytes(),
            (BROADCAST, BOOTPS),
        )
        assert hears_nothing(wire, 0.2)


def test_boot_server_answers_the_packet_s_source_when_ciaddr_is_missing(host: Host) -> None:
    wire = host.machines[0].socket(50000)
    wire.sendto(request(MessageType.REQUEST).to_bytes(), ("10.77.0.1", BOOT_SERVER))
    ack, source = receive(wire)
    assert source == ("10.77.0.1", BOOT_SERVER)
    assert ack.message_type is MessageType.ACK


def test_boot_server_survives_a_burst_of_one_machine(host: Host) -> None:
    wire = host.machines[0].socket(BOOT_SERVER)
    asked = request(MessageType.REQUEST, ciaddr=host.machines[0].address).to_bytes()
    for _ in range(60):
        wire.sendto(asked, ("10.77.0.1", BOOT_SERVER))
    receive(wire)
    host.wait_for(lambda: host.metric(ignored("rate_limited")) >= 1)
    other = host.machines[1].socket(BOOT_SERVER)
    asked = request(MessageType.REQUEST, mac=mac(9), ciaddr=host.machines[1].address).to_bytes()
    other.sendto(asked, ("10.78.0.1", BOOT_SERVER))
    assert receive(other)[0].message_type is MessageType.ACK
    assert "Traceback" not in host.log.read_text()


def test_garbage_is_counted_and_the_service_goes_on(host: Host) -> None:
    wire = host.machines[0].socket(BOOTPC)
    garbage = (b"", b"x", b"\1\1\6" + bytes(300), b"\xff" * 5000, request().to_bytes()[:242])
    for port in (BOOTPS, BOOT_SERVER):
        for datagram in garbage:
            wire.sendto(datagram, (BROADCAST if port == BOOTPS else "10.77.0.1", port))
    host.wait_for(lambda: host.metric(ignored("malformed")) >= 9)
    assert host.metric('bootyard_internal_errors_total{where="dhcp"}') == 0
    assert host.metric('bootyard_internal_errors_total{where="boot_server"}') == 0
    wire.sendto(request().to_bytes(), (BROADCAST, BOOTPS))
    assert receive(wire)[0].message_type is MessageType.OFFER
    assert "Traceback" not in host.log.read_text()


def test_operating_systems_get_nothing(host: Host) -> None:
    wire = host.machines[0].socket(BOOTPC)
    for kind in MessageType:
        wire.sendto(plain(kind).to_bytes(), (BROADCAST, BOOTPS))
        wire.sendto(plain(kind).to_bytes(), ("10.77.0.1", BOOT_SERVER))
    assert hears_nothing(wire)


def test_requests_on_the_dhcp_port_are_the_dhcp_server_s(host: Host) -> None:
    wire = host.machines[0].socket(BOOTPC)
    selecting = {50: b"\x0a\x4d\x00\x32", 54: b"\x0a\x4d\x00\x02"}
    wire.sendto(request(MessageType.REQUEST, more=selecting).to_bytes(), (BROADCAST, BOOTPS))
    assert hears_nothing(wire)
    received = 'bootyard_proxydhcp_packets_received_total{port="67",type="request"}'
    assert host.metric(received) == 1
    servers = 'bootyard_proxydhcp_other_servers{kind="dhcp"}'
    host.wait_for(lambda: host.metric(servers) == 1)


def test_relay_is_answered_on_its_server_port(host: Host) -> None:
    machine = host.machines[0]
    relay = machine.socket(BOOTPS)
    agent = b"\1\4eth7"
    relayed = request(giaddr=machine.address, more={82: agent, 61: b"\1abcdef"})
    relay.sendto(relayed.to_bytes(), ("10.77.0.1", BOOTPS))
    offer, source = receive(relay)
    assert source == ("10.77.0.1", BOOTPS)
    assert offer.giaddr == machine.address
    assert list(offer.options.items())[-1] == (82, agent)


def test_health_probe_is_answered_on_loopback_and_leaves_no_count(host: Host) -> None:
    def connect() -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.settimeout(2)
        opened.connect(("127.0.0.1", BOOT_SERVER))
        return opened

    with inside(host.name, connect) as probe:
        probe.send(request(MessageType.REQUEST, mac=PROBE_MAC).to_bytes())
        ack, source = receive(probe)
    assert source == ("127.0.0.1", BOOT_SERVER)
    assert ack.message_type is MessageType.ACK
    received = 'bootyard_proxydhcp_packets_received_total{port="4011",type="request"}'
    assert host.metric(received) == 0


def test_interfaces_come_and_go(host: Host) -> None:
    machine = host.add_wire(2)
    host.wait_for(lambda: "s2 port 4011" in host.log.read_text())
    wire = machine.socket(BOOTPC)
    wire.sendto(request().to_bytes(), (BROADCAST, BOOTPS))
    assert receive(wire)[1] == ("10.79.0.1", BOOTPS)

    ip("-n", host.name, "addr", "del", "10.79.0.1/24", "dev", "s2")
    ip("-n", host.name, "addr", "add", "10.79.0.9/24", "dev", "s2")
    host.wait_for(lambda: "address=10.79.0.9" in host.log.read_text())
    wire.sendto(request(mac=mac(2)).to_bytes(), (BROADCAST, BOOTPS))
    assert receive(wire)[1] == ("10.79.0.9", BOOTPS)

    ip("-n", host.name, "link", "del", "s2")
    host.wait_for(lambda: "port closed" in host.log.read_text())
    wire = host.machines[0].socket(BOOTPC)
    wire.sendto(request(mac=mac(3)).to_bytes(), (BROADCAST, BOOTPS))
    assert receive(wire)[1] == ("10.77.0.1", BOOTPS)


def test_dhcp_server_on_the_same_host_keeps_its_unicast(host: Host) -> None:
    def dhcp_server() -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(("0.0.0.0", BOOTPS))
        opened.settimeout(2)
        return opened

    wire = host.machines[0].socket(BOOTPC)
    with inside(host.name, dhcp_server) as server:
        host.wait_for(lambda: host.log.read_text().count("port closed") >= 2)
        wire.sendto(plain(MessageType.REQUEST).to_bytes(), ("10.77.0.1", BOOTPS))
        assert server.recv(4096)
        wire.sendto(request().to_bytes(), (BROADCAST, BOOTPS))
        assert server.recv(4096)
        assert receive(wire)[0].message_type is MessageType.OFFER


def test_port_held_by_another_process_is_named_and_the_rest_is_served(tmp_path: Path) -> None:
    made = Host(tmp_path)

    def other_boot_server() -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind(("10.77.0.1", BOOT_SERVER))
        return opened

    try:
        with inside(made.name, other_boot_server):
            made.start()
            made.wait_for(lambda: "UDP 4011 is held by" in made.get("/readyz")[1])
            wire = made.machines[1].socket(BOOT_SERVER)
            wire.sendto(request(MessageType.REQUEST).to_bytes(), ("10.78.0.1", BOOT_SERVER))
            assert receive(wire)[0].message_type is MessageType.ACK
        made.wait_for(lambda: "UDP 4011" not in made.get("/readyz")[1])
    finally:
        made.close()


def test_stops_cleanly(host: Host) -> None:
    assert host.stop() == 0
    assert "Traceback" not in host.log.read_text()


def ignored(reason: str) -> str:
    return f'bootyard_proxydhcp_packets_ignored_total{{reason="{reason}"}}'
