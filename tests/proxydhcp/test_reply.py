"""Replies byte by byte, and where they go."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.choice import BootOffer
from bootyard.boot.client import BootClient, ClientKind
from bootyard.model.events import OfferStage
from bootyard.model.loaders import OfferStrategy
from services.proxydhcp.identify import Listener, identify
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import NOWHERE, DHCPPacket, OpCode
from services.proxydhcp.pxe import RASPBERRY_PI
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
DIRECT, COMPATIBLE = OfferStrategy.DIRECT, OfferStrategy.COMPATIBLE
RELAY = IPv4Address("192.168.9.1")


def reply_to(
    packet: DHCPPacket,
    strategy: OfferStrategy = COMPATIBLE,
    listener: Listener = Listener.DHCP,
    boot_file: str = LOADER,
) -> DHCPPacket:
    client = identify(packet)
    assert isinstance(client, BootClient)
    offer = BootOffer(boot_file=boot_file, strategy=strategy, stage=OfferStage.ROM)
    return build_reply(packet, client, offer, server=SERVER, http_port=8080, listener=listener)


def acknowledge(packet: DHCPPacket, strategy: OfferStrategy = COMPATIBLE) -> DHCPPacket:
    return reply_to(packet, strategy, Listener.BOOT_SERVER)


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


@pytest.mark.parametrize("listener", Listener)
@pytest.mark.parametrize("machine_id", [MACHINE_ID, b"", b"\1odd", bytes(17)])
def test_machine_id_is_echoed_as_it_was(listener: Listener, machine_id: bytes) -> None:
    assert reply_to(request(machine_id=machine_id), listener=listener).options[97] == machine_id


def test_what_was_absent_stays_absent() -> None:
    offer = reply_to(request(machine_id=None))
    assert set(offer.options) == {53, 54, 60}


def test_client_identifier_is_echoed() -> None:
    assert reply_to(request(more={61: b"\xffduid"})).options[61] == b"\xffduid"


def test_no_address_and_no_lease_are_ever_given() -> None:
    for listener in Listener:
        reply = reply_to(request(ciaddr=CLIENT), DIRECT, listener)
        assert reply.yiaddr == NOWHERE
        assert reply.op is OpCode.BOOTREPLY
        assert not {1, 3, 6, 51, 52} & set(reply.options)


@pytest.mark.parametrize(
    ("packet", "strategy", "on_67", "on_4011"),
    [
        (request(arch=BIOS, vendor_class=BIOS_CLASS), DIRECT, "060108ff", "060108ff"),
        (request(), COMPATIBLE, None, None),
        (request(), DIRECT, "060108ff", None),
        (request(more={175: IPXE_OPTIONS}), DIRECT, "060108ff", "060108ff"),
        (request(vendor_class=HTTP_CLASS), DIRECT, None, None),
        (request(mac=PI_MAC, arch=BIOS), DIRECT, RASPBERRY_PI.hex(), RASPBERRY_PI.hex()),
    ],
    ids=["bios", "uefi-compatible", "uefi-direct", "ipxe", "http", "pi"],
)
def test_option_43(
    packet: DHCPPacket, strategy: OfferStrategy, on_67: str | None, on_4011: str | None
) -> None:
    found = (
        reply_to(packet, strategy).options.get(43),
        acknowledge(packet, strategy).options.get(43),
    )
    assert tuple(value and value.hex() for value in found) == (on_67, on_4011)


def test_boot_item_is_repeated() -> None:
    asked = request(MessageType.REQUEST, more={43: bytes.fromhex("470480010002ff")})
    assert acknowledge(asked).options[43].hex() == "470480010002ff"


@pytest.mark.parametrize("damaged", ["", "47", "4702ffff", "470580010002"])
def test_damaged_boot_item_is_no_boot_item(damaged: str) -> None:
    asked = request(MessageType.REQUEST, more={43: bytes.fromhex(damaged)})
    assert 43 not in acknowledge(asked).options


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


@pytest.mark.parametrize(
    ("ciaddr", "giaddr", "source", "listener", "target"),
    [
        (NOWHERE, NOWHERE, (NOWHERE, 68), Listener.DHCP, BROADCAST),
        (NOWHERE, NOWHERE, ASKED_FROM, Listener.DHCP, BROADCAST),
        (CLIENT, NOWHERE, ASKED_FROM, Listener.DHCP, BROADCAST),
        (NOWHERE, RELAY, (RELAY, 67), Listener.DHCP, (RELAY, 67)),
        (CLIENT, NOWHERE, ASKED_FROM, Listener.BOOT_SERVER, ASKED_FROM),
        (CLIENT, NOWHERE, (CLIENT, 68), Listener.BOOT_SERVER, (CLIENT, 68)),
        (CLIENT, NOWHERE, (OTHER, 4011), Listener.BOOT_SERVER, (CLIENT, 4011)),
        (NOWHERE, NOWHERE, (OTHER, 5000), Listener.BOOT_SERVER, (OTHER, 5000)),
        (NOWHERE, NOWHERE, (NOWHERE, 68), Listener.BOOT_SERVER, BROADCAST),
        (CLIENT, RELAY, (RELAY, 67), Listener.BOOT_SERVER, (RELAY, 67)),
    ],
)
def test_destination(
    ciaddr: IPv4Address,
    giaddr: IPv4Address,
    source: tuple[IPv4Address, int],
    listener: Listener,
    target: tuple[IPv4Address, int],
) -> None:
    assert destination(request(ciaddr=ciaddr, giaddr=giaddr), source, listener) == target


def test_broadcast_answer_has_the_flag() -> None:
    assert acknowledge(request(MessageType.REQUEST)).flags == 0x8000
    assert acknowledge(request(MessageType.REQUEST, ciaddr=CLIENT)).flags == 0


hints = st.fixed_dictionaries(
    {60: st.sampled_from([b"PXEClient", b"HTTPClient:x", b"U-Boot"])},
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
    st.sampled_from(Listener),
    st.sampled_from(OfferStrategy),
)
def test_any_request_gets_a_sane_reply(
    packet: DHCPPacket,
    found: dict[int, bytes],
    listener: Listener,
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
    reply = reply_to(asked, strategy, listener)
    data = reply.to_bytes()
    assert 300 <= len(data) <= min(max_reply_size(client), MAX_REPLY)
    assert DHCPPacket.parse(data) == reply
    assert reply.yiaddr == NOWHERE
    assert len(reply.file) < 128
    is_http = client.vendor_class.startswith("HTTPClient")
    assert reply.options[60] == (b"HTTPClient" if is_http else b"PXEClient")
    assert client.kind is not ClientKind.HTTP or is_http
    assert destination(asked, (CLIENT, 68), listener)
