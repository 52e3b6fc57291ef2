"""The answer to a machine: an OFFER on port 67, an ACK on port 4011, and where it goes.

RFC 2131 §4.1 and PXE 2.1 §2.2, with the habits of EDK2, iPXE and BIOS ROMs beside each line.
No address is ever given: `yiaddr` stays 0, and no lease, netmask or router option is sent.
"""

from ipaddress import IPv4Address
from urllib.parse import quote

import msgspec

from bootyard.boot.choice import BootOffer
from bootyard.boot.client import BootClient, ClientKind
from bootyard.model.architecture import Firmware
from bootyard.model.events import OfferStage
from bootyard.model.loaders import OfferStrategy
from services.proxydhcp.identify import HTTP_CLASS, PI_3_OUI, PXE_CLASS
from services.proxydhcp.options import MessageType, OptionCode
from services.proxydhcp.packet import (
    BROADCAST_FLAG,
    FILE_SIZE,
    NOWHERE,
    SNAME_SIZE,
    DHCPPacket,
    OpCode,
)
from services.proxydhcp.pxe import (
    DIRECT_BOOT,
    RASPBERRY_PI,
    RASPBERRY_PI_3,
    SubOption,
    find_boot_item,
    one_server_menu,
    write_boot_item,
    write_suboptions,
)

BOOTPS = 67
BOOTPC = 68
BROADCAST = IPv4Address("255.255.255.255")

HEADERS_SIZE = 28
"""IPv4 and UDP headers."""
MIN_MAX_MESSAGE = 576
"""Every client takes a datagram of this size (RFC 2131 §2); option 57 may not say less."""
MAX_REPLY = 1472
"""EDK2 drops any longer packet, whatever its own option 57 said (PxeBcDhcp4CallBack)."""

Endpoint = tuple[IPv4Address, int]


def build_reply(
    request: DHCPPacket,
    client: BootClient,
    offer: BootOffer,
    *,
    server: IPv4Address,
    http_port: int,
) -> DHCPPacket:
    """Answer `request` with `offer`; `server` is where the boot file is."""
    acknowledges = is_acknowledged(request)
    # An iPXE that HTTP Boot started may say HTTPClient itself, but takes PXEClient only (dhcp.c).
    by_http = offer.stage is OfferStage.HTTP
    boot_file = offer.boot_file
    if by_http:
        # A literal address: EDK2 refuses a host name when no offer named a DNS server.
        boot_file = f"http://{server}:{http_port}/tree/{quote(boot_file, safe='/@')}"
    options: dict[int, bytes] = {
        OptionCode.MESSAGE_TYPE: bytes(
            (MessageType.ACK if acknowledges else MessageType.OFFER,),
        ),
        # EDK2 drops an OFFER without it (DhcpHandleSelect).
        OptionCode.SERVER_IDENTIFIER: server.packed,
        # Exactly these bytes: iPXE and GRUB compare the whole string. The wrong one of the two
        # makes EDK2 forget that it still waits for a proxy.
        OptionCode.VENDOR_CLASS: (HTTP_CLASS if by_http else PXE_CLASS).encode(),
    }
    _echo(request, OptionCode.CLIENT_MACHINE_ID, options)  # RFC 4578 §2.3
    vendor_specific = _vendor_specific(request, client, offer, server, acknowledges)
    if vendor_specific is not None:
        options[OptionCode.VENDOR_SPECIFIC] = vendor_specific
    if by_http or len(boot_file.encode()) >= FILE_SIZE:
        # EDK2 reads option 67, GRUB the header: both carry a URL that fits.
        options[OptionCode.BOOT_FILE_NAME] = boot_file.encode()
    _echo(request, OptionCode.CLIENT_IDENTIFIER, options)  # RFC 6842 §3
    if request.giaddr != NOWHERE:
        _echo(request, OptionCode.RELAY_AGENT, options)  # the last one: RFC 3046 §2.2
    ciaddr = request.ciaddr if acknowledges else NOWHERE
    reply = DHCPPacket(
        op=OpCode.BOOTREPLY,
        htype=request.htype,
        xid=request.xid,
        # Broadcast even when not asked: a proxy knows no address to send an OFFER to.
        flags=0 if acknowledges and ciaddr != NOWHERE else BROADCAST_FLAG,
        ciaddr=ciaddr,
        # iPXE asks 4011 for ever when it is missing here (ipxe#954); shim takes it from here.
        siaddr=server,
        giaddr=request.giaddr,
        mac=request.mac,
        sname=_terminated(str(server), SNAME_SIZE),
        file=_terminated(boot_file, FILE_SIZE),
        options=options,
    )
    return _fitted(reply, max_reply_size(client))


