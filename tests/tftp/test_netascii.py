"""Netascii: line ends are translated, over block borders too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.events import TransferOutcome
from services.tftp.netascii import NetasciiSource
from services.tftp.options import Limits, negotiate
from services.tftp.transfer import ReadTransfer
from tests.tftp.clients import MemorySource, ModelClient, run


def fetch(content: bytes) -> bytes:
    source = NetasciiSource(MemorySource(content))
    transfer = ReadTransfer(source, negotiate((("tsize", "0"),), Limits(), None), 0.0)
    client = ModelClient()
    run(transfer, client, lambda: (0.001,), lambda: (0.001,))
    assert client.is_done
    assert transfer.outcome is TransferOutcome.COMPLETE
    assert transfer.bytes_delivered == len(client.received)
    return bytes(client.received)


@pytest.mark.parametrize(
    ("content", "translated"),
    [
        (b"", b""),
        (b"#!ipxe\n", b"#!ipxe\r\n"),
        (b"a\rb\r\n", b"a\r\0b\r\0\r\n"),
        (b"\n" * 256, b"\r\n" * 256),
        (b"x" * 511 + b"\n", b"x" * 511 + b"\r\n"),
        (b"x" * 512, b"x" * 512),
        (b"\n" * 20_000, b"\r\n" * 20_000),
    ],
    ids=["empty", "script", "cr", "one-block", "over-the-border", "full-block", "long"],
)
def test_translates(content: bytes, translated: bytes) -> None:
    assert fetch(content) == translated


@given(st.binary(max_size=3000).map(lambda b: b.replace(b"a", b"\n").replace(b"b", b"\r")))
def test_a_client_gets_back_what_was_there(content: bytes) -> None:
    received = fetch(content)
    assert received.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r") == content


def test_a_block_can_be_read_again() -> None:
    source = NetasciiSource(MemorySource(b"\n" * 2000))
    first = source.read_at(0, 512)
    assert source.read_at(0, 512) == first
    source.read_at(512, 512)
    with pytest.raises(ValueError, match="in order"):
        source.read_at(0, 512)


def test_a_source_that_shrinks_is_noticed() -> None:
    memory = MemorySource(b"x" * 20_000)
    transfer = ReadTransfer(NetasciiSource(memory), negotiate((), Limits(), None), 0.0)
    memory.content = b"x" * 10
    transfer.datagrams_to_send()
    assert transfer.outcome is TransferOutcome.SOURCE_CHANGED
