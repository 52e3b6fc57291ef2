"""Whose offers get into the way of ours, and what is said about them."""

from ipaddress import IPv4Address

import pytest

from bootyard.model.errors import MalformedPacket
from bootyard.model.mac import MACAddress
from services.proxydhcp.options import MessageType
from services.proxydhcp.others import OtherOffer, OtherServers, ServerKind, read_offer
from services.proxydhcp.packet import NOWHERE, DHCPPacket, OpCode
from tests.proxydhcp.packets import MAC, XID, plain, request

OURS = IPv4Address("192.0.2.10")
ROUTER = IPv4Address("192.0.2.1")
OTHER = IPv4Address("192.0.2.66")
CLIENT = IPv4Address("192.0.2.101")
OWN = frozenset({OURS, IPv4Address("198.51.100.10")})
STRANGER = MACAddress.parse("02:00:00:00:00:99")


def answer(
    kind: int | None = MessageType.OFFER,
    *,
    server: IPv4Address | None = OTHER,
    yiaddr: IPv4Address = NOWHERE,
    siaddr: IPv4Address = NOWHERE,
    file: bytes = b"",
    vendor_class: bytes | None = b"PXEClient",
    mac: MACAddress = MAC,
    xid: int = XID,
    more: dict[int, bytes] | None = None,
) -> DHCPPacket:
    """An answer of a server; without `vendor_class` that of a plain DHCP server."""
    values = {
        53: None if kind is None else bytes((kind,)),
        54: None if server is None else server.packed,
        60: vendor_class,
    }
    options = {code: value for code, value in values.items() if value is not None}
    return DHCPPacket(
        op=OpCode.BOOTREPLY,
        xid=xid,
        mac=mac,
        yiaddr=yiaddr,
        siaddr=siaddr,
        file=file,
        options=options | (more or {}),
    )


def lease(kind: int = MessageType.ACK, **fields: object) -> DHCPPacket:
    """An answer of the LAN's DHCP server, as a router makes it: with itself as next server."""
    made = {"server": ROUTER, "yiaddr": CLIENT, "siaddr": ROUTER, "vendor_class": None} | fields
    return answer(kind, **made)  # type: ignore[arg-type]


def read(packet: DHCPPacket, source: IPv4Address = OTHER) -> OtherOffer | None:
    return read_offer(packet, source, OWN)


def kind_of(packet: DHCPPacket) -> ServerKind | None:
    offer = read(packet)
    return None if offer is None else offer.kind


def test_kinds() -> None:
    pxe = answer(file=b"pxelinux.0", siaddr=OTHER)
    assert kind_of(pxe) is ServerKind.PXE
    assert kind_of(answer()) is ServerKind.PXE  # it wants to be asked on port 4011
    assert kind_of(answer(vendor_class=b"HTTPClient", file=b"http://192.0.2.66/x.efi")) is (
        ServerKind.PXE
    )
    assert kind_of(lease()) is ServerKind.DHCP
    assert kind_of(lease(MessageType.OFFER)) is ServerKind.DHCP
    assert kind_of(lease(file=b"pxelinux.0")) is ServerKind.BOOT_FILE
    assert kind_of(lease(more={67: b"pxelinux.0\0"})) is ServerKind.BOOT_FILE
    assert kind_of(lease(vendor_class=b"PXEClient")) is ServerKind.PXE
    assert kind_of(answer(MessageType.ACK, vendor_class=None)) is ServerKind.DHCP  # to an INFORM


def test_what_is_no_answer_of_another_server() -> None:
    assert read(request()) is None
    assert read(plain(MessageType.REQUEST)) is None
    assert read(answer(MessageType.NAK)) is None
    assert read(answer(None)) is None
    assert read(answer(server=OURS, file=b"loaders/uefi-x64/snponly.efi"), OURS) is None
    # By another interface of ours on the same LAN, or without option 54.
    assert read(answer(server=IPv4Address("198.51.100.10")), OURS) is None
    assert read(answer(server=None), OURS) is None


def test_dhcp_server_on_this_host_is_another_server() -> None:
    offer = read(lease(server=OURS, siaddr=NOWHERE, file=b"pxelinux.0"), OURS)
    assert offer is not None
    assert (offer.kind, offer.server) == (ServerKind.BOOT_FILE, OURS)


def test_server_that_sends_machines_to_us_is_in_nobodys_way() -> None:
    assert kind_of(lease(file=b"syslinux.efi", siaddr=OURS)) is ServerKind.DHCP
    assert kind_of(lease(vendor_class=b"PXEClient", siaddr=OURS)) is ServerKind.DHCP
    url = b"http://198.51.100.10:8080/tree/loaders/http-x64/snponly.efi"
    assert kind_of(lease(vendor_class=b"HTTPClient", file=url)) is ServerKind.DHCP
    assert kind_of(answer(file=b"x", siaddr=OURS)) is ServerKind.DHCP


