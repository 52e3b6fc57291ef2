"""Several networks, relays, and other servers, on wires in network namespaces.

The routed network is behind machine1: 203.0.113.0/24, by a route through 10.78.0.50.
"""

import itertools
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Policy, Root, Slice, Snapshot
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import BROADCAST_FLAG, DHCPPacket, OpCode
from services.proxydhcp.reply import BOOTPC, BOOTPS
from tests.namespaces import entering, inside, ip, run
from tests.proxydhcp.host import BROADCAST, Host, Machine, hears_nothing, receive
from tests.proxydhcp.packets import plain, request

pytestmark = pytest.mark.needs("ip", "dnsmasq", "udhcpc", "setpriv")

BOOT_SERVER = 4011
NEAR, FAR = "10.77.0.1", "10.78.0.1"
RELAY = IPv4Address("203.0.113.1")
BEHIND = IPv4Address("203.0.113.50")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Host]:
    """A host whose service is not started yet."""
    host = Host(tmp_path)
    try:
        yield host
    finally:
        host.close()


@pytest.fixture
def host(made: Host) -> Host:
    made.start()
    return made


def mac(number: int) -> MACAddress:
    return MACAddress.from_bytes(bytes((2, 0, 0, 0, 2, number)))


def offer_to(machine: Machine, number: int) -> tuple[DHCPPacket, tuple[str, int]]:
    """Ask by broadcast, as firmware does, and take the answer."""
    wire = machine.socket(BOOTPC)
    wire.sendto(request(mac=mac(number)).to_bytes(), (BROADCAST, BOOTPS))
    try:
        return receive(wire)
    finally:
        wire.close()


def is_answered(host: Host, machine: Machine, number: int) -> bool:
    """Ask until there is an answer: carrier and addresses take a moment to be there."""

    def ask() -> bool:
        with suppress(TimeoutError):
            return offer_to(machine, number)[0].message_type is MessageType.OFFER
        return False

    host.wait_for(ask)
    return True


def lay_network_behind(host: Host) -> Machine:
    """Have 203.0.113.0/24 behind the second machine."""
    router = host.machines[1]
    for address in (RELAY, BEHIND):
        ip("-n", router.namespace, "addr", "add", f"{address}/32", "dev", "lo")
    ip("-n", router.namespace, "route", "add", "10.77.0.0/24", "via", FAR)
    ip("-n", host.name, "route", "add", "203.0.113.0/24", "via", str(router.address))
    return router


@pytest.mark.parametrize("asked", [NEAR, FAR])
def test_relay_of_a_routed_network_is_answered_through_its_route(host: Host, asked: str) -> None:
    relay = lay_network_behind(host).socket(BOOTPS, str(RELAY))
    agent = b"\1\4eth7\2\6\2\0\0\0\0\7"
    relayed = request(giaddr=RELAY, mac=mac(1), more={82: agent, 61: b"\1abcdef"})
    relay.sendto(relayed.to_bytes(), (asked, BOOTPS))
    offer, source = receive(relay)
    assert source == (asked, BOOTPS)
    assert (offer.giaddr, offer.xid, offer.mac) == (RELAY, relayed.xid, relayed.mac)
    assert offer.siaddr == IPv4Address(asked)
    assert list(offer.options.items())[-1] == (82, agent)
    host.wait_for(lambda: "interface=s1" in host.log.read_text())


def test_boot_server_answers_another_subnet(host: Host) -> None:
    wire = lay_network_behind(host).socket(BOOT_SERVER, str(BEHIND))
    asked = request(MessageType.REQUEST, mac=mac(1), ciaddr=BEHIND)
    for server in (NEAR, FAR):
        wire.sendto(asked.to_bytes(), (server, BOOT_SERVER))
        ack, source = receive(wire)
        assert source == (server, BOOT_SERVER)
        assert (ack.message_type, ack.siaddr) == (MessageType.ACK, IPv4Address(server))


def test_only_named_interfaces_are_answered_on(made: Host) -> None:
    made.start(BOOTYARD_INTERFACES="s0, s9")
    router = lay_network_behind(made)
    relay = router.socket(BOOTPS, str(RELAY))
    relay.sendto(request(giaddr=RELAY, mac=mac(1)).to_bytes(), (NEAR, BOOTPS))
    wire = router.socket(BOOTPC)
    wire.sendto(request(mac=mac(2)).to_bytes(), (BROADCAST, BOOTPS))
    assert hears_nothing(relay)
    assert hears_nothing(wire)
    assert offer_to(made.machines[0], 3)[1] == (NEAR, BOOTPS)
    assert "interface s9: absent" in made.get("/readyz")[1]


