"""Clients that mean no good, or are broken, on real sockets: the others notice nothing."""

import random
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import psutil
import pytest

from services.tftp.packet import Ack, Data, Error, ReadRequest
from tests.namespaces import inside
from tests.tftp.lan import CLIENT, HOST, Lan, Talk
from tests.tftp.machines import Machine, load

pytestmark = pytest.mark.needs("ip", "curl")

PATH = "loaders/uefi-x64/test.bin"
CONTENT = random.Random(21).randbytes(1_000_003)
BLOCKS = len(CONTENT) // 512 + 1
SESSIONS = "bootyard_tftp_sessions"

OPCODES = (*range(9), 69, 128, 255)
FILLINGS = (b"\0" * 18, b"\xff" * 18, b"a\0octet\0tsize\x000\0\0\0")
LENGTHS = range(21)

FLOOD = 50_000
FIRST_PORT = 10_000
FLOODER = "192.0.2.60"
FORGED = [str(IPv4Address("192.0.2.100") + number) for number in range(150)]
MOST_GROWTH = 64 << 20
"""The table has room for 1,000 transfers and the queues for some thousand requests: tens of
kilobytes each would be far too much already. What keeps all of a flood has a multiple of this."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    made = Lan(tmp_path_factory.mktemp("hostile"))
    made.add_loader("uefi-x64/test.bin", CONTENT)
    (made.folder / "images/linux").write_bytes(b"x")
    made.publish({"linux": made.folder / "images/linux"})
    made.settings = {"BOOTYARD_LOG_LEVEL": "info"}
    with made.serving():
        yield made


@pytest.fixture
def lan(shared: Lan) -> Iterator[Lan]:
    yield shared
    assert shared.get("/readyz")[0] == 200
    shared.check_faults()
    shared.wait_for(lambda: shared.metric(SESSIONS) == 0)


def short_packets(*, without: tuple[int, ...] = ()) -> list[bytes]:
    """Every length up to 20 of every opcode, with what may be taken for its fields."""
    return [
        (opcode.to_bytes(2, "big") + filling)[:length]
        for opcode in OPCODES
        if opcode not in without
        for length in LENGTHS
        for filling in FILLINGS
    ]


def block_of(number: int) -> Data:
    return Data(number, CONTENT[(number - 1) * 512 : number * 512])


def expect(talk: Talk, number: int) -> None:
    """Wait for a block; the one before may have been on its way again."""
    packet = talk.receive()
    while packet == block_of(number - 1):
        packet = talk.receive()
    assert packet == block_of(number)


def drain(talk: Talk) -> list[bytes]:
    """Take what has come, without waiting."""
    talk.socket.setblocking(False)
    found = []
    try:
        while True:
            found.append(talk.socket.recv(70_000))
    except BlockingIOError:
        return found
    finally:
        talk.socket.settimeout(3)


def load_well(lan: Lan) -> None:
    machine = Machine(lan, PATH, source=CLIENT)
    load([machine])
    assert machine.received == CONTENT


def test_short_packets_at_port_69(lan: Lan) -> None:
    talk = lan.talk()
    for datagram in short_packets():
        talk.send_raw(datagram, (HOST, 69))
    load_well(lan)
    for datagram in drain(talk):
        assert datagram[:2] == b"\0\5"  # of the names in them there is none


def test_short_packets_at_a_transfers_port(lan: Lan) -> None:
    talk, stranger = lan.talk(), lan.talk()
    talk.ask(PATH)
    expect(talk, 1)
    talk.ack(1)
    expect(talk, 2)
    # An ACK of block 2 is a good one, and an ERROR ends the transfer, by its own client.
    for datagram in short_packets(without=(5,)):
        talk.send_raw(datagram, talk.peer)
    for datagram in short_packets():
        stranger.send_raw(datagram, talk.peer)
    talk.ack(2)
    expect(talk, 3)
    for answer in drain(stranger):
        assert answer[:4] == b"\0\5\0\5"
    talk.send_raw(Error(0).to_bytes())


@pytest.mark.parametrize("length", LENGTHS)
def test_a_short_error_costs_its_own_transfer_at_most(lan: Lan, length: int) -> None:
    talk = lan.talk()
    talk.ask(PATH)
    expect(talk, 1)
    talk.send_raw((b"\0\5" + b"\0" * 18)[:length], talk.peer)
    other = lan.talk()
    other.ask(PATH)
    expect(other, 1)
    for ending in (talk, other):
        ending.send_raw(Error(0).to_bytes())


def test_acks_from_the_future_and_the_past_send_nothing(lan: Lan) -> None:
    talk = lan.talk()
    talk.ask(PATH)
    for number in range(1, 6):
        expect(talk, number)
        talk.ack(number)
    expect(talk, 6)
    for number in (0, 1, 4, 5, 7, 8, 100, 0x7FFF, 0x8000, 0xFFFF, 5, 7):
        talk.ack(number)
    time.sleep(0.05)
    again = drain(talk)
    assert set(again) <= {block_of(6).to_bytes()}  # by the timer, and no other block
    assert len(again) < 6
    talk.ack(6)
    expect(talk, 7)
    talk.send_raw(Error(0).to_bytes())


@pytest.mark.parametrize("window_size", [1, 8])
def test_a_client_that_acknowledges_all_twice_gets_nothing_twice(
    lan: Lan, window_size: int
) -> None:
    """Sorcerer's Apprentice: a repeated ACK may restart a window once, and a block never."""
    machine = Machine(lan, PATH, block_size=512, window_size=window_size, copies=2)
    load([machine])
    assert machine.received == CONTENT
    assert machine.heard <= BLOCKS * 1.5


