"""What the engine does where a wire, a disk or a client is not as it should be."""

import errno
import os
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootyard.model.events import TransferOutcome
from services.tftp.batches import socket_address
from services.tftp.options import Limits, negotiate
from services.tftp.packed import MOST_BYTES, MOST_SEGMENTS
from services.tftp.packet import Ack, Data, Error, OptionAck, parse
from services.tftp.run import Run
from tests.tftp.memory_wire import MemoryEngine, memory_engine

CONTENT = os.urandom(300_000)
STRANGER = socket_address(IPv4Address("192.0.2.66"), 4000)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[MemoryEngine]:
    (tmp_path / "content").write_bytes(CONTENT)
    os.utime(tmp_path / "content", (1, 1))
    with memory_engine(tmp_path) as made:
        yield made


def start(engine: MemoryEngine, port: int, block_size: int = 512, window_size: int = 1) -> Run:
    options = (("blksize", str(block_size)), ("windowsize", str(window_size)))
    limits = Limits(block_size=65464, window_size=64)
    return engine.load((0, len(CONTENT)), port, negotiate(options, limits, len(CONTENT)))


def ack(engine: MemoryEngine, run: Run, block: int) -> None:
    engine.wire.now += 0.001
    engine.receive((run, Ack(block & 0xFFFF).to_bytes()))


def sent(engine: MemoryEngine, run: Run) -> list[bytes]:
    return engine.wire.sent.pop(run.peer, [])


def blocks(engine: MemoryEngine, run: Run) -> list[int]:
    packets = [parse(datagram) for datagram in sent(engine, run)]
    return [packet.block for packet in packets if isinstance(packet, Data)]


def room_again(engine: MemoryEngine, run: Run) -> None:
    engine.wire.room = 1 << 30
    engine.traffic._resume(run.lane)


def test_many_transfers_share_a_port_and_a_call(engine: MemoryEngine) -> None:
    runs = [start(engine, 2000 + number) for number in range(20)]
    assert len({run.lane for run in runs}) == 1
    engine.receive(*((run, Ack(0).to_bytes()) for run in runs))
    before = engine.wire.calls
    engine.receive(*((run, Ack(1).to_bytes()) for run in runs))
    assert engine.wire.calls == before + 1
    assert all(blocks(engine, run) == [1, 2] for run in runs)


