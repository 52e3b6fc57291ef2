"""Whether this host is a container behind NAT, where no machine's broadcast ever arrives.

Decided from several facts that must all agree, because the mistake costs everything: a container
with the host's network, a macvlan container, a virtual machine, an LXC and a network namespace are
real hosts, whatever else looks like a container on them.
"""

import array
import fcntl
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import psutil

from bootyard.runtime.interfaces import Interface

MARKERS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Docker and Podman put them into every container."""

CONTAINER_ID = re.compile(r"[0-9a-f]{12}")
"""The host name of a container that was given none."""

CONTAINER_RESOLVER = "127.0.0.11"
"""Docker's name server, which exists only in containers of networks that a user made."""

_SIOCETHTOOL = 0x8946
_ETHTOOL_GDRVINFO = 3
_DRVINFO = struct.Struct("=I32s160x")
"""struct ethtool_drvinfo: the command, the driver's name, and what is of no use here."""
_IFREQ = struct.Struct("@16sP16x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What tells how an address is connected."""

    name: str
    driver: str
    """`veth`, `macvlan`, `virtio_net` …; empty: not known."""
    mac: str
    address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What is looked at."""

    marked: bool
    """A container runtime says that this is its container."""
    hostname: str
    names: Mapping[str, str]
    """`/etc/hosts`: the first address of each name."""
    resolvers: tuple[str, ...]
    links: tuple[Link, ...]
    """Of the interfaces that would be served."""


def explain_nat(facts: HostFacts) -> str | None:
    """Say that this is a container in bridge mode and what to do, or None for any other host.

    Docker and Podman write the container's own address into its `/etc/hosts` unless it has the
    host's network; a virtual Ethernet pair is how it is connected in bridge mode only. A container
    with the host's network inside an LXC has both by chance: it has no name, name server or MAC
    that a runtime made.
    """
    if not facts.marked or not facts.links:
        return None
    if any(link.driver != "veth" for link in facts.links):
        return None
    own = facts.names.get(facts.hostname)
    named = next((link for link in facts.links if str(link.address) == own), None)
    if named is None:
        return None
    made_by_runtime = (
        CONTAINER_ID.fullmatch(facts.hostname) is not None
        or CONTAINER_RESOLVER in facts.resolvers
        or named.mac == f"02:42:{named.address.packed.hex(':')}"
    )
    if not made_by_runtime:
        return None
    return (
        f"this container has a private network behind NAT ({named.name} {named.address}), where"
        " machines that boot cannot be heard: give it the host's network, with"
        " `network_mode: host` in compose.yaml or `docker run --network host`, and publish no ports"
    )


def host_facts(interfaces: tuple[Interface, ...]) -> HostFacts:
    """Look at this host."""
    return HostFacts(
        marked=any(marker.exists() for marker in MARKERS),
        hostname=socket.gethostname(),
        names=parse_hosts(_read("/etc/hosts")),
        resolvers=parse_resolvers(_read("/etc/resolv.conf")),
        links=tuple(
            Link(
                name=interface.name,
                driver=_driver(interface.name),
                mac=_mac(interface.name),
                address=interface.address,
            )
            for interface in interfaces
        ),
    )


def parse_hosts(text: str) -> dict[str, str]:
    """Read hosts(5): the first IPv4 address of each name."""
    names: dict[str, str] = {}
    for line in text.splitlines():
        address, *given = line.partition("#")[0].split() or [""]
        if ":" not in address:
            for name in given:
                names.setdefault(name, address)
    return names


def parse_resolvers(text: str) -> tuple[str, ...]:
    """Read the name servers of resolv.conf(5)."""
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _driver(name: str) -> str:
    """Ask for an interface's driver (ethtool(8) -i), which needs no rights.

    Not from /sys: a network namespace may see there what is mounted for another one.
    """
    info = array.array("B", _DRVINFO.pack(_ETHTOOL_GDRVINFO, b""))
    request = bytearray(_IFREQ.pack(name.encode(), info.buffer_info()[0]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            fcntl.ioctl(asking, _SIOCETHTOOL, request)
        except OSError:
            return ""
    _, driver = _DRVINFO.unpack(info.tobytes())
    return str(driver.partition(b"\0")[0].decode("ascii", "replace"))


def _mac(name: str) -> str:
    addresses = psutil.net_if_addrs().get(name, [])
    return next((a.address for a in addresses if a.family == psutil.AF_LINK), "")
