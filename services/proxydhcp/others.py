"""Other servers on the network, as far as they can be heard on ports 67 and 4011.

Machines name the DHCP server they chose in their broadcast REQUEST (option 54, RFC 2131 §4.3.2).
The offers themselves go to port 68, where a boot server must not listen.
"""

from ipaddress import IPv4Address

from services.proxydhcp.identify import PXE_CLASS
from services.proxydhcp.limits import Recent
from services.proxydhcp.options import MessageType, OptionCode, read_address, read_vendor_class
from services.proxydhcp.packet import NOWHERE, DHCPPacket, OpCode

KEEP_SECONDS = 3600.0
MAX_SERVERS = 64


class OtherServers:
    """Distinct servers of each kind that were heard of lately."""

    def __init__(self) -> None:
        self._seen: Recent[tuple[str, IPv4Address], float] = Recent(MAX_SERVERS)

    def notice(self, packet: DHCPPacket, own: IPv4Address, now: float) -> None:
        """Note the server that a packet is from, or is for."""
        kind = _kind(packet)
        server = read_address(packet.options, OptionCode.SERVER_IDENTIFIER)
        if kind is not None and server is not None and server != own:
            self._seen.note((kind, server), now)

    def count(self, kind: str, now: float) -> int:
        """Count the servers of a kind."""
        for key in [k for k, at in self._seen.items() if now - at > KEEP_SECONDS]:
            del self._seen[key]
        return sum(1 for known, _ in self._seen if known == kind)


def _kind(packet: DHCPPacket) -> str | None:
    if packet.op is OpCode.BOOTREPLY:
        vendor_class = read_vendor_class(packet.options) or ""
        is_proxy = packet.yiaddr == NOWHERE and vendor_class.startswith(PXE_CLASS)
        return "pxe" if is_proxy else "dhcp"
    return "dhcp" if packet.message_type is MessageType.REQUEST else None
