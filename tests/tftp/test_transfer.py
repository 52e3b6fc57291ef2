"""Read transfers driven by hand: what is sent, when, and how it ends."""

from itertools import pairwise

import pytest

from bootyard.model.errors import TFTPErrorCode
from bootyard.model.events import TransferOutcome
from services.tftp.options import Limits, negotiate
from services.tftp.packet import Ack, Data, Error, OptionAck, Options, Packet, parse
from services.tftp.retransmission import FIRST_INTERVAL, MIN_INTERVAL
from services.tftp.source import BlockSource
from services.tftp.transfer import (
    FINAL_ACK_LIMIT,
    SILENCE_LIMIT,
    UNPROVEN_REPEATS,
    ReadTransfer,
)
from tests.tftp.clients import MemorySource

WINDOW_OF_4: Options = (("blksize", "8"), ("windowsize", "4"))
RTT = 0.01


class Bench:
    """A transfer, its clock and a client's hands."""

    def __init__(self, source: BlockSource, options: Options = ()) -> None:
        terms = negotiate(options, Limits(), source.size)
        self.now = 0.0
        self.transfer = ReadTransfer(source, terms, self.now)

    def sent(self) -> list[Packet]:
        return [parse(datagram) for datagram in self.transfer.datagrams_to_send()]

    def blocks(self) -> list[int]:
        return [packet.block for packet in self.sent() if isinstance(packet, Data)]

    def ack(self, block: int, after: float = RTT) -> None:
        self.now += after
        self.transfer.receive(Ack(block & 0xFFFF).to_bytes(), self.now)

    def fire_timer(self) -> None:
        due = self.transfer.timer()
        assert due is not None
        self.now = due
        self.transfer.handle_timer(self.now)


def bench(size: int, options: Options = ()) -> Bench:
    return Bench(MemorySource(bytes(i % 251 for i in range(size))), options)


def test_lockstep_from_the_first_block_to_the_last() -> None:
    it = bench(512 + 100)
    assert it.sent() == [Data(1, bytes(i % 251 for i in range(512)))]
    assert it.sent() == []
    it.ack(1)
    assert it.sent() == [Data(2, bytes(i % 251 for i in range(512, 612)))]
    assert it.transfer.outcome is None
    it.ack(2)
    assert it.transfer.outcome is TransferOutcome.COMPLETE
    assert it.transfer.timer() is None
    assert (it.transfer.bytes_delivered, it.transfer.blocks) == (612, 2)
    assert it.transfer.ended - it.transfer.started == pytest.approx(2 * RTT)


