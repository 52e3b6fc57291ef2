"""The DHCP message on the wire (RFC 2131 §2)."""

from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.errors import MalformedPacket
from bootyard.model.mac import MACAddress
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import DHCPPacket, OpCode
from tests.proxydhcp.packets import MAC, XID, plain, request

HEADER = (
    "01010600 12345678 0000 0000 00000000 00000000 00000000 00000000"
    "020000000001 00000000000000000000" + "00" * 64 + "00" * 128 + "63825363"
)


def with_options(options: str, file: bytes = b"", sname: bytes = b"") -> bytes:
    data = bytearray(bytes.fromhex(HEADER) + bytes.fromhex(options))
    data[108 : 108 + len(file)] = file
    data[44 : 44 + len(sname)] = sname
    return bytes(data)


def test_fields_have_their_place() -> None:
    data = bytes.fromhex(
        "02010603 deadbeef 0102 8000 0a000001 0a000002 0a000003 0a000004"
        "5254001234560000000000000000 0000"
        + b"server".ljust(64, b"\0").hex()
        + b"file".ljust(128, b"\0").hex()
        + "63825363 350102 ff"
    )
    packet = DHCPPacket.parse(data)
    assert packet == DHCPPacket(
        op=OpCode.BOOTREPLY,
        xid=0xDEADBEEF,
        mac=MACAddress.parse("52:54:00:12:34:56"),
        htype=1,
        hops=3,
        secs=0x0102,
        flags=0x8000,
        ciaddr=IPv4Address("10.0.0.1"),
        yiaddr=IPv4Address("10.0.0.2"),
        siaddr=IPv4Address("10.0.0.3"),
        giaddr=IPv4Address("10.0.0.4"),
        sname=b"server",
        file=b"file",
        options={53: b"\x02"},
    )
    assert packet.message_type is MessageType.OFFER
    assert packet.to_bytes() == data.ljust(300, b"\0")


def test_repeated_option_is_joined() -> None:
    packet = DHCPPacket.parse(with_options("3d0201aa 350101 3d02bbcc ff"))
    assert packet.options == {61: b"\x01\xaa\xbb\xcc", 53: b"\x01"}


def test_overloaded_fields_hold_options() -> None:
    data = with_options(
        "350101 340103 3c03505845 ff", b"\x3c\x03Cli\xff", b"\x3c\x03ent\x61\x01\x00\xff"
    )
    packet = DHCPPacket.parse(data)
    assert packet.options == {53: b"\x01", 60: b"PXEClient", 97: b"\0"}
    assert (packet.file, packet.sname) == (b"", b"")


@pytest.mark.parametrize(
    ("overload", "file", "sname"),
    [("01", b"", b"name"), ("02", b"name", b"")],
    ids=["file", "sname"],
)
def test_field_that_is_not_overloaded_is_text(overload: str, file: bytes, sname: bytes) -> None:
    data = with_options(f"3401{overload} ff", file or b"\xff", sname or b"\xff")
    packet = DHCPPacket.parse(data)
    assert (packet.file, packet.sname, packet.options) == (file, sname, {})


def test_overload_inside_an_overloaded_field_is_not_followed() -> None:
    packet = DHCPPacket.parse(with_options("340101 ff", b"\x34\x01\x03\xff", b"\x3c\x01x\xff"))
    assert packet.options == {}
    assert packet.sname == b"\x3c\x01x\xff"


def test_without_options_it_is_bootp() -> None:
    packet = DHCPPacket.parse(bytes.fromhex(HEADER))
    assert packet.options == {}
    assert packet.message_type is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no DHCP message"),
        (bytes(239), "no DHCP message"),
        (bytes.fromhex(HEADER.replace("01010600", "03010600")), "neither a request nor a reply"),
        (bytes.fromhex(HEADER.replace("01010600", "01010800")), "not Ethernet's"),
        (bytes.fromhex(HEADER.replace("01010600", "01010000")), "not Ethernet's"),
        (bytes.fromhex(HEADER.replace("63825363", "63825364")), "magic cookie"),
        (with_options("35"), "truncated"),
        (with_options("3502ff"), "truncated"),
        (with_options("340100 ff"), "option 52"),
        (with_options("340104 ff"), "option 52"),
        (with_options("34020101 ff"), "option 52"),
        (with_options("3400 ff"), "option 52"),
        (with_options("340101 ff", b"\x3c\xff"), "overloaded file field is truncated"),
        (with_options("340102 ff", sname=b"\x3c\xff"), "overloaded sname field is truncated"),
    ],
)
def test_anything_else_is_malformed(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedPacket, match=problem):
        DHCPPacket.parse(data)


def test_short_messages_are_padded() -> None:
    assert len(plain().to_bytes()) == 300
    assert len(request(more={61: bytes(200)}).to_bytes()) > 300


@pytest.mark.parametrize(
    "change", [{"sname": bytes(65)}, {"file": bytes(129)}, {"options": {52: b"\x01"}}]
)
def test_what_cannot_be_written_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"never written|holds 64 bytes"):
        msgspec.structs.replace(plain(), **change).to_bytes()


addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
texts = st.binary(max_size=64).map(lambda value: value.partition(b"\0")[0])
options = st.dictionaries(
    st.integers(1, 254).filter(lambda code: code != 52), st.binary(max_size=300), max_size=12
)
packets = st.builds(
    DHCPPacket,
    op=st.sampled_from(OpCode),
    xid=st.integers(0, 2**32 - 1),
    mac=st.binary(min_size=6, max_size=6).map(MACAddress.from_bytes),
    htype=st.integers(0, 255),
    hops=st.integers(0, 255),
    secs=st.integers(0, 65535),
    flags=st.integers(0, 65535),
    ciaddr=addresses,
    yiaddr=addresses,
    siaddr=addresses,
    giaddr=addresses,
    sname=texts,
    file=texts,
    options=options,
)


@given(packets)
def test_packets_come_back(packet: DHCPPacket) -> None:
    back = DHCPPacket.parse(packet.to_bytes())
    assert back == packet
    assert list(back.options) == list(packet.options)


@given(
    st.one_of(st.binary(max_size=600), st.binary(max_size=400).map(bytes.fromhex(HEADER).__add__))
)
def test_any_bytes_parse_or_are_malformed(data: bytes) -> None:
    try:
        packet = DHCPPacket.parse(data)
    except MalformedPacket:
        return
    assert packet.mac in (MAC, packet.mac)
    assert packet.xid == XID or not data.startswith(bytes.fromhex(HEADER))
