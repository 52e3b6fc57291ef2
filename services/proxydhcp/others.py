"""Other servers on the network: who they are, and whose offers get into the way of ours. Pure.

Machines name the DHCP server they chose in their broadcast REQUEST (option 54, RFC 2131 §4.3.2),
which is heard on port 67; the servers' own answers, on port 68, are overheard where we may listen.
They are told about and never fought.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import urlsplit

from bootyard.model.mac import MACAddress
from services.proxydhcp.identify import HTTP_CLASS, PXE_CLASS
from services.proxydhcp.limits import Recent, TokenBucket
from services.proxydhcp.options import MessageType, OptionCode, read_address, read_vendor_class
from services.proxydhcp.packet import NOWHERE, DHCPPacket, OpCode

KEEP_SECONDS = 3600.0
MAX_SERVERS = 64

BOOTING_SECONDS = 600.0
"""How long after an offer of ours an answer is about the same boot."""

LINES_RATE, LINES_BURST = 1 / 60, 8.0
"""Log lines about servers: whoever makes up servers must not fill the log."""


class ServerKind(StrEnum):
    """How a server is counted."""

    DHCP = "dhcp"
    PXE = "pxe"
    """It offers boot files, or itself as a boot server, to machines that ask for one."""
    BOOT_FILE = "boot_file"
    """A DHCP server that names a boot file beside the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherOffer:
    """What another server answered to a machine."""

    kind: ServerKind
    server: IPv4Address
    mac: MACAddress
    xid: int
    acked: bool
    """An ACK, and no OFFER."""
    gives_address: bool
    by_http: bool
    """It is for firmware that boots by HTTP."""
    boot_file: str

    @property
    def detail(self) -> str:
        """What a person reads in the machine's timeline."""
        what = f"{self.boot_file} to this machine" if self.boot_file else "itself as a boot server"
        return f"{self.server} also offers {what}"

    @property
    def cure(self) -> str:
        """What to do about it."""
        if self.kind is ServerKind.BOOT_FILE:
            return (
                "iPXE and shim take the DHCP server's boot file before ours: remove it from the"
                " server's settings (network boot, dhcp-boot, options 66 and 67), or name this"
                " host's address there"
            )
        if self.by_http and self.gives_address:
            return (
                "HTTP Boot takes the DHCP server's URL before ours: remove it from the server's"
                " settings"
            )
        if self.gives_address:
            return (
                "firmware asks port 4011 of a DHCP server that calls itself PXEClient, not ours:"
                " remove option 60 from the server's settings"
            )
        return (
            "machines take the one or the other: switch that boot server off, or leave its"
            " machines to it with `bootyard policy set --deny MAC`"
        )


@dataclass(frozen=True, slots=True)
class Overheard:
    """An offer that concerns a machine of ours, and how loudly to say so."""

    offer: OtherOffer
    is_new_server: bool
    """Of its kind: it deserves a line in the log."""


