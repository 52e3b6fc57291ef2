"""Replies byte by byte, and where they go."""

import itertools
from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.choice import BootOffer
from bootyard.boot.client import BootClient, ClientKind
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import MACAddress
from services.proxydhcp.identify import identify, stage_of
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import NOWHERE, DHCPPacket, OpCode
from services.proxydhcp.reply import MAX_REPLY, build_reply, destination, max_reply_size
from tests.proxydhcp.packets import CLIENT, MACHINE_ID, SERVER, request
from tests.proxydhcp.test_identify import (
    BIOS,
    BIOS_CLASS,
    HTTP_CLASS,
    IPXE_OPTIONS,
    PI_MAC,
)
from tests.proxydhcp.test_packet import options, packets

LOADER = "loaders/uefi-x64/snponly.efi"
URL = b"http://192.168.1.2:8080/tree/loaders/uefi-x64/snponly.efi"
DIRECT, COMPATIBLE, MENU = OfferStrategy.DIRECT, OfferStrategy.COMPATIBLE, OfferStrategy.MENU
RELAY = IPv4Address("192.168.9.1")
PI_3_MAC = MACAddress.parse("b8:27:eb:01:36:c2")


def reply_to(
    packet: DHCPPacket, strategy: OfferStrategy = COMPATIBLE, boot_file: str = LOADER
) -> DHCPPacket:
    client = identify(packet)
    assert isinstance(client, BootClient)
    offer = BootOffer(boot_file=boot_file, strategy=strategy, stage=stage_of(client))
    return build_reply(packet, client, offer, server=SERVER, http_port=8080)


def acknowledge(packet: DHCPPacket, strategy: OfferStrategy = COMPATIBLE) -> DHCPPacket:
    """Answer the same request as if it came to confirm an offer."""
    options = {**packet.options, 53: bytes((MessageType.REQUEST,))}
    return reply_to(msgspec.structs.replace(packet, options=options), strategy)


HEADER = "02010600 12345678 0000 8000 00000000 00000000 c0a80102 00000000 020000000001" + "00" * 10
"""Of every OFFER, up to sname (protocol vectors)."""
NAMES = b"192.168.1.2".ljust(64, b"\0") + LOADER.encode().ljust(128, b"\0")
UUID = "6111 00 000102030405060708090a0b0c0d0e0f"


@pytest.mark.parametrize(
    ("strategy", "vector", "size"),
    [
        (DIRECT, f"350102 3604c0a80102 3c09505845436c69656e74 {UUID} 2b04060108ff ff", 286),
        (COMPATIBLE, f"350102 3604c0a80102 3c09505845436c69656e74 {UUID} ff", 280),
    ],
)
def test_offer_vectors(strategy: OfferStrategy, vector: str, size: int) -> None:
    data = reply_to(request(), strategy).to_bytes()
    assert data[:44].hex() == HEADER.replace(" ", "")
    assert data[44:236] == NAMES
    assert data[236:240].hex() == "63825363"
    assert data[240:] == bytes.fromhex(vector).ljust(60, b"\0")
    assert data.rindex(b"\xff") + 1 == size
    assert len(data) == 300


def test_ack_vector() -> None:
    data = acknowledge(request(MessageType.REQUEST, ciaddr=CLIENT)).to_bytes()
    header = "02010600 12345678 0000 0000 c0a80132 00000000 c0a80102 00000000 020000000001"
    assert data[:34].hex() == header.replace(" ", "")
    assert data[44:236] == NAMES
    vector = f"350105 3604c0a80102 3c09505845436c69656e74 {UUID} ff"
    assert data[240:] == bytes.fromhex(vector).ljust(60, b"\0")


def test_http_vector() -> None:
    offer = reply_to(request(arch=b"\0\x10", vendor_class=HTTP_CLASS))
    vector = f"350102 3604c0a80102 3c0a48545450436c69656e74 {UUID} 43{len(URL):02x}{URL.hex()} ff"
    data = offer.to_bytes()
    assert data[:44].hex() == HEADER.replace(" ", "")
    assert data[240:] == bytes.fromhex(vector).ljust(60, b"\0")
    assert offer.file == URL


