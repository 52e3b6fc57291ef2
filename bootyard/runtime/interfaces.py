"""Network interfaces that machines are served on, and who holds a port."""

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal, Protocol

import psutil

from bootyard.runtime.settings import Settings

NOT_A_LAN = re.compile(r"lo|docker.*|br-[0-9a-f]{12}|veth.*|virbr.*|cni.*|tailscale.*|wg.*")
"""Left out unless named: loopback, containers' and virtual machines' bridges, VPNs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One IPv4 address to serve machines from."""

    name: str
    index: int
    address: IPv4Address
    """What machines are told to use."""
    network: IPv4Network
    mtu: int


class Address(Protocol):
    """An address as psutil lists it."""

    @property
    def family(self) -> int: ...
    @property
    def address(self) -> str: ...
    @property
    def netmask(self) -> str | None: ...


def served_interfaces(settings: Settings) -> tuple[Interface, ...]:
    """List the interfaces that are up, have an IPv4 address and are to be served, by name."""
    states = psutil.net_if_stats()
    found = []
    for name, addresses in sorted(ipv4_addresses(psutil.net_if_addrs()).items()):
        wanted = (
            name in settings.interfaces if settings.interfaces else not NOT_A_LAN.fullmatch(name)
        )
        if not wanted or name not in states or not states[name].isup:
            continue
        try:
            index = socket.if_nametoindex(name)
        except OSError:
            continue  # it went away since it was listed
        own = sorted(addresses, key=lambda a: a.ip != settings.address)  # stable: else the first
        found.append(
            Interface(
                name=name,
                index=index,
                address=own[0].ip,
                network=own[0].network,
                mtu=states[name].mtu,
            )
        )
    return tuple(found)


def ipv4_addresses(listed: Mapping[str, Sequence[Address]]) -> dict[str, list[IPv4Interface]]:
    """Sort what psutil lists by interface, in the kernel's order.

    The C library gives an address with a label (`eth0:1`, ifupdown's way) the label as the name
    of its interface. VLAN names (`eth0.10`) are names of interfaces.
    """
    found: dict[str, list[IPv4Interface]] = {}
    for label, addresses in listed.items():
        own = [
            IPv4Interface(f"{each.address}/{each.netmask}")
            for each in addresses
            if each.family == socket.AF_INET and each.netmask
        ]
        if own:
            found.setdefault(label.partition(":")[0], []).extend(own)
    return found


def host_addresses() -> frozenset[IPv4Interface]:
    """All IPv4 addresses of this host with their networks, served or not."""
    listed = ipv4_addresses(psutil.net_if_addrs())
    return frozenset(each for addresses in listed.values() for each in addresses)


def missing_interfaces(settings: Settings) -> tuple[str, ...]:
    """List the interfaces named in the settings that cannot be served now."""
    served = {interface.name for interface in served_interfaces(settings)}
    return tuple(name for name in settings.interfaces if name not in served)


def unused_address(settings: Settings, interfaces: tuple[Interface, ...]) -> str | None:
    """Say that no machine is told to use `BOOTYARD_ADDRESS`, if that is so."""
    if settings.address is None or not interfaces:
        return None
    if any(interface.address == settings.address for interface in interfaces):
        return None
    instead = ", ".join(f"{each.address} on {each.name}" for each in interfaces)
    return (
        f"BOOTYARD_ADDRESS={settings.address} is an address of no interface that is served;"
        f" machines are told to use {instead}"
    )


def port_holder(port: int, kind: Literal["udp", "tcp"]) -> str | None:
    """Name the other process that holds a port on this host: ``dnsmasq, pid 812``."""
    for connection in psutil.net_connections(kind=kind):
        listens = kind == "udp" or connection.status == psutil.CONN_LISTEN
        held = connection.laddr and connection.laddr.port == port and listens
        if held and connection.pid != os.getpid():
            if connection.pid is None:
                return "a process of another user"
            try:
                return f"{psutil.Process(connection.pid).name()}, pid {connection.pid}"
            except psutil.Error:
                return f"pid {connection.pid}"
    return None


def explain_bind_error(
    error: OSError,
    port: int,
    kind: Literal["udp", "tcp"],
    cure: str = "stop it or choose another port",
) -> str:
    """Say why a port could not be bound, and what to do about it; `cure` if another holds it."""
    if isinstance(error, PermissionError):
        return (
            f"no permission to bind {kind.upper()} {port}; run as root: sudo make run;"
            " or allow it to everyone: sudo sysctl -w"
            f" net.ipv4.ip_unprivileged_port_start={min(port, 67)}"
        )
    holder = port_holder(port, kind)
    if holder is not None:
        return f"{kind.upper()} {port} is held by {holder}; {cure}"
    return f"{kind.upper()} {port} cannot be bound: {error}"