@dataclass(slots=True)
class OtherServers:
    """Distinct servers of each kind that were heard of lately."""

    own: frozenset[IPv4Address] = frozenset()
    """This host's addresses."""
    _seen: Recent[tuple[ServerKind, IPv4Address], float] = field(
        default_factory=lambda: Recent(MAX_SERVERS)
    )
    _logged: Recent[tuple[ServerKind, IPv4Address], bool] = field(
        default_factory=lambda: Recent(MAX_SERVERS)
    )
    _lines: TokenBucket = field(
        default_factory=lambda: TokenBucket(LINES_RATE, LINES_BURST, LINES_BURST, 0.0)
    )
    _booting: Recent[MACAddress, float] = field(default_factory=Recent)
    """Machines that we made an offer to."""
    _told: Recent[tuple[MACAddress, IPv4Address, int, bool], bool] = field(default_factory=Recent)

    def notice(self, packet: DHCPPacket, own: IPv4Address, now: float) -> None:
        """Note the server that a packet on our own ports is for; raises MalformedPacket."""
        if packet.message_type is not MessageType.REQUEST or packet.op is not OpCode.BOOTREQUEST:
            return
        server = read_address(packet.options, OptionCode.SERVER_IDENTIFIER)
        if server is not None and server != own and server not in self.own:
            self._seen.note((ServerKind.DHCP, server), now)

    def note_booting(self, mac: MACAddress, now: float) -> None:
        """Note a machine that we made an offer to: what others offer it matters to us."""
        self._booting.note(mac, now)

    def overhear(self, packet: DHCPPacket, source: IPv4Address, now: float) -> Overheard | None:
        """Note the server that an answer to a machine comes from.

        Returned are answers that get into our way, one for each server and exchange; raises
        MalformedPacket.
        """
        offer = read_offer(packet, source, self.own)
        if offer is None:
            return None
        booting_since = self._booting.get(offer.mac)
        is_booting = booting_since is not None and now - booting_since <= BOOTING_SECONDS
        if offer.kind is ServerKind.BOOT_FILE and not is_booting:
            # A file for a machine that boots nothing gets into nobody's way.
            self._seen.note((ServerKind.DHCP, offer.server), now)
            return None
        self._seen.note((offer.kind, offer.server), now)
        exchange = (offer.mac, offer.server, offer.xid, offer.acked)
        if offer.kind is ServerKind.DHCP or not is_booting or self._told.recall(exchange):
            return None
        self._told.note(exchange, True)
        return Overheard(offer, self._is_news(offer, now))

    def count(self, kind: str, now: float) -> int:
        """Count the servers of a kind."""
        for key in [k for k, at in self._seen.items() if now - at > KEEP_SECONDS]:
            del self._seen[key]
        return sum(1 for known, _ in self._seen if known == kind)

    def _is_news(self, offer: OtherOffer, now: float) -> bool:
        key = (offer.kind, offer.server)
        if self._logged.recall(key) or not self._lines.take(now):
            return False
        self._logged.note(key, True)
        return True


def read_offer(
    packet: DHCPPacket, source: IPv4Address, own: frozenset[IPv4Address]
) -> OtherOffer | None:
    """Read another server's OFFER or ACK; None for anything else, and for what is ours.

    `source` is where it came from: a relay, where there is one. Raises MalformedPacket.
    """
    kind = packet.message_type
    if packet.op is not OpCode.BOOTREPLY or kind not in (MessageType.OFFER, MessageType.ACK):
        return None
    server = read_address(packet.options, OptionCode.SERVER_IDENTIFIER) or source
    gives_address = packet.yiaddr != NOWHERE
    # We never give an address: what does is a DHCP server on this host.
    if not gives_address and (server in own or source in own):
        return None
    vendor_class = read_vendor_class(packet.options) or ""
    file = _boot_file(packet)
    return OtherOffer(
        kind=_kind(packet, vendor_class, file, own),
        server=server,
        mac=packet.mac,
        xid=packet.xid,
        acked=kind is MessageType.ACK,
        gives_address=gives_address,
        by_http=vendor_class.startswith(HTTP_CLASS),
        boot_file=file,
    )


def _kind(
    packet: DHCPPacket, vendor_class: str, file: str, own: frozenset[IPv4Address]
) -> ServerKind:
    if packet.siaddr in own or _host_of(file) in own:
        return ServerKind.DHCP  # it sends machines to us
    if vendor_class.startswith((PXE_CLASS, HTTP_CLASS)):
        return ServerKind.PXE
    # Without an address it is the answer to an INFORM of a running system.
    return ServerKind.BOOT_FILE if file and packet.yiaddr != NOWHERE else ServerKind.DHCP


def _boot_file(packet: DHCPPacket) -> str:
    """Name the boot file, fit for a log; option 67 goes before the header (EDK2, iPXE)."""
    named = packet.options.get(OptionCode.BOOT_FILE_NAME, b"").partition(b"\0")[0] or packet.file
    text = named.decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else "?" for c in text)


def _host_of(file: str) -> IPv4Address | None:
    try:
        return IPv4Address(urlsplit(file).hostname or "")
    except (AddressValueError, ValueError):
        return None
