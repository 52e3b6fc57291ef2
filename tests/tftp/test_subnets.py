"""TFTP settings of subnets: which rule counts, what it changes, and how a new one arrives."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from bootyard.boot.tree import BootTree
from bootyard.model.events import TransferOutcome
from bootyard.model.snapshot import Policy, Root, Slice, SubnetRule, builtin_snapshot
from bootyard.runtime.lifecycle import Service
from bootyard.runtime.settings import Settings
from services.tftp.options import Limits, Negotiated, negotiate
from services.tftp.packet import Ack, Data, OptionAck, Options, Packet, ReadRequest, parse
from services.tftp.port import bind_listeners
from services.tftp.retransmission import FIRST_INTERVAL
from services.tftp.server import Server
from services.tftp.subnets import SubnetLimits
from services.tftp.transfer import SILENCE_LIMIT, UNPROVEN_REPEATS, ReadTransfer
from tests.tftp.clients import MemorySource, ModelClient, run

LAN = Limits.for_mtu(1500)
RULES = (
    SubnetRule(network="0.0.0.0/0", tries=9),
    SubnetRule(network="198.51.0.0/16", max_block_size=1300, retry_seconds=2),
    SubnetRule(network="198.51.100.0/24", max_window_size=4, tries=3),
    SubnetRule(network="198.51.100.7/32", max_block_size=512, max_window_size=1),
    SubnetRule(network="203.0.113.0/24", max_block_size=9000, max_window_size=64),
    SubnetRule(network="198.51.100.9/24", max_block_size=600),
    SubnetRule(network="not a network", max_block_size=600),
)


@pytest.mark.parametrize(
    ("client", "limits"),
    [
        ("192.0.2.5", Limits(block_size=1468, tries=9)),
        ("198.51.7.7", Limits(block_size=1300, retry_s=2)),
        ("198.51.100.9", Limits(block_size=1468, window_size=4, tries=3)),
        ("198.51.100.7", Limits(block_size=512, window_size=1)),
        pytest.param("203.0.113.1", LAN, id="a-rule-raises-nothing"),
    ],
)
def test_the_longest_prefix_counts(client: str, limits: Limits) -> None:
    assert SubnetLimits(RULES).limits_for(IPv4Address(client), LAN) == limits


def test_without_rules_everything_is_as_usual() -> None:
    assert SubnetLimits().limits_for(IPv4Address("192.0.2.5"), LAN) is LAN
    assert SubnetLimits(RULES[1:]).limits_for(IPv4Address("192.0.2.5"), LAN) is LAN


def test_caps_are_negotiated() -> None:
    limits = Limits(block_size=1300, window_size=4, retry_s=2, tries=3)
    terms = negotiate((("blksize", "1468"), ("windowsize", "16"), ("tsize", "0")), limits, 5000)
    assert terms.accepted == (("blksize", "1300"), ("windowsize", "4"), ("tsize", "5000"))
    assert (terms.retry_s, terms.tries) == (2, 3)


class Hands:
    """A transfer of three blocks under a subnet's terms, and its clock."""

    def __init__(
        self, *, retry_s: float | None, tries: int | None, timeout_s: int | None = None
    ) -> None:
        terms = Negotiated(retry_s=retry_s, tries=tries, timeout_s=timeout_s)
        self.now = 0.0
        self.transfer = ReadTransfer(MemorySource(bytes(1200)), terms, self.now)
        self.transfer.datagrams_to_send()

    def ack(self, block: int, after: float = 0.001) -> None:
        self.now += after
        self.transfer.receive(Ack(block).to_bytes(), self.now)
        self.transfer.datagrams_to_send()

    def pauses(self) -> list[float]:
        """Let the client be silent; gives the pause before each repeat and before the end."""
        pauses: list[float] = []
        while (due := self.transfer.timer()) is not None:
            pauses.append(round(due - self.now, 6))
            self.fire_timer()
        return pauses

    def fire_timer(self) -> None:
        due = self.transfer.timer()
        assert due is not None
        self.now = due
        self.transfer.handle_timer(self.now)
        self.transfer.datagrams_to_send()


def test_patience_does_not_shrink_to_measured_round_trips() -> None:
    it = Hands(retry_s=5, tries=4)
    it.ack(1)
    assert it.pauses() == [5, 5, 5, 5]
    assert it.transfer.outcome is TransferOutcome.TIMEOUT
    assert it.transfer.retransmits == 3


def test_a_short_pause_grows_as_usual() -> None:
    it = Hands(retry_s=0.5, tries=5)
    it.ack(1)
    assert it.pauses() == [0.5, 1, 2, 2, 2]


def test_a_pause_is_longer_than_what_the_client_asked_for() -> None:
    assert Hands(retry_s=5, tries=None, timeout_s=1).pauses()[0] == 5


def test_tries_alone_are_not_used_up_in_milliseconds() -> None:
    it = Hands(retry_s=None, tries=2)
    it.ack(1)
    assert it.pauses() == [FIRST_INTERVAL, 2 * FIRST_INTERVAL]


def test_tries_count_anew_after_every_block() -> None:
    it = Hands(retry_s=1, tries=2)
    for block in (1, 2):
        it.fire_timer()
        it.ack(block)
    assert it.transfer.outcome is None
    assert it.transfer.retransmits == 2
    assert len(it.pauses()) == 2


def test_more_tries_outlast_the_usual_silence() -> None:
    it = Hands(retry_s=30, tries=10)
    it.ack(1)
    assert sum(it.pauses()) == 300 > SILENCE_LIMIT


