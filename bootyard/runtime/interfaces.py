"""Network interfaces that machines are served on, and who holds a port."""

import os
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal

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


def served_interfaces(settings: Settings) -> tuple[Interface, ...]:
    """List the interfaces that are up, have an IPv4 address and are to be served, by name."""
    states = psutil.net_if_stats()
    found = []
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        wanted = (
            name in settings.interfaces if settings.interfaces else not NOT_A_LAN.fullmatch(name)
        )
        if not wanted or name not in states or not states[name].isup:
            continue
        own = [a for a in addresses if a.family is socket.AF_INET and a.netmask]
        if not own:
            continue
        own.sort(key=lambda a: a.address != str(settings.address))  # stable: else the first
        network = IPv4Interface(f"{own[0].address}/{own[0].netmask}").network
        found.append(
            Interface(
                name=name,
                index=socket.if_nametoindex(name),
                address=IPv4Address(own[0].address),
                network=network,
                mtu=states[name].mtu,
            )
        )
    return tuple(found)


def missing_interfaces(settings: Settings) -> tuple[str, ...]:
    """List the interfaces named in the settings that cannot be served now."""
    served = {interface.name for interface in served_interfaces(settings)}
    return tuple(name for name in settings.interfaces if name not in served)


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


def explain_bind_error(error: OSError, port: int, kind: Literal["udp", "tcp"]) -> str:
    """Say why a port could not be bound, and what to do about it."""
    if isinstance(error, PermissionError):
        return (
            f"no permission to bind {kind.upper()} {port}; run as root: sudo make run;"
            " or allow it to everyone: sudo sysctl -w"
            f" net.ipv4.ip_unprivileged_port_start={min(port, 67)}"
        )
    holder = port_holder(port, kind)
    if holder is not None:
        return f"{kind.upper()} {port} is held by {holder}; stop it or choose another port"
    return f"{kind.upper()} {port} cannot be bound: {error}"