def test_interface_that_goes_down_and_up_is_served_again(host: Host) -> None:
    machine = host.machines[0]
    ip("-n", host.name, "link", "set", "dev", "s0", "down")
    ip("-n", host.name, "link", "set", "dev", "s0", "up")
    assert is_answered(host, machine, 1)
    ip("-n", host.name, "link", "set", "dev", "s0", "down")
    host.wait_for(lambda: host.log.read_text().count("port closed") >= 3)
    assert offer_to(host.machines[1], 2)[1] == (FAR, BOOTPS)
    ip("-n", host.name, "link", "set", "dev", "s0", "up")
    assert is_answered(host, machine, 3)
    # What is overheard goes on as well.
    another_server(machine).sendto(proxy_offer(mac(3)), (BROADCAST, BOOTPC))
    host.wait_for(lambda: host.metric(others("pxe")) == 1)
    assert "Traceback" not in host.log.read_text()


def test_interface_is_served_when_it_gets_its_address(made: Host) -> None:
    for device in ("s0", "s1"):
        ip("-n", made.name, "addr", "flush", "dev", device)
    made.start(ready=False)
    status, readiness = made.get("/readyz")
    assert status == 503
    assert "no interface to serve has an IPv4 address" in readiness
    ip("-n", made.name, "addr", "add", f"{FAR}/24", "dev", "s1")
    made.wait_for(lambda: made.get("/readyz")[0] == 200)
    assert offer_to(made.machines[1], 1)[1] == (FAR, BOOTPS)


def test_address_of_the_settings_is_offered_where_it_is(made: Host) -> None:
    ip("-n", made.name, "addr", "add", "198.51.100.1/24", "dev", "s1", "label", "s1:boot")
    made.start(BOOTYARD_ADDRESS="198.51.100.1")
    assert offer_to(made.machines[0], 1)[0].siaddr == IPv4Address(NEAR)
    offer, source = offer_to(made.machines[1], 2)
    assert source == ("198.51.100.1", BOOTPS)
    assert offer.siaddr == IPv4Address("198.51.100.1")
    assert "BOOTYARD_ADDRESS" not in made.get("/readyz")[1]


def test_address_that_is_nowhere_is_told_until_it_is_there(made: Host) -> None:
    made.start(BOOTYARD_ADDRESS="198.51.100.1")
    said = "BOOTYARD_ADDRESS=198.51.100.1 is an address of no interface that is served"
    assert said in made.get("/readyz")[1]
    assert made.log.read_text().count(said) == 1
    ip("-n", made.name, "addr", "add", "198.51.100.1/24", "dev", "s0")
    made.wait_for(lambda: said not in made.get("/readyz")[1])


def test_virtual_lan_interface_is_an_interface(made: Host) -> None:
    """A macvlan: for the service it is what a VLAN is, which not every kernel has."""
    ip("-n", made.name, "link", "add", "s0.10", "link", "s0", "type", "macvlan", "mode", "bridge")
    ip("-n", made.name, "addr", "add", "198.51.100.1/24", "dev", "s0.10")
    ip("-n", made.name, "link", "set", "dev", "s0.10", "up")
    made.start(BOOTYARD_INTERFACES="s0.10,s1", ready=False)
    made.wait_for(lambda: "s0.10 port 67" in made.log.read_text())
    offer, source = offer_to(made.machines[0], 1)
    assert source == ("198.51.100.1", BOOTPS)
    assert offer.siaddr == IPv4Address("198.51.100.1")
    assert offer_to(made.machines[1], 2)[1] == (FAR, BOOTPS)


@pytest.mark.parametrize("policy", [Policy(deny=(mac(1),)), Policy(allow=(mac(2),))])
def test_denied_machine_gets_nothing_on_any_port(
    made: Host, tmp_path: Path, policy: Policy
) -> None:
    loader = "uefi-x64/snponly.efi"
    snapshot = Snapshot(
        epoch="t",
        number=7,
        http_port=8080,
        loaders={loader: Slice(root=Root.LOADERS, path=loader, extents=((0, 8),))},
        policy=policy,
    )
    kept = tmp_path / "proxydhcp/snapshot.json"
    kept.parent.mkdir()
    kept.write_bytes(snapshot.to_json())
    made.start()
    machine = made.machines[0]
    for number, port in ((1, BOOTPC), (2, BOOT_SERVER)):
        wire = machine.socket(port)
        wire.sendto(request(mac=mac(number)).to_bytes(), (BROADCAST, BOOTPS))
        asked = request(MessageType.REQUEST, mac=mac(number), ciaddr=machine.address)
        wire.sendto(asked.to_bytes(), (NEAR, BOOT_SERVER))
        if number == 1:
            assert hears_nothing(wire)
        else:
            assert receive(wire)[0].message_type is MessageType.ACK
    denied = 'bootyard_proxydhcp_packets_ignored_total{reason="denied"}'
    assert made.metric(denied) == 2


