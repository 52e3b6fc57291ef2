"""Which machine asks: what the network knows of it, and whether to believe what it says.

A `mac` in a URL is anybody's text. It is believed when the kernel's neighbour table, or what
proxydhcp learned from the machine's own DHCP request, says the same.
"""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import web

from bootyard.boot.client import RequestFacts
from bootyard.model.mac import MACAddress
from bootyard.runtime.neighbours import mac_of

NOBODY = IPv4Address(0)
"""Stands for a client that came by IPv6: such clients read files, but do not boot."""


class Clients:
    """Looks up who is behind an address."""

    def __init__(
        self,
        learned: Callable[[str], MACAddress | None],
        own_address: IPv4Address,
        neighbour: Callable[[IPv4Address], MACAddress | None] = mac_of,
    ) -> None:
        self._learned = learned
        self._own_address = own_address
        self._neighbour = neighbour

    def facts(self, request: web.Request) -> RequestFacts:
        """Say who asks, and which address of ours it used (never the Host header)."""
        ip = _address(request.remote) or NOBODY
        name = request.get_extra_info("sockname")
        used = _address(name[0]) if name else None
        return RequestFacts(
            client_ip=ip,
            server_address=used or self._own_address,
            transport="http",
            mac=self.machine_at(ip),
        )

    def machine_at(self, ip: IPv4Address) -> MACAddress | None:
        """Tell which machine has an address."""
        if ip == NOBODY:
            return None
        return self._neighbour(ip) or self._learned(str(ip))

    def proven(self, ip: IPv4Address, claimed: str | None) -> MACAddress | None:
        """Tell which machine asks: the one it says it is, when anything agrees with that.

        A machine that says nothing is the one that the network knows.
        """
        if claimed is None:
            return self.machine_at(ip)
        try:
            mac = MACAddress.parse(claimed)
        except ValueError:
            return None
        return mac if mac in {self._neighbour(ip), self._learned(str(ip))} else None


def _address(text: str | None) -> IPv4Address | None:
    """Read an IPv4 address, also one that is wrapped in IPv6; None for anything else."""
    try:
        address = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped if isinstance(address, IPv6Address) else address
