"""What real firmware sent, from the packet to the first answer."""

import pytest

from bootyard.model.events import TransferOutcome
from services.tftp.options import Limits, negotiate
from services.tftp.packet import OptionAck, Options, ReadRequest, parse
from services.tftp.transfer import ReadTransfer
from tests import captures
from tests.tftp.clients import MemorySource

SIZE = 284_672

REQUESTS = {
    "ovmf-pxe-rrq-probe": ReadRequest(
        "snponly.efi", "octet", (("tsize", "0"), ("blksize", "1468"), ("windowsize", "4"))
    ),
    "ovmf-pxe-rrq-download": ReadRequest(
        "snponly.efi", "octet", (("blksize", "1468"), ("windowsize", "4"))
    ),
    "ipxe-efi-rrq-autoexec-ipxe": ReadRequest(
        "autoexec.ipxe", "octet", (("blksize", "1432"), ("tsize", "0"))
    ),
    "ipxe-rom-rrq-boot-ipxe": ReadRequest(
        "boot.ipxe", "octet", (("blksize", "1432"), ("tsize", "0"))
    ),
}


def answer_to(request: ReadRequest) -> tuple[ReadTransfer, Options]:
    terms = negotiate(request.options, Limits.for_mtu(1500), SIZE)
    transfer = ReadTransfer(MemorySource(b"x" * SIZE), terms, 0.0)
    [datagram] = transfer.datagrams_to_send()
    answer = parse(datagram)
    assert isinstance(answer, OptionAck)
    return transfer, answer.options


@pytest.mark.parametrize("name", REQUESTS)
def test_reads_what_firmware_asks(name: str) -> None:
    assert parse(captures.load(name)) == REQUESTS[name]


@pytest.mark.parametrize("name", [name for name in captures.names() if "-rrq-" in name])
def test_the_answer_is_what_firmware_accepts(name: str) -> None:
    """EDK2 stops at an option it did not ask for or a larger value; GRUB compares names."""
    datagram = captures.load(name)
    request = parse(datagram)
    assert isinstance(request, ReadRequest)
    assert request.to_bytes() == datagram
    _, accepted = answer_to(request)
    assert [option for option, _ in accepted] == [option for option, _ in request.options]
    asked = dict(request.options)
    for option, value in accepted:
        if option == "tsize":
            assert int(value) == SIZE
        else:
            assert int(value) <= int(asked[option])


def test_firmware_that_asks_for_the_size_and_stops_is_probing() -> None:
    transfer, _ = answer_to(REQUESTS["ovmf-pxe-rrq-probe"])
    transfer.receive(captures.load("ovmf-pxe-error"), 0.01)
    assert transfer.outcome is TransferOutcome.PROBE
    assert transfer.datagrams_to_send() == []