@pytest.mark.parametrize("block_size", [512, 1468, 8192])
def test_a_window_is_one_message_as_far_as_that_goes(engine: MemoryEngine, block_size: int) -> None:
    run = start(engine, 2000, block_size, 64)
    sent(engine, run)
    before = engine.wire.calls
    ack(engine, run, 0)
    packets = sent(engine, run)
    last = len(CONTENT) // block_size + 1
    assert [packet[4:] for packet in packets] == [
        CONTENT[block * block_size : (block + 1) * block_size] for block in range(min(64, last))
    ]
    assert engine.wire.calls == before + 1
    assert min(MOST_SEGMENTS, MOST_BYTES // (block_size + 4)) > 1


def test_where_messages_cannot_be_cut_up_packets_go_one_by_one(engine: MemoryEngine) -> None:
    run = start(engine, 2000, 512, 8)
    sent(engine, run)
    engine.wire.failures = [errno.EIO]
    ack(engine, run, 0)
    assert blocks(engine, run) == []
    room_again(engine, run)
    assert blocks(engine, run) == list(range(1, 9))
    engine.wire.room = 8
    ack(engine, run, 8)
    assert engine.wire.room == 0
    assert blocks(engine, run) == list(range(9, 17))


@pytest.mark.parametrize("window_size", [1, 8])
def test_what_has_no_room_is_sent_once_there_is_some(
    engine: MemoryEngine, window_size: int
) -> None:
    run = start(engine, 2000, 512, window_size)
    for block in range(0, window_size * 8 + 1, window_size):
        ack(engine, run, block)
    sent(engine, run)
    engine.wire.room = 0
    ack(engine, run, window_size * 9)
    assert blocks(engine, run) == []
    room_again(engine, run)
    assert blocks(engine, run) == list(range(window_size * 9 + 1, window_size * 10 + 1))
    ack(engine, run, window_size * 10)
    assert blocks(engine, run)[0] == window_size * 10 + 1
    assert run.transfer.retransmits == 0


def test_a_repeat_does_not_queue_up_behind_what_waits_for_room(engine: MemoryEngine) -> None:
    run = start(engine, 2000)
    ack(engine, run, 0)
    ack(engine, run, 1)
    sent(engine, run)
    engine.wire.room = 0
    ack(engine, run, 2)
    for _ in range(400):
        engine.wire.now += 0.005
        engine.tick()
    assert run.transfer.retransmits > 2
    room_again(engine, run)
    assert blocks(engine, run) == [3]


def test_a_datagram_that_cannot_be_sent_is_a_loss(engine: MemoryEngine) -> None:
    runs = [start(engine, 2000 + number) for number in range(3)]
    for block in range(7):
        engine.wire.now += 0.001
        engine.receive(*((run, Ack(block).to_bytes()) for run in runs))
    for run in runs:
        sent(engine, run)
    engine.wire.failures = [errno.EPERM]
    engine.wire.now += 0.001
    engine.receive(*((run, Ack(7).to_bytes()) for run in runs))
    assert [blocks(engine, run) for run in runs] == [[], [8], [8]]
    for _ in range(20):
        engine.wire.now += 0.005
        engine.tick()
    assert blocks(engine, runs[0])[:1] == [8]


def test_strangers_get_an_error_a_few_times_a_second(engine: MemoryEngine) -> None:
    run = start(engine, 2000)
    stranger = ("192.0.2.66", 4000)
    for _ in range(50):
        engine.wire.arrive(run.lane, [(STRANGER, Ack(1).to_bytes())])
    answers = engine.wire.sent.pop(stranger)
    assert {parse(answer) for answer in answers} == {Error(5, "unknown transfer id")}
    assert len(answers) == 16
    engine.wire.now += 1
    engine.wire.arrive(run.lane, [(STRANGER, Error(0).to_bytes())])
    assert stranger not in engine.wire.sent
    engine.wire.arrive(run.lane, [(STRANGER, b"\0\3")])
    assert len(engine.wire.sent[stranger]) == 1


def test_late_datagrams_of_a_transfer_get_no_answer(engine: MemoryEngine) -> None:
    run, other = start(engine, 2000), start(engine, 2001)
    engine.receive((run, Error(0).to_bytes()))
    assert run.transfer.outcome is TransferOutcome.PROBE
    sent(engine, run)
    engine.receive((run, Ack(0).to_bytes()), (other, Ack(0).to_bytes()))
    assert sent(engine, run) == []
    assert len(engine.ended) == 1


@pytest.mark.parametrize(
    "datagram", [b"", b"\0", b"\0\4", b"\0\4\0", b"\0\3\0\1x", b"\0\6", b"\xff" * 600, b"\1\4\0\0"]
)
def test_other_datagrams_disturb_neither_it_nor_its_neighbours(
    engine: MemoryEngine, datagram: bytes
) -> None:
    run, other = start(engine, 2000), start(engine, 2001)
    for block in range(10):
        engine.wire.now += 0.001
        engine.receive((run, Ack(block).to_bytes()), (other, Ack(block).to_bytes()))
    sent(engine, run)
    sent(engine, other)
    engine.receive((run, datagram), (other, Ack(10).to_bytes()))
    assert blocks(engine, run) == []
    assert blocks(engine, other) == [11]
    engine.receive((run, Ack(10).to_bytes()), (other, datagram))
    assert blocks(engine, run) == [11]


def test_a_file_that_changes_ends_all_its_transfers(engine: MemoryEngine, tmp_path: Path) -> None:
    runs = [start(engine, 2000 + number) for number in range(3)]
    for run in runs:
        ack(engine, run, 0)
        sent(engine, run)
    os.truncate(tmp_path / "content", 100)
    engine.contents.next_look = 0.0
    ack(engine, runs[0], 1)
    for run in runs:
        [packet] = [parse(datagram) for datagram in sent(engine, run)]
        assert isinstance(packet, Error)
        assert run.transfer.outcome is TransferOutcome.SOURCE_CHANGED
    assert engine.faults == 0


def test_before_the_last_block_the_file_is_looked_at(engine: MemoryEngine, tmp_path: Path) -> None:
    run = start(engine, 2000, 8192)
    last = len(CONTENT) // 8192 + 1
    for block in range(last - 1):
        ack(engine, run, block)
    sent(engine, run)
    with (tmp_path / "content").open("r+b") as content:
        content.write(b"other")
    engine.contents.next_look = float("inf")
    ack(engine, run, last - 1)
    assert run.transfer.outcome is TransferOutcome.SOURCE_CHANGED


def test_a_file_that_cannot_be_read_ends_its_transfer_alone(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = start(engine, 2000), start(engine, 2001)

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "the disk is broken")

    with monkeypatch.context() as patched:
        patched.setattr(os, "preadv", fail)
        ack(engine, run, 0)
    [_, packet] = [parse(datagram) for datagram in sent(engine, run)]
    assert packet == Error(0, "the file cannot be read")
    assert run.transfer.outcome is TransferOutcome.ERROR
    ack(engine, other, 0)
    assert blocks(engine, other) == [1]


def test_a_fault_of_ours_costs_one_transfer(engine: MemoryEngine) -> None:
    run, other = start(engine, 2000), start(engine, 2001)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    run.transfer.receive = fail  # type: ignore[assignment, method-assign]
    engine.receive((run, Ack(0).to_bytes()), (other, Ack(0).to_bytes()))
    assert engine.faults == 1
    assert [parse(d) for d in sent(engine, run)][1:] == [Error(0, "internal error")]
    assert isinstance(parse(sent(engine, other)[0]), OptionAck)


def test_a_lane_that_is_full_is_followed_by_another(engine: MemoryEngine) -> None:
    runs = [start(engine, 2000 + number) for number in range(300)]
    lanes = [run.lane for run in runs]
    assert lanes.count(lanes[0]) == 256
    assert len(set(lanes)) == 2
    for run in runs:
        engine.traffic.step(run, run.transfer.supersede)
    assert engine.traffic.lanes.take_idle(engine.wire.now) == []
    idle = engine.traffic.lanes.take_idle(engine.wire.now + 60)
    assert set(idle) == set(lanes)
    for lane in idle:
        engine.traffic._close(lane)
    assert start(engine, 2000).lane not in idle