@pytest.mark.parametrize("vendor_class", [b"PXEClient:Arch:00007", b"HTTPClient:Arch:00016"])
def test_class_of_the_answer_is_that_of_the_question(vendor_class: bytes) -> None:
    offer = reply_to(request(vendor_class=vendor_class))
    assert offer.options[60] == vendor_class.partition(b":")[0]


def test_ipxe_that_took_over_a_class_takes_pxe_all_the_same() -> None:
    offer = reply_to(request(vendor_class=b"HTTPClient", more={175: IPXE_OPTIONS}), DIRECT, "x")
    assert (offer.options[60], offer.file) == (b"PXEClient", b"x")


@pytest.mark.parametrize(
    ("number", "name"),
    [(0x0F, "ia32"), (0x10, "x64"), (0x13, "arm64"), (0x1C, "riscv64"), (0x28, "loong64")],
)
def test_http_boot_of_every_architecture_gets_one_url_twice(number: int, name: str) -> None:
    asked = request(arch=number.to_bytes(2), vendor_class=HTTP_CLASS)
    offer = reply_to(asked, DIRECT, f"loaders/uefi-{name}/ipxe.efi")
    url = f"http://192.168.1.2:8080/tree/loaders/uefi-{name}/ipxe.efi".encode()
    assert (offer.file, offer.options[67]) == (url, url)
    assert len(url) < 128
    assert offer.siaddr == SERVER
    assert 43 not in offer.options


def test_url_of_a_name_with_blanks_is_a_url() -> None:
    asked = request(arch=b"\0\x10", vendor_class=HTTP_CLASS)
    offer = reply_to(asked, DIRECT, "images/fedora@3/EFI/a b/größe%.efi")
    path = b"/tree/images/fedora@3/EFI/a%20b/gr%C3%B6%C3%9Fe%25.efi"
    assert offer.options[67] == b"http://192.168.1.2:8080" + path


@pytest.mark.parametrize("machine_id", [MACHINE_ID, b"", b"\1odd", bytes(17)])
def test_machine_id_is_echoed_as_it_was(machine_id: bytes) -> None:
    asked = request(machine_id=machine_id)
    for reply in (reply_to(asked), acknowledge(asked)):
        assert reply.options[97] == machine_id


def test_what_was_absent_stays_absent() -> None:
    offer = reply_to(request(machine_id=None))
    assert set(offer.options) == {53, 54, 60}


def test_client_identifier_is_echoed() -> None:
    assert reply_to(request(more={61: b"\xffduid"})).options[61] == b"\xffduid"


def test_no_address_and_no_lease_are_ever_given() -> None:
    for strategy, answer in itertools.product(OfferStrategy, (reply_to, acknowledge)):
        reply = answer(request(ciaddr=CLIENT), strategy)
        assert reply.yiaddr == NOWHERE
        assert reply.op is OpCode.BOOTREPLY
        assert not {1, 3, 6, 51, 52} & set(reply.options)


SERVER_MENU = (
    "060107"  # neither broadcast nor multicast, only the servers of the list
    "0807 8042 01 c0a80102"
    "090b 8042 08 426f6f7479617264"
    "0a09 00 426f6f7479617264"
    "ff"
).replace(" ", "")
PI = "0601030a0400505845091400001152617370626572727920506920426f6f74ff"
PI_3 = "0601030a0400505845091700001452617370626572727920506920426f6f74202020ff"
BIOS_ROM = request(arch=BIOS, vendor_class=BIOS_CLASS)
IPXE = request(more={175: IPXE_OPTIONS})