@contextmanager
def dnsmasq(host: Host, tmp_path: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A DHCP server in the host's own namespace."""
    log = tmp_path / "dnsmasq.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            entering(
                host.name,
                *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"),
                *("--user=root", "--pid-file=", "--log-facility=-", "--no-ping", "--log-dhcp"),
                *("--interface=s0", "--dhcp-range=10.77.0.100,10.77.0.200,255.255.255.0,1h"),
                *("--dhcp-authoritative", f"--dhcp-leasefile={tmp_path / 'leases'}"),
                *options,
            ),
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def takes_lease(machine: Machine) -> bool:
    """Get and give back an address the way an operating system does."""
    ask = ("udhcpc", "--interface", machine.device, "--foreground", "--quit", "--now")
    done = run(machine.namespace, *ask, "--script", "/bin/true", check=False)
    return "obtained" in done.stdout + done.stderr


@pytest.mark.parametrize("order", ["first", "later"])
def test_dnsmasq_on_the_same_host_shares_the_port(made: Host, tmp_path: Path, order: str) -> None:
    if order == "later":
        made.start()
    with dnsmasq(made, tmp_path, "--bind-interfaces"):
        made.wait_for(lambda: holders(made, 67) >= 1 + 4 * (order == "later"))
        if order == "first":
            made.start()
        made.wait_for(lambda: "port shared" in made.log.read_text())
        machine = made.machines[0]
        assert takes_lease(machine)
        wire = machine.socket(BOOTPC)
        discover = msgspec.structs.replace(request(mac=mac(1)), flags=BROADCAST_FLAG)
        wire.sendto(discover.to_bytes(), (BROADCAST, BOOTPS))
        offers = [receive(wire)[0] for _ in range(2)]
        assert sorted(offer.yiaddr != IPv4Address(0) for offer in offers) == [False, True]
        wire.sendto(
            request(MessageType.REQUEST, mac=mac(1), ciaddr=machine.address).to_bytes(),
            (NEAR, BOOT_SERVER),
        )
        assert receive(wire)[1] == (NEAR, BOOT_SERVER)
    assert made.get("/readyz")[0] == 200


def test_dnsmasq_that_holds_the_port_alone_is_named_with_the_cure(
    made: Host, tmp_path: Path
) -> None:
    with dnsmasq(made, tmp_path) as other:
        made.wait_for(lambda: holders(made, 67) >= 1)
        made.start(ready=False)
        made.wait_for(lambda: "UDP 67" in made.get("/readyz")[1])
        status, readiness = made.get("/readyz")
        assert status == 503
        for part in (f"held by dnsmasq, pid {other.pid}", "bind-interfaces", "another host"):
            assert part in readiness
        assert takes_lease(made.machines[0])
    # It may be restarted, by its owner or an update, and finds its port free.
    with dnsmasq(made, tmp_path):
        made.wait_for(lambda: holders(made, 67) >= 1)
        assert takes_lease(made.machines[0])
    with dnsmasq(made, tmp_path, "--bind-interfaces"):
        made.wait_for(lambda: made.get("/readyz")[0] == 200)
        assert offer_to(made.machines[0], 2)[1] == (NEAR, BOOTPS)


def test_port_that_stays_free_is_taken(made: Host, tmp_path: Path) -> None:
    with dnsmasq(made, tmp_path):
        made.wait_for(lambda: holders(made, 67) >= 1)
        made.start(ready=False)
        made.wait_for(lambda: "held by dnsmasq" in made.get("/readyz")[1])
    made.wait_for(lambda: made.get("/readyz")[0] == 200)
    assert offer_to(made.machines[0], 1)[1] == (NEAR, BOOTPS)


def another_server(machine: Machine) -> socket.socket:
    """A server at the far end of a machine's wire."""
    return machine.socket(BOOTPS)


def proxy_offer(to: MACAddress, *, file: bytes = b"pxelinux.0", kind: int = 2) -> bytes:
    server = IPv4Address("10.77.0.66").packed
    options = {53: bytes((kind,)), 54: server, 60: b"PXEClient"}
    packet = DHCPPacket(op=OpCode.BOOTREPLY, xid=9, mac=to, file=file, options=options)
    return packet.to_bytes()