def is_acknowledged(request: DHCPPacket) -> bool:
    """Tell whether a request gets an ACK: all but a DISCOVER do, which gets an OFFER."""
    return request.message_type is not MessageType.DISCOVER


def destination(request: DHCPPacket, source: Endpoint) -> Endpoint:
    """Tell where the answer to a request from `source` goes (RFC 2131 §4.1)."""
    if request.giaddr != NOWHERE:
        return request.giaddr, BOOTPS
    if is_acknowledged(request):
        # EDK2 asks from port 4011, iPXE from 68: both listen where they asked from.
        if request.ciaddr != NOWHERE:
            return request.ciaddr, source[1]
        if source[0] != NOWHERE:
            return source
    return BROADCAST, BOOTPC


def max_reply_size(client: BootClient) -> int:
    """Tell how many bytes a reply to this client may have."""
    asked = max(client.max_message_size or 0, MIN_MAX_MESSAGE)
    return min(asked - HEADERS_SIZE, MAX_REPLY)


def _vendor_specific(
    request: DHCPPacket,
    client: BootClient,
    offer: BootOffer,
    server: IPv4Address,
    acknowledges: bool,
) -> bytes | None:
    """Option 43, or None for a client that is to find its boot server on port 4011."""
    item = find_boot_item(request.options.get(OptionCode.VENDOR_SPECIFIC, b""))
    if acknowledges and item is not None:
        # Repeated, so that the client knows its own question (PXE 2.1 §2.2).
        return write_suboptions({SubOption.BOOT_ITEM: write_boot_item(item)})
    if offer.stage is OfferStage.PI:
        return RASPBERRY_PI_3 if client.mac.startswith(PI_3_OUI) else RASPBERRY_PI
    if offer.stage is OfferStage.HTTP or offer.strategy is OfferStrategy.COMPATIBLE:
        return None
    if not acknowledges and offer.strategy is OfferStrategy.MENU:
        return one_server_menu(server)
    if acknowledges and client.kind is ClientKind.ROM and client.firmware is not Firmware.BIOS:
        # UEFI that came to 4011 wants the file and nothing more to discover.
        return None
    return DIRECT_BOOT


def _echo(request: DHCPPacket, code: OptionCode, options: dict[int, bytes]) -> None:
    if code in request.options:
        options[code] = request.options[code]


def _terminated(text: str, size: int) -> bytes:
    """Text for a header field. Some ROMs want the NUL (dnsmasq, do_options): room is left for it.

    Longer text is left out: half a name is another name.
    """
    value = text.encode()
    return value if len(value) < size else b""


SHEDDABLE = (OptionCode.CLIENT_IDENTIFIER, OptionCode.CLIENT_MACHINE_ID, OptionCode.RELAY_AGENT)
"""Copies that are left out, in this order, rather than sending more than the client takes."""


def _fitted(reply: DHCPPacket, size: int) -> DHCPPacket:
    for code in SHEDDABLE:
        if reply.size <= size:
            break
        options = {c: value for c, value in reply.options.items() if c != code}
        reply = msgspec.structs.replace(reply, options=options)
    return reply