def test_an_address_that_may_be_forged_gets_no_more_than_ever() -> None:
    it = Hands(retry_s=1, tries=30)
    assert len(it.pauses()) == UNPROVEN_REPEATS + 1
    assert it.transfer.retransmits == UNPROVEN_REPEATS


def test_one_try_is_one() -> None:
    it = Hands(retry_s=1, tries=1)
    assert it.pauses() == [1]
    assert (it.transfer.retransmits, it.transfer.outcome) == (0, TransferOutcome.TIMEOUT)


def test_a_last_ack_that_is_lost_is_no_failure() -> None:
    it = Hands(retry_s=0.1, tries=3)
    it.ack(1)
    it.ack(2)
    it.pauses()
    assert it.transfer.outcome is TransferOutcome.COMPLETE
    assert it.transfer.bytes_delivered == 1200


def test_loss_is_repaired_within_the_tries() -> None:
    content = bytes(range(256)) * 20
    terms = Negotiated(retry_s=1, tries=3)
    client = ModelClient(retry_s=30)
    transfer = ReadTransfer(MemorySource(content), terms, 0.0)
    fates = iter(range(10_000))
    run(transfer, client, lambda: (0.01,) if next(fates) % 3 == 2 else (), lambda: (0.01,))
    assert bytes(client.received) == content
    assert transfer.outcome is TransferOutcome.COMPLETE


class Talk:
    """A client at an address of the loopback."""

    def __init__(self, port: int, source: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((source, 0))
        self._server = ("127.0.0.1", port)
        self._peer = self._server

    def ask(self, options: Options) -> None:
        request = ReadRequest("loaders/uefi-x64/test.efi", "octet", options)
        self._socket.sendto(request.to_bytes(), self._server)

    def ack(self, block: int) -> None:
        self._socket.sendto(Ack(block).to_bytes(), self._peer)

    async def receive(self) -> Packet:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            datagram, self._peer = await loop.sock_recvfrom(self._socket, 70_000)
        return parse(datagram)

    def close(self) -> None:
        self._socket.close()


class Running:
    """The server on a free port, with a loader of 100 kB."""

    def __init__(self, folder: Path) -> None:
        loaders = folder / "loaders" / "uefi-x64"
        loaders.mkdir(parents=True)
        (loaders / "test.efi").write_bytes(bytes(100_000))
        settings = Settings(loaders_dir=folder / "loaders", state_dir=folder / "state")
        self.service = Service("tftp", settings)
        self._server = Server(self.service)
        [listener] = bind_listeners(0, 1)
        self._server._socket = listener
        self._port = int(self._server._socket.getsockname()[1])
        self._talks: list[Talk] = []

    def __enter__(self) -> "Running":
        asyncio.get_running_loop().add_reader(self._server._socket, self._server._receive)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._server._socket)
        self._server._socket.close()
        for talk in self._talks:
            talk.close()
        self._server.engine.close()

    def adopt(self, *rules: SubnetRule) -> None:
        name = "uefi-x64/test.efi"
        loaders = {name: Slice(root=Root.LOADERS, path=name, extents=((0, 100_000),))}
        snapshot = msgspec.structs.replace(
            builtin_snapshot(8080, loaders), policy=Policy(subnets=rules)
        )
        self.service.snapshots.adopt(BootTree(snapshot))

    def talk(self, source: str) -> Talk:
        self._talks.append(Talk(self._port, source))
        return self._talks[-1]

    def timeouts(self) -> float | None:
        return self.service.telemetry.registry.get_sample_value(
            "bootyard_tftp_transfers_total", {"file_class": "loader", "outcome": "timeout"}
        )


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    with Running(tmp_path) as server:
        yield server


async def test_each_client_gets_the_terms_of_its_subnet(running: Running) -> None:
    running.adopt(
        SubnetRule(network="127.0.0.0/8", max_block_size=1300),
        SubnetRule(network="127.0.7.0/24", max_block_size=512, max_window_size=2),
    )
    asked = (("blksize", "1468"), ("windowsize", "8"))
    near, far = running.talk("127.0.0.2"), running.talk("127.0.7.2")
    near.ask(asked)
    assert await near.receive() == OptionAck((("blksize", "1300"), ("windowsize", "8")))
    far.ask(asked)
    assert await far.receive() == OptionAck((("blksize", "512"), ("windowsize", "2")))
    far.ack(0)
    assert [await far.receive() for _ in range(2)] == [Data(1, bytes(512)), Data(2, bytes(512))]


async def test_a_new_snapshot_brings_new_rules(running: Running) -> None:
    for size in (1300, 700, None):
        rules = [SubnetRule(network="127.0.0.0/8", max_block_size=size)] if size else []
        running.adopt(*rules)
        talk = running.talk("127.0.0.2")
        talk.ask((("blksize", "1468"),))
        assert await talk.receive() == OptionAck((("blksize", str(size or 1468)),))


async def test_a_client_that_goes_silent_is_tried_as_often_as_its_subnet_says(
    running: Running,
) -> None:
    running.adopt(SubnetRule(network="127.0.0.0/8", retry_seconds=0.1, tries=3))
    talk = running.talk("127.0.0.2")
    before = running.timeouts()
    talk.ask((("blksize", "1024"),))
    assert isinstance(await talk.receive(), OptionAck)
    talk.ack(0)
    heard = [await talk.receive() for _ in range(3)]
    assert heard == [Data(1, bytes(1024))] * 3
    async with asyncio.timeout(20):
        while running.timeouts() == before:
            await asyncio.sleep(0.01)
    # What answers another request comes next: a fourth block would have been there before it.
    talk.ask((("blksize", "1025"),))
    assert await talk.receive() == OptionAck((("blksize", "1025"),))