def lease(to: MACAddress, *, file: bytes) -> bytes:
    options = {53: b"\5", 54: IPv4Address("10.77.0.50").packed}
    packet = DHCPPacket(
        op=OpCode.BOOTREPLY,
        xid=9,
        mac=to,
        yiaddr=IPv4Address("10.77.0.120"),
        siaddr=IPv4Address("10.77.0.50"),
        file=file,
        options=options,
    )
    return packet.to_bytes()


def test_other_servers_are_noticed_counted_and_logged_once(host: Host) -> None:
    machine = host.machines[0]
    server = another_server(machine)
    offer_to(machine, 1)
    for _ in range(5):
        server.sendto(proxy_offer(mac(1)), (BROADCAST, BOOTPC))
        server.sendto(lease(mac(1), file=b"undionly.kpxe"), (BROADCAST, BOOTPC))
        server.sendto(lease(mac(2), file=b""), (BROADCAST, BOOTPC))
    for garbage in (b"", b"\2", b"\2" * 300, proxy_offer(mac(1))[:243]):
        server.sendto(garbage, (BROADCAST, BOOTPC))
    for kind in ("pxe", "boot_file", "dhcp"):
        host.wait_for(lambda kind=kind: host.metric(others(kind)) == 1)  # type: ignore[misc]
    log = host.log.read_text()
    assert log.count("another server answers machines") == 2
    for part in ("server=10.77.0.66", "boot_file=undionly.kpxe", "options 66 and 67", "--deny"):
        assert part in log
    assert host.metric('bootyard_internal_errors_total{where="offer_listener"}') == 0
    assert "other servers" not in host.get("/readyz")[1]
    # Never fought: the machine's next offer is the same, and the other server is told nothing.
    assert offer_to(machine, 1)[0].file == b"loaders/uefi-x64/snponly.efi"
    machine.close()
    assert hears_nothing(another_server(machine), 0.2)


def test_own_offers_heard_on_another_interface_are_not_another_server_s(host: Host) -> None:
    # The far ends of both wires are joined: what leaves by s0 arrives at s1.
    near, far = host.machines
    ip("-n", far.namespace, "link", "set", "dev", far.device, "netns", near.namespace)
    ip("-n", near.namespace, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
    for device in (near.device, far.device):
        ip("-n", near.namespace, "link", "set", "dev", device, "master", "br0", "up")
    ip("-n", near.namespace, "link", "set", "dev", "br0", "up")
    joined = Machine(near.namespace, "br0", near.address)
    numbers = itertools.count(10)

    def answered_by() -> set[str]:
        wire = joined.socket(BOOTPC)
        wire.sendto(request(mac=mac(next(numbers))).to_bytes(), (BROADCAST, BOOTPS))
        try:
            with suppress(TimeoutError):
                return {receive(wire)[1][0] for _ in range(2)}
            return set()
        finally:
            wire.close()

    try:
        host.wait_for(lambda: answered_by() == {NEAR, FAR})
        server = joined.socket(BOOTPS)
        server.sendto(proxy_offer(mac(2)), (BROADCAST, BOOTPC))
        host.wait_for(lambda: host.metric(others("pxe")) >= 1)
        assert host.metric(others("pxe")) == 1
        assert f"server={NEAR}" not in host.log.read_text().partition("another server")[2]
    finally:
        joined.close()


def test_without_the_right_to_listen_machines_are_served_and_it_is_told_once(made: Host) -> None:
    made.start("setpriv", "--bounding-set=-net_raw")
    status, readiness = made.get("/readyz")
    assert status == 200
    reasons = json.loads(readiness)["reasons"]
    assert [reason for reason in reasons if "CAP_NET_RAW" in reason] != []
    machine = made.machines[0]
    offer_to(machine, 1)
    another_server(machine).sendto(proxy_offer(mac(1)), (BROADCAST, BOOTPC))
    chosen = {50: b"\x0a\x4d\x00\x32", 54: b"\x0a\x4d\x00\x02"}
    asking = machine.socket(BOOTPC)
    asking.sendto(plain(MessageType.REQUEST, more=chosen).to_bytes(), (BROADCAST, BOOTPS))
    made.wait_for(lambda: made.metric(others("dhcp")) == 1)
    assert made.metric(others("pxe")) == 0
    assert made.log.read_text().count("other servers not noticed") == 1


def others(kind: str) -> str:
    return f'bootyard_proxydhcp_other_servers{{kind="{kind}"}}'


def holders(host: Host, port: int) -> int:
    """Count the sockets on a UDP port of the host."""
    listed = inside(host.name, lambda: Path("/proc/thread-self/net/udp").read_text())
    return sum(line.split()[1].endswith(f":{port:04X}") for line in listed.splitlines()[1:])
