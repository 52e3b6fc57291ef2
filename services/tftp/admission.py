"""Who is answered: machines of our networks, asking one of our addresses.

Ours are the networks of served interfaces and those that the policy names.

TFTP has no authentication and UDP sources are forged: a server that answers anybody is used to
flood third parties, so nobody outside of these gets a single byte.
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import msgspec
import psutil

from bootyard.runtime.interfaces import Interface
from services.tftp.metrics import RejectReason
from services.tftp.options import Limits
from services.tftp.subnets import SubnetLimits

LOOPBACK_INDEX = 1
"""Linux gives `lo` this index in every network namespace."""

OWN_HOST = Limits.for_mtu(65536)


class Arrival(msgspec.Struct, frozen=True):
    """Where a datagram came from and how (IP_PKTINFO, ip(7))."""

    source: IPv4Address
    port: int
    interface_index: int
    local_address: IPv4Address
    """Our address that answers leave from."""
    destination: IPv4Address
    """As in its header."""


class ServedNetwork(msgspec.Struct, frozen=True):
    """An interface, the networks that are on it, and what transfers over it may ask for."""

    index: int
    networks: tuple[IPv4Network, ...]
    limits: Limits


class Admission:
    """The served networks, and this host itself, for health checks."""

    def __init__(self, served: Iterable[ServedNetwork] = ()) -> None:
        self._served = {network.index: network for network in served}

    def admit(self, arrival: Arrival, subnets: SubnetLimits) -> Limits | RejectReason:
        """Tell what a client may negotiate, or why it gets no answer."""
        if arrival.destination != arrival.local_address or not arrival.port:
            # RFC 1123 §4.2.3.5: a request to a broadcast address is silently ignored.
            return RejectReason.INTERFACE
        if arrival.interface_index == LOOPBACK_INDEX:
            # Sent by this host, to any of its addresses.
            return subnets.limits_for(arrival.source, OWN_HOST)
        network = self._served.get(arrival.interface_index)
        if network is None:
            return RejectReason.INTERFACE
        is_near = any(arrival.source in n for n in network.networks)
        if not is_near and not subnets.serves(arrival.source):
            return RejectReason.FOREIGN
        return subnets.limits_for(arrival.source, network.limits)


def served_networks(interfaces: Iterable[Interface]) -> tuple[ServedNetwork, ...]:
    """List the networks of served interfaces, those of further addresses too."""
    addresses = psutil.net_if_addrs()
    return tuple(
        ServedNetwork(
            index=interface.index,
            networks=tuple(
                IPv4Interface(f"{address.address}/{address.netmask}").network
                for address in addresses.get(interface.name, ())
                if address.family is socket.AF_INET and address.netmask
            )
            or (interface.network,),
            limits=Limits.for_mtu(interface.mtu),
        )
        for interface in interfaces
    )