@pytest.mark.parametrize(
    ("packet", "strategy", "on_67", "on_4011"),
    [
        pytest.param(packet, strategy, on_67, on_4011, id=name)
        for name, packet, strategy, on_67, on_4011 in [
            ("bios-direct", BIOS_ROM, DIRECT, "060108ff", "060108ff"),
            ("bios-compatible", BIOS_ROM, COMPATIBLE, None, None),
            ("bios-menu", BIOS_ROM, MENU, SERVER_MENU, "060108ff"),
            ("uefi-direct", request(), DIRECT, "060108ff", None),
            ("uefi-compatible", request(), COMPATIBLE, None, None),
            ("uefi-menu", request(), MENU, SERVER_MENU, None),
            ("ipxe-direct", IPXE, DIRECT, "060108ff", "060108ff"),
            ("ipxe-menu", IPXE, MENU, SERVER_MENU, "060108ff"),
            ("http", request(vendor_class=HTTP_CLASS), DIRECT, None, None),
            ("pi-4", request(mac=PI_MAC, arch=BIOS), MENU, PI, PI),
            ("pi-3", request(mac=PI_3_MAC, arch=BIOS), MENU, PI_3, PI_3),
        ]
    ],
)
def test_option_43(
    packet: DHCPPacket, strategy: OfferStrategy, on_67: str | None, on_4011: str | None
) -> None:
    found = (
        reply_to(packet, strategy).options.get(43),
        acknowledge(packet, strategy).options.get(43),
    )
    assert tuple(value and value.hex() for value in found) == (on_67, on_4011)


def test_menu_offer_byte_by_byte() -> None:
    data = reply_to(request(), MENU).to_bytes()
    menu = bytes.fromhex(SERVER_MENU)
    vector = f"350102 3604c0a80102 3c09505845436c69656e74 {UUID} 2b{len(menu):02x}{menu.hex()} ff"
    assert data[:44].hex() == HEADER.replace(" ", "")
    assert data[44:236] == NAMES  # shim finds its folder here, whatever was discovered
    assert data[240:].rstrip(b"\0") == bytes.fromhex(vector)


def test_pi_is_told_our_address_and_no_file() -> None:
    offer = reply_to(request(mac=PI_MAC, arch=BIOS), MENU, boot_file="")
    assert (offer.file, offer.siaddr, offer.sname) == (b"", SERVER, b"192.168.1.2")
    assert set(offer.options) == {53, 54, 60, 97, 43}


@pytest.mark.parametrize("kind", [MessageType.REQUEST, MessageType.INFORM])
@pytest.mark.parametrize("strategy", OfferStrategy)
def test_boot_item_is_repeated_whatever_was_offered(
    kind: MessageType, strategy: OfferStrategy
) -> None:
    asked = request(kind, ciaddr=CLIENT, more={43: bytes.fromhex("470480010002ff")})
    ack = reply_to(asked, strategy)
    assert ack.message_type is MessageType.ACK
    assert ack.options[43].hex() == "470480010002ff"
    assert (ack.file, ack.siaddr, ack.ciaddr) == (LOADER.encode(), SERVER, CLIENT)


@pytest.mark.parametrize("damaged", ["", "47", "4702ffff", "470580010002"])
def test_damaged_boot_item_is_no_boot_item(damaged: str) -> None:
    asked = request(MessageType.REQUEST, more={43: bytes.fromhex(damaged)})
    assert 43 not in reply_to(asked).options


def test_relay_agent_is_echoed_last() -> None:
    agent = b"\1\4eth7\2\6abcdef"
    packet = request(giaddr=RELAY, more={82: agent, 61: b"\1abcdef"})
    for strategy in OfferStrategy:
        offer = reply_to(packet, strategy)
        assert list(offer.options.items())[-1] == (82, agent)
        assert offer.giaddr == RELAY
        assert offer.to_bytes().rstrip(b"\0").endswith(b"\x52\x0e" + agent + b"\xff")


def test_relay_agent_without_a_relay_is_not_echoed() -> None:
    assert 82 not in reply_to(request(more={82: b"\1\1x"})).options


def test_same_question_same_answer() -> None:
    assert reply_to(request()).to_bytes() == reply_to(request()).to_bytes()


def test_name_that_fits_no_header_field_is_in_option_67() -> None:
    name = "loaders/" + "x" * 130
    reply = reply_to(request(), boot_file=name)
    assert (reply.file, reply.options[67]) == (b"", name.encode())
    assert 67 not in reply_to(request(), boot_file="x" * 127).options


@pytest.mark.parametrize(
    ("option_57", "size"),
    [(None, 548), (b"\0\0", 548), (b"\2\x40", 548), (b"\5\xc0", 1444), (b"\xff\xff", 1472)],
    ids=["absent", "zero", "least", "ipxe", "most"],
)
def test_size_limit(option_57: bytes | None, size: int) -> None:
    client = identify(request(more={} if option_57 is None else {57: option_57}))
    assert isinstance(client, BootClient)
    assert max_reply_size(client) == size


