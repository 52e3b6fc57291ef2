"""Packets: bytes to values and back, and nothing but MalformedPacket for the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.errors import MalformedPacket
from services.tftp.packet import (
    Ack,
    Data,
    Error,
    OptionAck,
    Packet,
    ReadRequest,
    WriteRequest,
    parse,
    printable,
)

KNOWN = [
    pytest.param(
        b"\0\1loaders/uefi-x64/snponly.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0",
        ReadRequest(
            "loaders/uefi-x64/snponly.efi",
            "octet",
            (("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")),
        ),
        id="rrq-edk2",
    ),
    pytest.param(b"\0\1a\0netascii\0", ReadRequest("a", "netascii"), id="rrq-plain"),
    pytest.param(b"\0\1\0octet\0", ReadRequest("", "octet"), id="rrq-empty-name"),
    pytest.param(b"\0\1\xff\xe9\0octet\0", ReadRequest("\udcff\udce9"), id="rrq-not-utf8"),
    pytest.param("\0\1é\0octet\0".encode(), ReadRequest("é"), id="rrq-utf8"),
    pytest.param(b"\0\2a\0octet\0", WriteRequest("a"), id="wrq"),
    pytest.param(b"\0\3\0\1abc", Data(1, b"abc"), id="data"),
    pytest.param(b"\0\3\xff\xff", Data(65535, b""), id="data-empty"),
    pytest.param(b"\0\4\0\0", Ack(0), id="ack"),
    pytest.param(b"\0\5\0\1file not found\0", Error(1, "file not found"), id="error"),
    pytest.param(b"\0\5\1\0\0", Error(256), id="error-unknown-code"),
    pytest.param(b"\0\6blksize\x001468\0", OptionAck((("blksize", "1468"),)), id="oack"),
    pytest.param(b"\0\6", OptionAck(()), id="oack-empty"),
]


@pytest.mark.parametrize(("datagram", "packet"), KNOWN)
def test_reads_and_writes(datagram: bytes, packet: Packet) -> None:
    assert parse(datagram) == packet
    assert packet.to_bytes() == datagram


@pytest.mark.parametrize(
    ("datagram", "packet"),
    [
        pytest.param(
            b"\0\1a\0OCTET\0BlkSize\x00512\0",
            ReadRequest("a", "octet", (("blksize", "512"),)),
            id="case",
        ),
        pytest.param(b"\0\1a\0octet\0\0\0\0", ReadRequest("a"), id="padded"),
        pytest.param(
            b"\0\1a\0octet\0tsize\x000\0\0\0",
            ReadRequest("a", "octet", (("tsize", "0"),)),
            id="options-padded",
        ),
        pytest.param(b"\0\4\0\7\0\0", Ack(7), id="ack-padded"),
        pytest.param(b"\0\5\0\x08User aborted", Error(8, "User aborted"), id="error-unterminated"),
        pytest.param(b"\0\5\0\0", Error(0), id="error-without-text"),
    ],
)
def test_forgives(datagram: bytes, packet: Packet) -> None:
    assert parse(datagram) == packet


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0", id="one-byte"),
        pytest.param(b"\0\0", id="opcode-0"),
        pytest.param(b"\0\7\0\0", id="opcode-7"),
        pytest.param(b"\1\1a\0octet\0", id="opcode-257"),
        pytest.param(b"\0\1", id="rrq-nothing"),
        pytest.param(b"\0\1a", id="rrq-unterminated-name"),
        pytest.param(b"\0\1a\0", id="rrq-no-mode"),
        pytest.param(b"\0\1a\0octet", id="rrq-unterminated-mode"),
        pytest.param(b"\0\1a\0octet\0tsize\0", id="rrq-option-without-value"),
        pytest.param(b"\0\1a\0octet\0tsize\x000", id="rrq-unterminated-value"),
        pytest.param(b"\0\1" + b"a" * 510 + b"\0octet\0", id="rrq-513"),
        pytest.param(b"\0\3\0", id="data-short"),
        pytest.param(b"\0\4\0", id="ack-short"),
        pytest.param(b"\0\5\0", id="error-short"),
        pytest.param(b"\0\6blksize\0", id="oack-odd"),
    ],
)
def test_refuses(datagram: bytes) -> None:
    with pytest.raises(MalformedPacket):
        parse(datagram)


def test_a_request_of_512_bytes_is_the_longest() -> None:
    datagram = b"\0\1" + b"a" * 503 + b"\0octet\0"
    assert len(datagram) == 512
    assert parse(datagram) == ReadRequest("a" * 503)


def test_every_opcode_at_every_short_length() -> None:
    for opcode in range(256):
        for length in range(21):
            for filling in (b"\0", b"a", b"\xff", b"a\0"):
                body = (filling * 20)[: max(0, length - 2)]
                datagram = (bytes((0, opcode)) + body)[:length]
                try:
                    parse(datagram)
                except MalformedPacket:
                    continue
                assert 1 <= opcode <= 6


@given(st.binary(max_size=600))
def test_parse_returns_or_raises_malformed(datagram: bytes) -> None:
    try:
        packet = parse(datagram)
    except MalformedPacket:
        return
    assert parse(packet.to_bytes()) == packet


@given(st.sampled_from(range(1, 7)), st.binary(max_size=510))
def test_parse_of_any_body_is_stable(opcode: int, body: bytes) -> None:
    try:
        packet = parse(bytes((0, opcode)) + body)
    except MalformedPacket:
        return
    assert parse(packet.to_bytes()) == packet


string = st.binary(max_size=40).map(
    lambda octets: octets.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
word = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
options = st.lists(st.tuples(word, string), max_size=4).map(tuple)
number = st.integers(0, 65535)
packets: st.SearchStrategy[Packet] = st.one_of(
    st.builds(ReadRequest, string, word, options),
    st.builds(WriteRequest, string, word, options),
    st.builds(Data, number, st.binary(max_size=64)),
    st.builds(Ack, number),
    st.builds(Error, number, string),
    st.builds(OptionAck, options),
)


@given(packets)
def test_round_trip(packet: Packet) -> None:
    assert parse(packet.to_bytes()) == packet


@given(st.binary(max_size=60))
def test_printable_has_no_lone_surrogates(octets: bytes) -> None:
    printable(octets.decode("utf-8", "surrogateescape")).encode()
