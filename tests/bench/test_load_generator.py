"""The load generator takes what is right, and nothing else; its server here is scripted."""

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.tftp_loads import Outcome, Transfer, read_transfers
from tests.namespaces import Namespaces, entering, inside

SOURCE = Path(__file__).parents[2] / "bench/tftp_load.c"
CONTENT = bytes(range(256)) * 4  # 1024 bytes: blocks of 400, 400 and 224
BLOCK = 400
BLOCKS = [CONTENT[at : at + BLOCK] for at in range(0, len(CONTENT), BLOCK)]

pytestmark = pytest.mark.needs("ip", "gcc")

Address = tuple[str, int]


def data(number: int, octets: bytes) -> bytes:
    return b"\0\3" + number.to_bytes(2) + octets


def ack(number: int) -> bytes:
    return b"\0\4" + number.to_bytes(2)


def oack(window: int = 1, size: int = len(CONTENT), block: int = BLOCK) -> bytes:
    accepted = {"tsize": size, "blksize": block} | ({"windowsize": window} if window > 1 else {})
    return b"\0\6" + b"".join(f"{name}\0{value}\0".encode() for name, value in accepted.items())


@dataclass
class Bench:
    """A generator that runs, and its server's sockets: port 69, and two of transfers."""

    generator: subprocess.Popen[str]
    results: Path
    requests: socket.socket
    transfer: socket.socket
    other: socket.socket
    client: Address = ("", 0)

    def take_request(self) -> bytes:
        request, self.client = self.requests.recvfrom(600)
        return request

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            self.transfer.sendto(packet, self.client)

    def takes(self, packet: bytes) -> None:
        """The next packet of the client is this one."""
        assert self.transfer.recvfrom(600) == (packet, self.client)

    def end(self) -> Transfer:
        """The one transfer that it did."""
        output, _ = self.generator.communicate(timeout=20)
        assert self.generator.returncode == 0, output
        (transfer,) = read_transfers(self.results)
        return transfer


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("bench") / "tftp_load"
    subprocess.run(
        ("gcc", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(SOURCE)), check=True
    )
    return program


@pytest.fixture
def bench(program: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    window: int = getattr(request, "param", 1)
    namespaces = Namespaces()
    host = namespaces.add("host")
    (tmp_path / "content").write_bytes(CONTENT)

    def listen(port: int) -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.settimeout(10)
        opened.bind(("127.0.0.1", port))
        return opened

    requests, transfer, other = inside(host, lambda: (listen(69), listen(0), listen(0)))
    what = ("127.0.0.1", "127.0.1.0", "boot/file", str(tmp_path / "content"), "1", "1")
    how = (str(BLOCK), str(window), "15", "0", str(tmp_path / "results"))
    generator = subprocess.Popen(
        entering(host, str(program), *what, *how), stdout=subprocess.PIPE, text=True
    )
    try:
        yield Bench(generator, tmp_path / "results", requests, transfer, other)
    finally:
        generator.kill()
        generator.communicate()
        for opened in (requests, transfer, other):
            opened.close()
        namespaces.close()


def test_a_file_in_lockstep(bench: Bench) -> None:
    assert bench.take_request() == b"\0\1boot/file\0octet\0tsize\0000\0blksize\000400\0"
    bench.send(oack())
    bench.takes(ack(0))
    for number, block in enumerate(BLOCKS, 1):
        bench.send(data(number, block))
        bench.takes(ack(number))
    transfer = bench.end()
    assert transfer.outcome is Outcome.COMPLETE
    assert 0 < transfer.first <= transfer.total


def test_a_server_without_options(bench: Bench) -> None:
    bench.take_request()
    for number, at in enumerate((0, 512, 1024), 1):
        bench.send(data(number, CONTENT[at : at + 512]))
        bench.takes(ack(number))
    assert bench.end().outcome is Outcome.COMPLETE


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(data(1, b"\1" + BLOCKS[0][1:]), id="a-bit"),
        pytest.param(data(1, BLOCKS[0][:-1]), id="too-short"),
        pytest.param(data(1, BLOCKS[0] + b"\0"), id="too-long"),
    ],
)
def test_wrong_bytes_are_seen(bench: Bench, first: bytes) -> None:
    bench.take_request()
    bench.send(oack())
    bench.takes(ack(0))
    bench.send(first)
    assert bench.end().outcome is Outcome.WRONG


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(oack(size=1025), id="size"),
        pytest.param(oack(block=401), id="larger-blocks"),
        pytest.param(oack(window=2), id="window-not-asked-for"),
        pytest.param(oack() + b"timeout\0003\0", id="unknown"),
    ],
)
def test_wrong_options_are_seen(bench: Bench, answer: bytes) -> None:
    bench.take_request()
    bench.send(answer)
    assert bench.end().outcome is Outcome.WRONG


def test_a_refusal_is_a_failure(bench: Bench) -> None:
    bench.take_request()
    bench.send(b"\0\5\0\0busy\0")
    transfer = bench.end()
    assert transfer.outcome is Outcome.FAILED
    assert transfer.first == -1


@pytest.mark.parametrize("bench", [4], indirect=True)
def test_a_gap_is_told_once_for_each_window(bench: Bench) -> None:
    assert bench.take_request().endswith(b"windowsize\0004\0")
    bench.send(oack(window=4))
    bench.takes(ack(0))
    bench.send(data(2, BLOCKS[1]), data(3, BLOCKS[2]))
    bench.takes(ack(0))
    bench.send(data(1, BLOCKS[0]), data(2, BLOCKS[1]), data(3, BLOCKS[2]))
    bench.takes(ack(3))
    assert bench.end().outcome is Outcome.COMPLETE


def test_a_block_that_comes_again_is_acknowledged_again(bench: Bench) -> None:
    bench.take_request()
    bench.send(oack())
    bench.takes(ack(0))
    bench.send(data(1, BLOCKS[0]))
    bench.takes(ack(1))
    bench.send(data(1, BLOCKS[0]))
    bench.takes(ack(1))
    bench.send(data(2, BLOCKS[1]), data(3, BLOCKS[2]))
    bench.takes(ack(2))
    bench.takes(ack(3))
    assert bench.end().outcome is Outcome.COMPLETE


def test_a_second_transfer_of_the_same_request_is_ended(bench: Bench) -> None:
    bench.take_request()
    bench.send(oack())
    bench.takes(ack(0))
    bench.other.sendto(oack(), bench.client)
    assert bench.other.recvfrom(600)[0][:4] == b"\0\5\0\5"
    for number, block in enumerate(BLOCKS, 1):
        bench.send(data(number, block))
        bench.takes(ack(number))
    assert bench.end().outcome is Outcome.COMPLETE
