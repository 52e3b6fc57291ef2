"""Which interfaces are served, by what name and with which address."""

import errno
import socket
import sys
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

import pytest

from bootyard.runtime.interfaces import (
    NOT_A_LAN,
    Interface,
    explain_bind_error,
    host_addresses,
    ipv4_addresses,
    unused_address,
)
from bootyard.runtime.settings import Settings
from tests.namespaces import End, Namespaces, inside, ip, lay_wire, run


@dataclass(frozen=True)
class Listed:
    address: str
    netmask: str | None = "255.255.255.0"
    family: int = socket.AF_INET


def interface(name: str, address: str) -> Interface:
    network = IPv4Interface(f"{address}/24").network
    return Interface(name=name, index=1, address=IPv4Address(address), network=network, mtu=1500)


@pytest.mark.parametrize(
    "name",
    ["eth0", "enp3s0", "eth0.10", "vlan10", "bond0", "bond0.2", "br0", "br-lan", "vmbr0", "wlan0"],
)
def test_lan_is_served_by_itself(name: str) -> None:
    assert NOT_A_LAN.fullmatch(name) is None


@pytest.mark.parametrize(
    "name",
    ["lo", "docker0", "br-0123456789ab", "veth12ab", "virbr0", "cni0", "tailscale0", "wg0"],
)
def test_what_is_no_lan_is_served_only_when_it_is_named(name: str) -> None:
    assert NOT_A_LAN.fullmatch(name) is not None


def test_labels_belong_to_their_interface_and_vlans_are_interfaces() -> None:
    listed = {
        "eth0": [Listed("192.0.2.10"), Listed("fe80::1", family=socket.AF_INET6)],
        "eth0:1": [Listed("198.51.100.10")],
        "eth0.10": [Listed("203.0.113.10")],
        "ppp0": [Listed("192.0.2.77", netmask=None)],
        "eth9": [Listed("02:00:00:00:00:01", netmask=None, family=socket.AF_PACKET)],
    }
    found = ipv4_addresses(listed)
    assert list(found) == ["eth0", "eth0.10"]
    assert [str(each) for each in found["eth0"]] == ["192.0.2.10/24", "198.51.100.10/24"]


def test_address_that_is_on_no_served_interface_is_told() -> None:
    both = (interface("eth0", "192.0.2.10"), interface("eth1", "198.51.100.10"))
    said = unused_address(Settings(address=IPv4Address("203.0.113.1")), both)
    assert said is not None
    assert "203.0.113.1" in said
    assert "192.0.2.10 on eth0, 198.51.100.10 on eth1" in said
    assert unused_address(Settings(address=IPv4Address("198.51.100.10")), both) is None
    assert unused_address(Settings(), both) is None
    assert unused_address(Settings(address=IPv4Address("203.0.113.1")), ()) is None


def ask(namespace: str, expression: str) -> str:
    """Evaluate an expression in a process of the namespace: /proc/net is that of a process."""
    program = (
        "from bootyard.runtime.interfaces import *; from bootyard.runtime.settings import Settings;"
        f" print({expression})"
    )
    return run(namespace, sys.executable, "-c", program).stdout.strip()


def served(namespace: str, settings: str = "") -> list[str]:
    """Names and addresses of what is served, `eth0=192.0.2.10/24`."""
    listed = f"(f'{{i.name}}={{i.address}}/{{i.network.prefixlen}}' for i in {SERVED})"
    return ask(namespace, f"' '.join({listed})".replace("SETTINGS", settings)).split()


SERVED = "served_interfaces(Settings(SETTINGS))"


@pytest.mark.needs("ip")
def test_interfaces_of_a_namespace() -> None:
    namespaces = Namespaces()
    try:
        host, far = namespaces.add("host"), namespaces.add("far")
        lay_wire(End(host, "eth0", ("192.0.2.10/24", "192.0.2.11/24")), End(far, "eth0"))
        lay_wire(End(host, "eth1"), End(far, "eth1"))
        lay_wire(End(host, "eth2", ("198.51.100.10/24",)), End(far, "eth2"))
        ip("-n", host, "addr", "add", "203.0.113.10/24", "label", "eth0:pxe", "dev", "eth0")
        ip("-n", host, "link", "set", "dev", "eth2", "down")
        ip("-n", host, "link", "add", "lan10", "link", "eth1", "type", "macvlan", "mode", "bridge")
        ip("-n", host, "addr", "add", "203.0.113.20/25", "dev", "lan10")
        ip("-n", host, "link", "set", "dev", "lan10", "up")
        # An interface that was put up runs a moment later: its carrier is told by the kernel.
        for _ in range(100):
            if len(served(host)) == 2:
                break
            time.sleep(0.05)
        everything = served(host)
        chosen = served(host, "address='203.0.113.10'")
        some = served(host, "interfaces='lan10,eth1,eth7'")
        missing = ask(host, "missing_interfaces(Settings(interfaces='lan10,eth1,eth7'))")
        own = inside(host, host_addresses)
    finally:
        namespaces.close()
    assert everything == ["eth0=192.0.2.10/24", "lan10=203.0.113.20/25"]
    assert chosen == ["eth0=203.0.113.10/24", "lan10=203.0.113.20/25"]
    assert some == ["lan10=203.0.113.20/25"]
    assert missing == "('eth1', 'eth7')"
    expected = (
        "192.0.2.10",
        "192.0.2.11",
        "203.0.113.10",
        "198.51.100.10",
        "203.0.113.20",
        "127.0.0.1",
    )
    assert {each.ip for each in own} == {IPv4Address(each) for each in expected}


def test_port_that_another_program_holds_names_it_and_the_cure() -> None:
    busy = OSError(errno.EADDRINUSE, "Address already in use")
    assert "cannot be bound" in explain_bind_error(busy, 1, "udp")
    denied = PermissionError(errno.EACCES, "Permission denied")
    assert "ip_unprivileged_port_start=67" in explain_bind_error(denied, 69, "udp")
