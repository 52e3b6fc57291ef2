"""Habits of clients that take minutes, in simulated time."""

import pytest

from bootyard.model.events import TransferOutcome
from services.tftp.options import Limits, negotiate
from services.tftp.packet import Ack, Data, OptionAck, Options, parse
from services.tftp.transfer import ReadTransfer
from tests.tftp.clients import MemorySource

CONTENT = bytes(i % 251 for i in range(200 * 1024))
GRUB: Options = (("blksize", "1024"), ("tsize", "0"))
GRUB_TRIES = 40


def make(options: Options) -> ReadTransfer:
    terms = negotiate(options, Limits.for_mtu(1500), len(CONTENT))
    return ReadTransfer(MemorySource(CONTENT), terms, 0.0)


def until(transfer: ReadTransfer, moment: float) -> list[bytes]:
    """Let timers fire until then; returns what was sent."""
    sent = transfer.datagrams_to_send()
    while (due := transfer.timer()) is not None and due <= moment:
        transfer.handle_timer(due)
        sent += transfer.datagrams_to_send()
    return sent


def load(transfer: ReadTransfer, now: float, first: int, last: int) -> float:
    """Acknowledge from block to block; each is there at once."""
    for number in range(first, last + 1):
        transfer.receive(Ack(number - 1).to_bytes(), now)
        [datagram] = transfer.datagrams_to_send()
        packet = parse(datagram)
        assert isinstance(packet, Data)
        assert packet.block == number
        now += 0.001
    return now


def test_each_of_grubs_requests_is_answered_while_oacks_are_lost() -> None:
    """Up to 40 requests, the next after 400 ms and 20 ms more each time: 31.6 s.

    The transfer that the first one began is over after three repeats; the request behind that
    begins another, as it would at port 69.
    """
    transfer = make(GRUB)
    answers, now = 0, 0.0
    for number in range(GRUB_TRIES):
        if transfer.outcome is not None:
            terms = negotiate(GRUB, Limits.for_mtu(1500), len(CONTENT))
            transfer = ReadTransfer(MemorySource(CONTENT), terms, now)
        elif number:
            assert transfer.repeat_request(now)
        [answer] = transfer.datagrams_to_send()
        packet = parse(answer)
        assert packet == OptionAck((("blksize", "1024"), ("tsize", str(len(CONTENT)))))
        answers += 1
        now += 0.4 + 0.02 * number
        until(transfer, now)
    assert answers == GRUB_TRIES
    assert now == pytest.approx(31.6)


@pytest.mark.parametrize("pause", [31.0, 45.0, 55.0])
def test_grub_pauses_while_50_packets_wait_for_its_reader(pause: float) -> None:
    transfer = make(GRUB)
    transfer.datagrams_to_send()
    now = load(transfer, 0.01, 1, 50)
    repeats = until(transfer, now + pause)
    assert transfer.outcome is None
    assert {parse(datagram) for datagram in repeats} == {Data(50, CONTENT[49 * 1024 : 50 * 1024])}
    assert len(repeats) <= pause / 2 + 8  # they are two seconds apart in the end: no storm
    now = load(transfer, now + pause, 51, 201)
    transfer.receive(Ack(201).to_bytes(), now)
    assert transfer.outcome is TransferOutcome.COMPLETE


@pytest.mark.parametrize(
    ("options", "timers"),
    [
        ((("blksize", "1432"), ("tsize", "0")), (0.25, 0.5, 1, 2, 4, 8)),  # iPXE
        ((("timeout", "5"), ("blksize", "1468")), (5,) * 10),  # U-Boot
        ((("tsize", "0"), ("blksize", "1408")), (2, 2, 3, 3, 4, 5, 6, 7, 9, 10)),  # PXELINUX
        ((("blksize", "1468"), ("windowsize", "4")), (4,) * 6),  # EDK2
    ],
    ids=["ipxe", "u-boot", "pxelinux", "edk2"],
)
def test_acks_that_clients_repeat_by_their_timers_resume_the_transfer(
    options: Options, timers: tuple[float, ...]
) -> None:
    """All that the server sends is lost while a client repeats its last ACK by its own table."""
    transfer = make(options)
    transfer.datagrams_to_send()
    transfer.receive(Ack(0).to_bytes(), 0.01)
    first = transfer.datagrams_to_send()
    transfer.receive(Ack(len(first)).to_bytes(), 0.02)
    window = transfer.datagrams_to_send()
    now = 0.02
    for seconds in timers:
        now += seconds
        until(transfer, now)
        transfer.receive(Ack(len(first)).to_bytes(), now)
        transfer.datagrams_to_send()
    assert transfer.outcome is None
    last = parse(window[-1])
    assert isinstance(last, Data)
    transfer.receive(Ack(last.block).to_bytes(), now + 0.01)
    following = parse(transfer.datagrams_to_send()[0])
    assert isinstance(following, Data)
    assert following.block == last.block + 1