def test_peers_that_vanish_leave_an_empty_table(lan: Lan) -> None:
    """One datagram and three timed repeats for each, and no more."""
    talks = [lan.talk() for _ in range(40)]
    for talk in talks:
        talk.ask(PATH, (("tsize", "0"), ("windowsize", "64")))
    for talk in talks:
        talk.receive()
    assert lan.metric(SESSIONS) == len(talks)
    lan.wait_for(lambda: lan.metric(SESSIONS) == 0)
    for talk in talks:
        assert len(drain(talk)) == 3


def flood(lan: Lan, addresses: list[str]) -> None:
    """Send an RRQ from each of 50,000 ports, a raw datagram each."""

    def open_raw() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    request = ReadRequest(PATH, "octet", (("tsize", "0"), ("blksize", "1468"))).to_bytes()
    target = socket.inet_aton(HOST)
    with inside(lan.client, open_raw) as raw:
        for number in range(FLOOD):
            source = socket.inet_aton(addresses[number % len(addresses)])
            # The kernel fills in length, identification and checksum; UDP goes without one.
            head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, 17, 0, source, target)
            udp = struct.pack("!HHHH", FIRST_PORT + number, 69, 8 + len(request), 0)
            raw.sendto(head + udp + request, (HOST, 0))
            if number % 50 == 0:
                time.sleep(0.002)  # so that most of them get as far as the service


def memory(lan: Lan) -> int:
    """Resident bytes of all the service's processes."""
    assert lan.service is not None
    first = psutil.Process(lan.service.pid)
    processes = [first, *first.children(recursive=True)]
    return int(sum(process.memory_info().rss for process in processes))


@pytest.mark.parametrize("addresses", [[FLOODER], FORGED], ids=["one-address", "forged"])
def test_a_flood_from_50000_ports(lan: Lan, addresses: list[str]) -> None:
    load_well(lan)
    before = memory(lan)
    lan.run_in(lan.client, "ip", "addr", "replace", f"{FLOODER}/24", "dev", "e0")
    refused = 'bootyard_tftp_rejected_total{reason="%s"}'
    seen = [lan.metric(refused % reason) for reason in ("busy", "flood")]
    began = lan.talk(CLIENT)
    began.ask(PATH)
    expect(began, 1)
    began.ack(1)
    flood(lan, addresses)
    expect(began, 2)
    began.send_raw(Error(0).to_bytes())
    load_well(lan)  # before the flood's transfers have ended
    assert memory(lan) - before < MOST_GROWTH
    assert sum(lan.metric(refused % reason) for reason in ("busy", "flood")) > sum(seen)


def test_many_wrong_transfer_ids_change_nothing(lan: Lan) -> None:
    """They are told so, but not all: the port is no reflector."""
    talk, strangers = lan.talk(), [lan.talk() for _ in range(40)]
    talk.ask(PATH)
    expect(talk, 1)
    for stranger in strangers:
        for datagram in (Ack(1).to_bytes(), Ack(0).to_bytes(), Error(0).to_bytes()):
            stranger.send_raw(datagram, talk.peer)
    talk.ack(1)
    expect(talk, 2)
    answers = [answer for stranger in strangers for answer in drain(stranger)]
    assert {answer[:4] for answer in answers} == {b"\0\5\0\5"}
    assert len(answers) < len(strangers)
    talk.send_raw(Error(0).to_bytes())