def test_server_is_named_by_option_54_or_by_its_address() -> None:
    relay = IPv4Address("192.0.2.254")
    assert read(answer(), relay).server == OTHER  # type: ignore[union-attr]
    assert read(answer(server=None), OTHER).server == OTHER  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("packet", "detail", "cure"),
    [
        (answer(file=b"pxelinux.0"), "192.0.2.66 also offers pxelinux.0 to this machine", "--deny"),
        (answer(), "192.0.2.66 also offers itself as a boot server", "--deny"),
        (
            lease(file=b"undionly.kpxe"),
            "192.0.2.1 also offers undionly.kpxe to this machine",
            "options 66 and 67",
        ),
        (
            lease(vendor_class=b"PXEClient"),
            "192.0.2.1 also offers itself as a boot server",
            "remove option 60",
        ),
        (
            lease(vendor_class=b"HTTPClient", file=b"http://192.0.2.1/boot.efi"),
            "192.0.2.1 also offers http://192.0.2.1/boot.efi to this machine",
            "remove it from the server's settings",
        ),
        (
            answer(file=b"a\x1b[2J\xff\nb"),
            "192.0.2.66 also offers a?[2J\\xff?b to this machine",
            "--deny",
        ),
    ],
)
def test_what_a_person_reads(packet: DHCPPacket, detail: str, cure: str) -> None:
    offer = read(packet)
    assert offer is not None
    assert offer.detail == detail
    assert cure in offer.cure


def heard_by(others: OtherServers, packet: DHCPPacket, now: float = 100.0) -> bool | None:
    """None: nothing to tell; else whether the server is new."""
    overheard = others.overhear(packet, OTHER, now)
    return None if overheard is None else overheard.is_new_server


def test_each_exchange_is_told_once_and_each_server_logged_once() -> None:
    others = OtherServers(OWN)
    others.note_booting(MAC, 99)
    others.note_booting(STRANGER, 99)
    offer = answer(file=b"pxelinux.0")
    assert [heard_by(others, offer) for _ in range(3)] == [True, None, None]
    assert heard_by(others, answer(file=b"pxelinux.0", xid=7)) is False
    assert heard_by(others, answer(MessageType.ACK, file=b"pxelinux.0")) is False
    assert heard_by(others, answer(file=b"pxelinux.0", mac=STRANGER)) is False
    assert heard_by(others, answer(server=ROUTER)) is True
    assert heard_by(others, lease(file=b"x")) is True  # the same server, for another reason
    assert others.count("pxe", 100) == 2
    assert others.count("boot_file", 100) == 1


def test_machine_that_we_offer_nothing_is_not_told_about() -> None:
    others = OtherServers(OWN)
    assert heard_by(others, answer(file=b"pxelinux.0")) is None
    assert heard_by(others, lease(file=b"pxelinux.0")) is None
    # The boot server is one for others too; the DHCP server's file is in nobody's way.
    assert [others.count(kind, 100) for kind in ServerKind] == [1, 1, 0]
    others.note_booting(MAC, 100)
    assert heard_by(others, lease(file=b"pxelinux.0"), 800) is None
    others.note_booting(MAC, 800)
    assert heard_by(others, lease(file=b"pxelinux.0"), 801) is True


def test_plain_dhcp_server_is_counted_and_not_told_about() -> None:
    others = OtherServers(OWN)
    others.note_booting(MAC, 99)
    assert heard_by(others, lease()) is None
    assert others.count("dhcp", 100) == 1
    assert others.count("dhcp", 100 + 3601) == 0


def test_servers_that_somebody_makes_up_fill_neither_memory_nor_log() -> None:
    others = OtherServers(OWN)
    others.note_booting(MAC, 99)
    servers = (IPv4Address(0xC6336400 + n) for n in range(1000))
    logged = [heard_by(others, answer(server=server)) for server in servers]
    assert logged.count(True) == 8
    assert others.count("pxe", 100) == 64


def test_request_for_our_other_address_is_for_no_other_server() -> None:
    others = OtherServers(OWN)
    for server in (ROUTER, OURS, IPv4Address("198.51.100.10"), IPv4Address("192.0.2.12")):
        asked = plain(MessageType.REQUEST, more={54: server.packed})
        others.notice(asked, IPv4Address("192.0.2.12"), 100)
    assert others.count("dhcp", 100) == 1


@pytest.mark.parametrize("code", [53, 54])
def test_answer_that_does_not_parse_is_malformed(code: int) -> None:
    others = OtherServers(OWN)
    with pytest.raises(MalformedPacket):
        others.overhear(answer(more={code: b"\1\2"}), OTHER, 100)
    assert [others.count(kind, 100) for kind in ServerKind] == [0, 0, 0]
