"""Other servers: on the same host, whose port is shared, and on the network, on real wires."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from bootyard.model.mac import MACAddress
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import BROADCAST_FLAG, DHCPPacket, OpCode
from services.proxydhcp.reply import BOOTPC, BOOTPS
from tests.namespaces import entering, inside, ip, run
from tests.proxydhcp.exchange import (
    BOOT_SERVER,
    FAR,
    NEAR,
    another_server,
    mac,
    offer_to,
    others,
    proxy_offer,
)
from tests.proxydhcp.host import BROADCAST, Host, Machine, hears_nothing, receive
from tests.proxydhcp.packets import plain, request

pytestmark = pytest.mark.needs("ip", "dnsmasq", "udhcpc", "setpriv")


@pytest.fixture
def host(made: Host) -> Host:
    made.start()
    return made


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


def holders(host: Host, port: int) -> int:
    """Count the sockets on a UDP port of the host."""
    listed = inside(host.name, lambda: Path("/proc/thread-self/net/udp").read_text())
    return sum(line.split()[1].endswith(f":{port:04X}") for line in listed.splitlines()[1:])
