"""Several networks and relays, on wires in network namespaces.

The routed network is behind machine1: 203.0.113.0/24, by a route through 10.78.0.50.
"""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootyard.model.snapshot import Policy, Root, Slice, Snapshot
from services.proxydhcp.options import MessageType
from services.proxydhcp.reply import BOOTPC, BOOTPS
from tests.namespaces import ip
from tests.proxydhcp.exchange import (
    BOOT_SERVER,
    FAR,
    NEAR,
    another_server,
    is_answered,
    mac,
    offer_to,
    others,
    proxy_offer,
)
from tests.proxydhcp.host import BROADCAST, Host, Machine, hears_nothing, receive
from tests.proxydhcp.packets import request

pytestmark = pytest.mark.needs("ip")

RELAY = IPv4Address("203.0.113.1")
BEHIND = IPv4Address("203.0.113.50")


@pytest.fixture
def host(made: Host) -> Host:
    made.start()
    return made


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
    # Files are another matter: whose network that is only the operator knows.
    host.wait_for(lambda: "bootyard policy subnet 203.0.113.0/24" in host.get("/readyz")[1])
    assert host.get("/readyz")[0] == 200


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
