"""What is a container behind NAT, and all that is not."""

import dataclasses
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from bootyard.runtime.container import (
    HostFacts,
    Link,
    explain_nat,
    host_facts,
    parse_hosts,
    parse_resolvers,
)
from bootyard.runtime.interfaces import Interface
from tests.namespaces import End, Namespaces, inside, ip, lay_wire

COMPOSE_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
172.18.0.3\t5d1f0c9b7a42
fd00::3\t5d1f0c9b7a42
"""
LXC_HOSTS = "127.0.0.1 localhost\n192.0.2.10 pve-boot.lan pve-boot  # by the host\n"


def link(address: str, *, driver: str = "veth", mac: str = "ba:22:00:00:00:01") -> Link:
    return Link(name="eth0", driver=driver, mac=mac, address=IPv4Address(address))


def facts(
    *links: Link,
    hosts: str = COMPOSE_HOSTS,
    hostname: str = "5d1f0c9b7a42",
    resolver: str = "127.0.0.11",
    marked: bool = True,
) -> HostFacts:
    return HostFacts(
        marked=marked,
        hostname=hostname,
        names=parse_hosts(hosts),
        resolvers=(resolver,),
        links=links,
    )


BRIDGED = {
    "compose": facts(link("172.18.0.3")),
    "compose, hostname set": facts(
        link("172.18.0.3"), hosts="172.18.0.3 bootyard", hostname="bootyard"
    ),
    "docker run": facts(link("172.18.0.3"), resolver="192.0.2.1"),
    "docker run --hostname, before Docker 28": facts(
        link("172.18.0.3", mac="02:42:ac:12:00:03"),
        hosts="172.18.0.3 bootyard",
        hostname="bootyard",
        resolver="192.0.2.1",
    ),
    "two networks": facts(
        link("172.19.0.7"), link("172.18.0.3"), hosts="172.18.0.3 a1 5d1f0c9b7a42\n172.19.0.7 a1"
    ),
    "podman": facts(
        link("10.88.0.4"), hosts="10.88.0.4\t5d1f0c9b7a42 bootyard", resolver="10.88.0.1"
    ),
}


@pytest.mark.parametrize("name", BRIDGED)
def test_bridged_container_is_told_what_to_do(name: str) -> None:
    said = explain_nat(BRIDGED[name])
    assert said is not None
    assert "network_mode: host" in said
    assert "172.1" in said or "10.88.0.4" in said


ON_THE_LAN = {
    "a host": facts(
        link("192.0.2.10", driver="e1000e"), hosts="127.0.1.1 boot", hostname="boot", marked=False
    ),
    "a container with the host's network": facts(
        link("192.0.2.10", driver="igb"), hosts=LXC_HOSTS, hostname="pve-boot"
    ),
    "the same in an LXC, which is connected by veth": facts(
        link("192.0.2.10"), hosts=LXC_HOSTS, hostname="pve-boot", resolver="192.0.2.1"
    ),
    "an LXC with a name like a container's": facts(
        link("192.0.2.10"), hosts="192.0.2.10 5d1f0c9b7a42", marked=False
    ),
    "macvlan": facts(link("192.0.2.10", driver="macvlan"), hosts="192.0.2.10 5d1f0c9b7a42"),
    "ipvlan": facts(link("192.0.2.10", driver="ipvlan"), hosts="192.0.2.10 5d1f0c9b7a42"),
    "macvlan beside the bridge": facts(
        link("172.18.0.3"), link("192.0.2.10", driver="macvlan"), hosts=COMPOSE_HOSTS
    ),
    "a network namespace inside a bridged container": facts(link("192.0.2.10")),
    "the same before it has an address": facts(),
    "a virtual machine made from a container's files": facts(
        link("192.0.2.2", driver="virtio_net"), hosts="127.0.0.1 vm", hostname="vm"
    ),
    "driver not known": facts(link("172.18.0.3", driver="")),
    "nothing can be read": facts(link("172.18.0.3"), hosts=""),
}


@pytest.mark.parametrize("name", ON_THE_LAN)
def test_host_is_never_refused(name: str) -> None:
    assert explain_nat(ON_THE_LAN[name]) is None


@pytest.mark.parametrize("changed", [{"marked": False}, {"links": ()}, {"names": {}}])
def test_every_fact_is_needed(changed: dict[str, Any]) -> None:
    assert explain_nat(dataclasses.replace(BRIDGED["compose"], **changed)) is None


def test_hosts_and_resolvers_are_read_whatever_is_in_them() -> None:
    assert parse_hosts("\n# a\n10.0.0.1\n10.0.0.1 a b # c\n10.0.0.2 a\n::1 a\n") == {
        "a": "10.0.0.1",
        "b": "10.0.0.1",
    }
    assert parse_resolvers("search lan\nnameserver\nnameserver 127.0.0.11\noptions x\n") == (
        "127.0.0.11",
    )


@pytest.mark.needs("ip")
def test_namespace_of_virtual_wires_is_a_host_and_its_links_are_known() -> None:
    namespaces = Namespaces()
    try:
        host, far = namespaces.add("host"), namespaces.add("far")
        lay_wire(End(host, "eth0", ("192.0.2.10/24",)), End(far, "eth0"))
        ip("-n", host, "link", "add", "mv0", "link", "eth0", "type", "macvlan")
        served = tuple(
            Interface(
                name=name,
                index=1,
                address=IPv4Address("192.0.2.10"),
                network=IPv4Network("192.0.2.0/24"),
                mtu=1500,
            )
            for name in ("eth0", "mv0", "gone0", "lo")
        )
        found = inside(host, lambda: host_facts(served))
    finally:
        namespaces.close()
    assert [each.driver for each in found.links] == ["veth", "macvlan", "", ""]
    assert len(found.links[0].mac) == 17
    assert explain_nat(found) is None
