"""The health probe's DHCP bytes, as proxydhcp's own codec reads and writes them."""

import pytest

from bootyard.cli.dhcp_probe import build_request, is_acknowledgement

XID = 0xDEADBEEF
_COOKIE = bytes((99, 130, 83, 99))


def _answer(
    options: bytes, *, operation: int = 2, xid: int = XID, cookie: bytes = _COOKIE
) -> bytes:
    return bytes((operation, 1, 6, 0)) + xid.to_bytes(4, "big") + bytes(228) + cookie + options


def test_the_request_on_the_wire() -> None:
    request = build_request(XID)
    assert len(request) >= 300
    assert request.endswith(b"\xff")
    assert request[:8] == bytes.fromhex("01010600deadbeef")
    assert request[12:16] == bytes((127, 0, 0, 1))
    assert request[28:34] == bytes.fromhex("020000000000")
    assert request[236:243] == _COOKIE + bytes((53, 1, 3))
    assert b"\x3c\x20PXEClient:Arch:00007:UNDI:003016" in request
    assert b"\x5d\x02\x00\x07" in request


@pytest.mark.parametrize(
    ("datagram", "is_answer"),
    [
        (_answer(b"\x35\x01\x05\xff"), True),
        (_answer(b"\x00\x00\x3c\x03abc\x35\x01\x05\xff\x00"), True),
        (_answer(b"\x35\x01\x05"), True),
        (_answer(b"\x35\x01\x02\xff"), False),
        (_answer(b"\x35\x02\x05\x05\xff"), False),
        (_answer(b"\x35\x01\x05\xff", xid=XID ^ 1), False),
        (_answer(b"\x35\x01\x05\xff", operation=1), False),
        (_answer(b"\x35\x01\x05\xff", cookie=bytes(4)), False),
        (_answer(b"\xff\x35\x01\x05"), False),
        (_answer(b"\x35"), False),
        (_answer(b"\x35\x09\x05"), False),
        (_answer(b""), False),
        (b"", False),
        (bytes(239), False),
    ],
    ids=[
        "ack",
        "behind-other-options",
        "no-end",
        "offer",
        "long-message-type",
        "other-xid",
        "a-request",
        "no-cookie",
        "behind-the-end",
        "no-length",
        "short",
        "no-options",
        "empty",
        "half-a-header",
    ],
)
def test_what_is_an_acknowledgement(datagram: bytes, is_answer: bool) -> None:
    assert is_acknowledgement(datagram, XID) is is_answer