def test_copies_are_left_out_rather_than_too_much_is_sent() -> None:
    reply = reply_to(request(giaddr=RELAY, more={61: bytes(255), 82: bytes(200)}))
    assert len(reply.to_bytes()) <= 548
    assert 61 not in reply.options
    assert {97, 82} < set(reply.options)


ASKED_FROM = (CLIENT, 4011)
BROADCAST = (IPv4Address("255.255.255.255"), 68)
OTHER = IPv4Address("192.168.1.77")


DISCOVER, REQUEST, INFORM = MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM


@pytest.mark.parametrize(
    ("kind", "ciaddr", "giaddr", "source", "target"),
    [
        (DISCOVER, NOWHERE, NOWHERE, (NOWHERE, 68), BROADCAST),
        (DISCOVER, NOWHERE, NOWHERE, ASKED_FROM, BROADCAST),
        (DISCOVER, CLIENT, NOWHERE, ASKED_FROM, BROADCAST),
        (DISCOVER, NOWHERE, RELAY, (RELAY, 67), (RELAY, 67)),
        (REQUEST, CLIENT, NOWHERE, ASKED_FROM, ASKED_FROM),
        (INFORM, CLIENT, NOWHERE, (CLIENT, 68), (CLIENT, 68)),
        (REQUEST, CLIENT, NOWHERE, (OTHER, 4011), (CLIENT, 4011)),
        (REQUEST, NOWHERE, NOWHERE, (OTHER, 5000), (OTHER, 5000)),
        (INFORM, NOWHERE, NOWHERE, (NOWHERE, 68), BROADCAST),
        (REQUEST, CLIENT, RELAY, (RELAY, 67), (RELAY, 67)),
    ],
)
def test_destination(
    kind: MessageType,
    ciaddr: IPv4Address,
    giaddr: IPv4Address,
    source: tuple[IPv4Address, int],
    target: tuple[IPv4Address, int],
) -> None:
    assert destination(request(kind, ciaddr=ciaddr, giaddr=giaddr), source) == target


def test_broadcast_answer_has_the_flag() -> None:
    assert acknowledge(request(MessageType.REQUEST)).flags == 0x8000
    assert acknowledge(request(MessageType.REQUEST, ciaddr=CLIENT)).flags == 0


hints = st.fixed_dictionaries(
    {
        53: st.sampled_from([b"\1", b"\3", b"\x08"]),
        60: st.sampled_from([b"PXEClient", b"HTTPClient:x", b"U-Boot"]),
    },
    optional={
        93: st.binary(min_size=2, max_size=8).map(lambda value: value[: len(value) // 2 * 2]),
        57: st.binary(min_size=2, max_size=2),
        43: st.binary(max_size=20),
        61: st.binary(max_size=2000),
        82: st.binary(max_size=2000),
        97: st.binary(max_size=2000),
        175: st.binary(max_size=40),
    },
)


@given(
    packets,
    st.builds(lambda some, hint: some | hint, options, hints),
    st.sampled_from(OfferStrategy),
)
def test_any_request_gets_a_sane_reply(
    packet: DHCPPacket,
    found: dict[int, bytes],
    strategy: OfferStrategy,
) -> None:
    asked = DHCPPacket.parse(
        DHCPPacket(
            op=OpCode.BOOTREQUEST,
            xid=packet.xid,
            mac=packet.mac,
            ciaddr=packet.ciaddr,
            giaddr=packet.giaddr,
            options=found,
        ).to_bytes()
    )
    client = identify(asked)
    if not isinstance(client, BootClient):
        return
    reply = reply_to(asked, strategy)
    data = reply.to_bytes()
    assert 300 <= len(data) <= min(max_reply_size(client), MAX_REPLY)
    assert DHCPPacket.parse(data) == reply
    assert reply.yiaddr == NOWHERE
    assert len(reply.file) < 128
    is_http = client.kind is ClientKind.HTTP
    assert reply.options[60] == (b"HTTPClient" if is_http else b"PXEClient")
    assert destination(asked, (CLIENT, 68))