@pytest.mark.parametrize("size", [0, 512, 1024])
def test_the_last_block_is_shorter_even_if_that_means_empty(size: int) -> None:
    it = bench(size)
    for block in range(1, size // 512 + 1):
        assert [len(p.payload) for p in it.sent() if isinstance(p, Data)] == [512]
        it.ack(block)
    assert it.sent() == [Data(size // 512 + 1, b"")]
    it.ack(size // 512 + 1)
    assert it.transfer.outcome is TransferOutcome.COMPLETE


def test_data_waits_for_the_ack_of_the_oack() -> None:
    it = bench(100, WINDOW_OF_4)
    assert it.sent() == [OptionAck(WINDOW_OF_4)]
    it.ack(1)  # of nothing that was sent
    assert it.sent() == []
    it.ack(0)
    assert it.blocks() == [1, 2, 3, 4]


def test_windows_follow_the_ack_of_their_end() -> None:
    it = bench(8 * 6, WINDOW_OF_4)
    it.sent()
    it.ack(0)
    assert it.blocks() == [1, 2, 3, 4]
    it.ack(4)
    assert it.blocks() == [5, 6, 7]
    it.ack(7)
    assert it.transfer.outcome is TransferOutcome.COMPLETE
    assert it.transfer.retransmits == 0


def test_an_ack_below_the_windows_end_rolls_back_once() -> None:
    it = bench(800, WINDOW_OF_4)
    it.sent()
    it.ack(0)
    it.sent()
    it.ack(2)
    assert it.blocks() == [3, 4, 5, 6]
    assert it.transfer.retransmits == 2
    it.ack(2, after=0.0001)  # the same gap, reported for the next block of the old window
    assert it.blocks() == []
    it.ack(6)
    assert it.blocks() == [7, 8, 9, 10]


def test_a_repeated_ack_restarts_a_window_whose_first_block_was_lost_but_only_once() -> None:
    it = bench(800, WINDOW_OF_4)
    it.sent()
    it.ack(0)
    it.sent()
    it.ack(4)
    assert it.blocks() == [5, 6, 7, 8]
    it.ack(4)
    assert it.blocks() == [5, 6, 7, 8]
    for _ in range(5):
        it.ack(4)
        assert it.blocks() == []
    it.ack(8)
    assert it.blocks() == [9, 10, 11, 12]
    it.ack(8)  # the echo of blocks that arrived twice must not double this window too
    assert it.blocks() == []


def test_a_repeated_ack_that_left_before_the_window_is_no_loss() -> None:
    it = bench(800, WINDOW_OF_4)
    it.sent()
    it.ack(0)
    it.sent()
    it.ack(4)
    it.sent()
    it.ack(4, after=RTT / 10)
    assert it.blocks() == []


def test_an_ack_that_left_before_the_window_lets_it_slide() -> None:
    it = bench(800, WINDOW_OF_4)
    it.sent()
    it.ack(0)
    it.sent()
    it.ack(2)
    assert it.blocks() == [3, 4, 5, 6]
    it.ack(3, after=RTT / 10)
    assert it.blocks() == [7]
    it.ack(7)
    assert it.blocks() == [8, 9, 10, 11]


def test_in_lockstep_a_duplicate_ack_sends_nothing() -> None:
    """Sorcerer's Apprentice (RFC 1123 §4.2.3.1)."""
    it = bench(5000)
    it.sent()
    it.ack(1)
    assert it.blocks() == [2]
    for _ in range(10):
        it.ack(1)
        assert it.sent() == []
    it.ack(2)
    assert it.blocks() == [3]


@pytest.mark.parametrize("block", [0, 3, 4, 9, 65535])
def test_acks_of_the_past_and_the_future_are_ignored(block: int) -> None:
    it = bench(5000)
    it.sent()
    it.ack(1)
    it.sent()
    it.ack(block)
    assert it.sent() == []
    assert it.transfer.blocks == 1


def test_blocks_roll_over_to_zero() -> None:
    class Counting:
        size = 8 * 140_000 + 3

        def read_at(self, offset: int, size: int) -> bytes:
            count = min(size, self.size - offset)
            return b"".join((offset // 8 + i).to_bytes(8, "big") for i in range(-(-count // 8)))[
                :count
            ]

        def close(self) -> None:
            pass

    it = Bench(Counting(), WINDOW_OF_4)
    it.sent()
    it.ack(0)
    expected = 0
    while it.transfer.outcome is None:
        for packet in it.sent():
            assert isinstance(packet, Data)
            assert packet.block == (expected + 1) & 0xFFFF
            assert packet.payload == expected.to_bytes(8, "big")[: len(packet.payload)]
            expected += 1
        it.ack(expected)
    assert expected == 140_001
    assert it.transfer.outcome is TransferOutcome.COMPLETE
    assert it.transfer.bytes_delivered == Counting.size
    assert it.transfer.retransmits == 0


def test_an_ack_from_before_the_rollover_is_stale() -> None:
    it = bench(8 * 65540, (("blksize", "8"),))
    it.sent()
    for block in range(65538):
        it.ack(block, after=0.001)
        it.sent()
    assert it.transfer.blocks == 65537
    it.ack(0)
    it.ack(65535)
    assert it.sent() == []
    it.ack(65538)
    assert it.blocks() == [65539 & 0xFFFF]


def test_before_a_sign_of_life_there_is_one_datagram_and_three_repeats() -> None:
    it = bench(100_000, (("windowsize", "32"),))
    sent = [it.sent()]
    times = []
    while it.transfer.timer() is not None:
        it.fire_timer()
        times.append(it.now)
        sent.append(it.sent())
    assert [len(packets) for packets in sent] == [1] * (1 + UNPROVEN_REPEATS) + [0]
    assert it.transfer.outcome is TransferOutcome.TIMEOUT
    assert times[0] == FIRST_INTERVAL
    assert all(later - earlier >= FIRST_INTERVAL for earlier, later in pairwise(times))
    assert it.now < 10


def test_without_options_the_first_block_is_that_one_datagram() -> None:
    it = bench(100_000)
    assert it.blocks() == [1]
    it.fire_timer()
    assert it.blocks() == [1]
    assert not it.transfer.peer_proven
    it.ack(1)
    assert it.transfer.peer_proven


def test_the_timer_follows_the_round_trip() -> None:
    it = bench(100_000)
    it.sent()
    for block in range(1, 20):
        it.ack(block, after=0.002)
        it.sent()
    due = it.transfer.timer()
    assert due == pytest.approx(it.now + MIN_INTERVAL)
    for block in range(20, 60):
        asked = it.now
        while (it.transfer.timer() or 0.0) < asked + 0.4:
            it.fire_timer()
        it.now = asked
        it.ack(block, after=0.4)
        it.sent()
    due = it.transfer.timer()
    assert due is not None
    assert 0.5 < due - it.now <= 2.0
    assert it.transfer.retransmits < 12  # it took the repeats of a few blocks to learn that


def test_a_rom_that_thinks_about_an_oack_is_quick_with_blocks() -> None:
    it = bench(100_000, (("blksize", "512"),))
    it.sent()
    it.ack(0, after=0.2)
    it.sent()
    it.ack(1, after=0.002)
    it.sent()
    assert it.transfer.timer() == pytest.approx(it.now + MIN_INTERVAL)


def test_the_timer_doubles_and_resends_what_is_not_acknowledged() -> None:
    it = bench(8 * 100, WINDOW_OF_4)
    it.sent()
    it.ack(0)
    it.sent()
    it.ack(4)
    it.sent()
    times = [it.now]
    for _ in range(8):
        it.fire_timer()
        times.append(it.now)
        assert it.blocks() == [5, 6, 7, 8]
    intervals = [later - earlier for earlier, later in pairwise(times)]
    assert intervals == sorted(intervals)
    assert intervals[1] == pytest.approx(2 * intervals[0])
    assert max(intervals) == 2.0
    it.ack(8)
    assert it.blocks() == [9, 10, 11, 12]


def test_a_timer_that_fires_early_does_nothing() -> None:
    it = bench(5000)
    it.sent()
    it.transfer.handle_timer(FIRST_INTERVAL / 2)
    assert it.sent() == []


def test_a_reader_may_pause_for_longer_than_half_a_minute() -> None:
    """GRUB stops acknowledging while 50 packets wait for its reader."""
    it = bench(5000)
    it.sent()
    it.ack(1)
    resumed_at = it.now + 45
    while it.now < resumed_at:
        it.sent()
        it.fire_timer()
    it.ack(2)
    it.sent()
    assert it.blocks() == []
    assert it.transfer.outcome is None
    assert it.transfer.blocks == 2


def test_silence_ends_a_transfer() -> None:
    it = bench(50_000)
    it.sent()
    it.ack(1)
    while it.transfer.timer() is not None:
        it.sent()
        it.fire_timer()
    assert it.transfer.outcome is TransferOutcome.TIMEOUT
    assert SILENCE_LIMIT <= it.now <= SILENCE_LIMIT + 3


def test_a_lost_last_ack_is_no_failure() -> None:
    it = bench(600)
    it.sent()
    it.ack(1)
    while it.transfer.timer() is not None:
        it.sent()
        it.fire_timer()
    assert it.transfer.outcome is TransferOutcome.COMPLETE
    assert it.transfer.bytes_delivered == 600
    assert it.now <= FINAL_ACK_LIMIT + 3
    assert it.transfer.ended == RTT


def test_a_single_block_that_nobody_acknowledged_was_not_delivered() -> None:
    it = bench(100)
    while it.transfer.timer() is not None:
        it.sent()
        it.fire_timer()
    assert it.transfer.outcome is TransferOutcome.TIMEOUT


@pytest.mark.parametrize(
    ("acknowledged", "outcome"),
    [
        pytest.param([], TransferOutcome.PROBE, id="after-oack"),
        pytest.param([0], TransferOutcome.PROBE, id="after-first-block"),
        pytest.param([0, 1], TransferOutcome.PROBE, id="after-its-ack"),
        pytest.param([0, 1, 2], TransferOutcome.CLIENT_ABORT, id="later"),
    ],
)
def test_an_error_of_the_client(acknowledged: list[int], outcome: TransferOutcome) -> None:
    it = bench(5000, (("tsize", "0"),))
    it.sent()
    for block in acknowledged:
        it.ack(block)
        it.sent()
    it.transfer.receive(Error(8, "User aborted the transfer").to_bytes(), it.now)
    assert it.transfer.outcome is outcome
    assert it.sent() == []
    assert it.transfer.timer() is None


def test_a_repeated_rrq_gets_the_first_datagram_again() -> None:
    it = bench(5000, (("tsize", "0"),))
    first = it.sent()
    assert it.transfer.repeat_request(0.1)
    assert it.sent() == first
    it.ack(0)
    it.sent()
    assert it.transfer.repeat_request(it.now + 0.1)
    assert it.sent() == []
    assert not it.transfer.repeat_request(it.now + 5)
    it.transfer.supersede(it.now + 5)
    assert it.transfer.outcome is TransferOutcome.PROBE
    assert it.sent() == []


@pytest.mark.parametrize("options", [(), WINDOW_OF_4], ids=["lockstep", "window"])
def test_a_source_that_shrinks_ends_with_an_error(options: Options) -> None:
    source = MemorySource(b"x" * 5000)
    it = Bench(source, options)
    it.sent()
    if options:
        it.ack(0)
        it.sent()
    source.content = b"x" * 40
    it.ack(4 if options else 1)
    assert [p.code for p in it.sent() if isinstance(p, Error)] == [0]
    if options:
        it.ack(8)
        assert it.sent() == []
    assert it.transfer.outcome is TransferOutcome.SOURCE_CHANGED


def test_an_abort_of_ours_is_told_once() -> None:
    it = bench(5000)
    it.sent()
    it.transfer.abort(TransferOutcome.ERROR, "the server is stopping", 1.0)
    assert it.sent() == [Error(TFTPErrorCode.NOT_DEFINED, "the server is stopping")]
    assert it.sent() == []
    it.transfer.abort(TransferOutcome.TIMEOUT, "again", 2.0)
    assert it.sent() == []
    assert it.transfer.outcome is TransferOutcome.ERROR


@pytest.mark.parametrize(
    "datagram",
    [b"", b"\0", b"\0\4", b"\0\4\0", b"\0\3\0\1x", b"\0\6\0", b"\0\1a\0octet\0", b"\xff" * 600],
)
def test_other_datagrams_do_not_disturb(datagram: bytes) -> None:
    it = bench(5000)
    it.sent()
    it.transfer.receive(datagram, 0.1)
    assert it.sent() == []
    assert it.transfer.outcome is None
    it.ack(1)
    assert it.blocks() == [2]


def test_the_clients_timeout_bounds_ours() -> None:
    it = bench(5000, (("timeout", "1"),))
    it.sent()
    it.ack(0)
    times = [it.now]
    for _ in range(10):
        it.sent()
        it.fire_timer()
        times.append(it.now)
    assert max(later - earlier for earlier, later in pairwise(times)) == pytest.approx(1.0)
