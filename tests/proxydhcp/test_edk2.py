"""What EDK2 firmware makes of our offers, by its own table of decisions.

The model follows `PxeBcParseDhcp4Packet`, `PxeBcSelectDhcp4Offer` and `PxeBcDhcp4BootInfo` of
NetworkPkg/UefiPxeBcDxe; the lab boots the real one.
"""

from enum import Enum
from ipaddress import IPv4Address

import msgspec
import pytest

from bootyard.boot.choice import BootOffer
from bootyard.boot.client import BootClient
from bootyard.model.events import OfferStage
from bootyard.model.loaders import OfferStrategy
from services.proxydhcp.identify import identify
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import NOWHERE, DHCPPacket, OpCode
from services.proxydhcp.pxe import OUR_TYPE, read_boot_servers, read_menu, read_suboptions
from services.proxydhcp.reply import build_reply
from tests.proxydhcp.packets import CLIENT, MAC, SERVER, XID, request

ROUTER = IPv4Address("192.168.1.1")
LOADER = "loaders/uefi-x64/snponly.efi"
DIRECT, COMPATIBLE, MENU = OfferStrategy.DIRECT, OfferStrategy.COMPATIBLE, OfferStrategy.MENU


class Kind(Enum):
    """Classes of offers, in the order in which EDK2 prefers what it can do with them."""

    DHCP_PXE10 = 0
    PROXY_PXE10 = 1
    DHCP_BINL = 2
    PROXY_BINL = 3
    DHCP_ONLY = 4
    DISCARDED = 5


def classify(offer: DHCPPacket) -> Kind:
    if 54 not in offer.options:
        return Kind.DISCARDED
    is_proxy = offer.yiaddr == NOWHERE
    if not offer.options.get(60, b"").startswith(b"PXEClient"):
        return Kind.DISCARDED if is_proxy else Kind.DHCP_ONLY
    vendor = read_suboptions(offer.options.get(43, b""))
    if {1, 2, 3, 4, 5} <= vendor.keys() and not {6, 7, 8, 9, 10} & vendor.keys():
        return Kind.DISCARDED
    if {6, 7, 8, 9, 10} & vendor.keys():
        return Kind.PROXY_PXE10 if is_proxy else Kind.DHCP_PXE10
    return Kind.PROXY_BINL if is_proxy else Kind.DHCP_BINL


def next_step(*offers: DHCPPacket) -> str:
    """Tell what the firmware does after the ACK of its DHCP server."""
    found = {classify(offer): offer for offer in reversed(offers)}
    has_lease = Kind.DHCP_ONLY in found
    for kind in (Kind.DHCP_PXE10, Kind.PROXY_PXE10, Kind.DHCP_BINL, Kind.PROXY_BINL):
        offer = found.get(kind)
        if offer is None or (offer.yiaddr == NOWHERE and not has_lease):
            continue
        if kind in (Kind.DHCP_BINL, Kind.PROXY_BINL):
            return f"asks {_server(offer)}:4011"
        vendor = read_suboptions(offer.options[43])
        if vendor.get(6, b"\0")[0] & 8 and offer.file:
            return f"loads {offer.file.decode()} from {_server(offer)}"
        return _take_menu(vendor)
    if has_lease and found[Kind.DHCP_ONLY].file:
        return f"loads {found[Kind.DHCP_ONLY].file.decode()} from {_server(found[Kind.DHCP_ONLY])}"
    return "PXE-E16"


def _server(offer: DHCPPacket) -> IPv4Address:
    return offer.siaddr if offer.siaddr != NOWHERE else IPv4Address(offer.options[54])


def _take_menu(vendor: dict[int, bytes]) -> str:
    menu = read_menu(vendor.get(9, b""))
    prompt = vendor.get(10, b"\xff")
    if not menu or menu[0].type == 0:
        return "PXE-E21"  # type 0 is the local disk
    if prompt[0] != 0:
        return "waits for a key"
    chosen = menu[0].type
    control = vendor[6][0]
    if control & 3 != 3:
        return "asks everybody first"
    servers = next(s for s in read_boot_servers(vendor[8]) if s.type == chosen)
    return f"asks {servers.addresses[0]}:4011 for {chosen:#06x}"


def ours(strategy: OfferStrategy, boot_file: str = LOADER) -> DHCPPacket:
    client = identify(request())
    assert isinstance(client, BootClient)
    offer = BootOffer(boot_file=boot_file, strategy=strategy, stage=OfferStage.ROM)
    return build_reply(request(), client, offer, server=SERVER, http_port=8080)


def router(options: dict[int, bytes] | None = None, file: bytes = b"") -> DHCPPacket:
    """An offer of the DHCP server; most name themselves in siaddr."""
    return DHCPPacket(
        op=OpCode.BOOTREPLY,
        xid=XID,
        mac=MAC,
        yiaddr=CLIENT,
        siaddr=ROUTER,
        file=file,
        options={53: bytes((MessageType.OFFER,)), 54: ROUTER.packed, **(options or {})},
    )


ASKS_US = f"asks {SERVER}:4011"
LOADS = f"loads {LOADER} from {SERVER}"
DISCOVERS_US = f"{ASKS_US} for {OUR_TYPE:#06x}"
PXE = {60: b"PXEClient"}
PXE10 = {60: b"PXEClient", 43: bytes.fromhex("060108ff")}


@pytest.mark.parametrize(
    ("strategy", "step"), [(DIRECT, LOADS), (COMPATIBLE, ASKS_US), (MENU, DISCOVERS_US)]
)
@pytest.mark.parametrize("file", [b"", b"pxelinux.0"], ids=["plain", "with-a-file"])
def test_beside_a_plain_dhcp_server_every_offer_leads_to_us(
    strategy: OfferStrategy, step: str, file: bytes
) -> None:
    assert next_step(router(file=file), ours(strategy)) == step
    assert next_step(ours(strategy), router(file=file)) == step


@pytest.mark.parametrize(
    ("lease", "expected"),
    [
        # Option 60 from a DHCP server makes it the boot server, unless ours needs no 4011.
        (
            [router(PXE), router()],
            {DIRECT: LOADS, MENU: DISCOVERS_US, COMPATIBLE: f"asks {ROUTER}:4011"},
        ),
        (
            [router(PXE10, b"pxelinux.0")],
            dict.fromkeys(OfferStrategy, f"loads pxelinux.0 from {ROUTER}"),
        ),
        ([], dict.fromkeys(OfferStrategy, "PXE-E16")),
    ],
    ids=["dhcp-binl", "dhcp-pxe10", "no-lease"],
)
def test_beside_others(lease: list[DHCPPacket], expected: dict[OfferStrategy, str]) -> None:
    found = {strategy: next_step(*lease, ours(strategy)) for strategy in OfferStrategy}
    assert found == expected


def test_the_answer_for_http_boot_would_be_lost_on_pxe() -> None:
    wrong = msgspec.structs.replace(
        ours(DIRECT), options={**ours(DIRECT).options, 60: b"HTTPClient"}
    )
    assert next_step(router(), wrong) == "PXE-E16"


def test_after_a_switch_in_the_middle_the_new_offer_is_the_one_that_counts() -> None:
    # EDK2 keeps what it was offered before it repeats its DISCOVER.
    assert next_step(router(), ours(COMPATIBLE), ours(COMPATIBLE), ours(DIRECT)) == LOADS
    assert next_step(router(), ours(COMPATIBLE), ours(DIRECT), ours(MENU)) == LOADS
