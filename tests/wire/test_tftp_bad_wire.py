"""Transfers over a wire that loses, doubles, delays and reorders: whole, and without a storm."""

import random
from collections.abc import Callable, Iterator

import pytest

from tests.tftp.bad_wire import BadWire
from tests.tftp.forwarder import Fates, Impairment
from tests.tftp.machines import Machine, load

pytestmark = [
    pytest.mark.needs("ip", "ethtool", "tftp", "atftp", "curl", "busybox", "iptables"),
    pytest.mark.long,
]

PATH = "loaders/uefi-x64/test.bin"
CONTENT = random.Random(7).randbytes(8_001)
MEGABYTE = "loaders/uefi-x64/megabyte.bin"
MEGABYTE_CONTENT = random.Random(8).randbytes(1_000_003)

BAD = {
    "loss-20": Impairment(loss=0.2),
    "twice-20": Impairment(duplication=0.2),
    "late-20": Impairment(reordering=0.2),
    "all-5": Impairment(0.05, 0.05, 0.05),
    "all-20": Impairment(0.2, 0.2, 0.2),
}
bad = pytest.mark.parametrize("impairment", BAD.values(), ids=BAD.keys())

Client = Callable[[str], tuple[str, ...]]

CLIENTS: dict[str, Client] = {
    "tftp-hpa": lambda path: ("tftp", "-m", "binary", "192.0.2.10", "-c", "get", path, "out"),
    "curl": lambda path: ("curl", "-sS", f"tftp://192.0.2.10/{path}", "-o", "out"),
    "busybox": lambda path: (
        *("busybox", "tftp", "-g", "-b", "1428", "-r", path, "-l", "out", "192.0.2.10"),
    ),
    "atftp-8": lambda path: (
        *("atftp", "--option", "blksize 1428", "--option", "windowsize 8"),
        *("-g", "-r", path, "-l", "out", "192.0.2.10"),
    ),
}


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BadWire]:
    made = BadWire(tmp_path_factory.mktemp("bad-wire"))
    made.add_loader("uefi-x64/test.bin", CONTENT)
    made.add_loader("uefi-x64/megabyte.bin", MEGABYTE_CONTENT)
    (made.folder / "images/linux").write_bytes(b"x")
    made.publish({"linux": made.folder / "images/linux"})
    with made.serving():
        yield made
        made.check_faults()


@pytest.fixture(autouse=True)
def _quiet(wire: BadWire) -> None:
    """A last block whose ACK was lost is repeated for a while: that is not the next test's."""
    wire.wait_for(lambda: wire.metric("bootyard_tftp_sessions") == 0)


def most_data(size: int, block_size: int, window_size: int) -> int:
    """How many DATA a server may need that does not storm.

    A round brings at least one block forward when that block and its ACK survive, which is more
    likely than one in two at 20 % (0.8 * 0.8), and costs a window at most. Three rounds for each
    block leave room for repeats that were early. Where each duplicate is answered by DATA, their
    number doubles with every block.
    """
    return 3 * window_size * (size // block_size + 1)


def test_a_good_wire_is_one() -> None:
    assert Fates(1, Impairment()).delays() == [0.0]


def test_the_wire_loses_doubles_and_delays() -> None:
    fates = Fates(1, Impairment(0.2, 0.2, 0.2))
    all_delays = [fates.delays() for _ in range(10_000)]
    assert 0.18 < sum(not delays for delays in all_delays) / 10_000 < 0.22
    assert 0.13 < sum(len(delays) == 2 for delays in all_delays) / 10_000 < 0.19
    assert 0.13 < sum(delays[:1] > [0.0] for delays in all_delays) / 10_000 < 0.19


def fetch(wire: BadWire, client: str) -> bytes:
    """Load with a real client; atftp gives up easily, and is started anew."""
    out = wire.folder / "out"
    said = ""
    for _ in range(20):
        out.unlink(missing_ok=True)
        finished = wire.run(*CLIENTS[client](PATH))
        said = finished.stdout + finished.stderr
        if finished.returncode == 0:
            return out.read_bytes()
        if not (client == "atftp-8" and "tftp: aborting" in said):
            break
    raise AssertionError(said)


@pytest.mark.parametrize("window_size", [1, 8, 64])
def test_segments_are_frames_of_their_own(wire: BadWire, window_size: int) -> None:
    """Without impairment each block crosses once: what is sent together is taken apart."""
    machine = Machine(wire, MEGABYTE, window_size=window_size)
    with wire.joined(1, Impairment()):
        load([machine])
    assert machine.received == MEGABYTE_CONTENT
    blocks = len(MEGABYTE_CONTENT) // 1468 + 1
    assert blocks <= wire.frames.data <= 1.5 * blocks  # a busy machine makes repeats early


@bad
def test_machines_load_whole_files(wire: BadWire, impairment: Impairment) -> None:
    windows = (1, 1, 4, 16)
    machines = [Machine(wire, PATH, block_size=512, window_size=size) for size in windows]
    with wire.joined(2, impairment):
        load(machines)
    for machine in machines:
        assert machine.received == CONTENT
    most = sum(most_data(len(CONTENT), 512, size) for size in windows)
    assert wire.frames.data <= most


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ["all-5", "all-20"])
def test_real_clients_load_whole_files(wire: BadWire, client: str, name: str) -> None:
    with wire.joined(3, BAD[name]):
        assert fetch(wire, client) == CONTENT
    size, window_size = (1428, 8) if client == "atftp-8" else (512, 1)
    assert wire.frames.data <= most_data(len(CONTENT), size, window_size)


@pytest.mark.parametrize("probability", ["0.05", "0.2"])
def test_files_are_whole_where_the_firewall_loses(wire: BadWire, probability: str) -> None:
    """Where they arrive: a program whose own datagrams are dropped is told so, and stops."""
    rule = ("-p", "udp", "-m", "statistic", "--mode", "random", "--probability", probability)
    machines = [Machine(wire, PATH, block_size=512, window_size=size) for size in (1, 8)]
    ends = (wire.host, wire.client)
    for end in ends:
        wire.run_in(end, "iptables", "-w", "-A", "INPUT", *rule, "-j", "DROP")
    try:
        with wire.joined(4, Impairment()):
            load(machines)
            for client in CLIENTS:
                assert fetch(wire, client) == CONTENT
    finally:
        for end in ends:
            wire.run_in(end, "iptables", "-w", "-F", "INPUT")
    for machine in machines:
        assert machine.received == CONTENT


@pytest.mark.parametrize("copies", [1, 2])
def test_what_comes_twice_is_not_answered_twice(wire: BadWire, copies: int) -> None:
    """RFC 1123 §4.2.3.1: a wire that doubles half of all frames, and a client all its ACKs."""
    machine = Machine(wire, MEGABYTE, copies=copies)
    with wire.joined(5, Impairment(duplication=0.5)):
        load([machine])
    assert machine.received == MEGABYTE_CONTENT
    assert wire.frames.data <= 1.2 * (len(MEGABYTE_CONTENT) // 1468 + 1)
