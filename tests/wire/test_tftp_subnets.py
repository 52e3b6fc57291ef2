"""The TFTP service as a process, and real clients of networks that the policy names."""

import random
from collections.abc import Iterator

import pytest

from bootyard.model.snapshot import Policy, SubnetRule
from services.tftp.packet import Data
from tests.tftp.lan import CLIENT, Lan

pytestmark = pytest.mark.needs("ip", "atftp")

LOADER = "loaders/uefi-x64/test.bin"
LOADER_BYTES = random.Random(3).randbytes(300_001)
BEHIND = "203.0.113.50"
"""An address of the client that the host reaches through a route, as it would a router's LAN."""
STRANGER = "203.0.114.50"


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    made = Lan(tmp_path_factory.mktemp("tftp-subnets"))
    made.add_loader("uefi-x64/test.bin", LOADER_BYTES)
    (made.folder / "images" / "linux").write_bytes(b"x")
    rules = (
        SubnetRule(network="192.0.2.0/24", max_block_size=1300),
        SubnetRule(network="203.0.113.0/24", max_block_size=700, max_window_size=2),
    )
    made.publish({"linux": made.folder / "images" / "linux"}, policy=Policy(subnets=rules))
    try:
        made.build()
        for address in (BEHIND, STRANGER):
            made.run_in(made.client, "ip", "address", "add", f"{address}/32", "dev", "e0")
            made.run_in(made.host, "ip", "route", "add", f"{address}/32", "via", CLIENT)
        made.start()
        yield made
    finally:
        made.close()


def test_a_real_client_gets_the_block_size_of_its_subnet(lan: Lan) -> None:
    options = ("--option", "blksize 1468", "--option", "windowsize 8", "--option", "tsize 0")
    done = lan.run(
        *("atftp", *options, "--get", "-r", LOADER, "-l", "got.bin", "192.0.2.10"),
    )
    assert done.returncode == 0, done.stderr
    assert (lan.folder / "got.bin").read_bytes() == LOADER_BYTES
    lan.wait_for(lambda: bool(lan.logged("transfer finished")))
    finished = lan.logged("transfer finished")[-1]
    assert (finished["outcome"], finished["block_size"]) == ("complete", 1300)


def test_a_named_network_is_answered_through_a_router(lan: Lan) -> None:
    talk = lan.talk(BEHIND)
    talk.ask(LOADER, (("blksize", "1468"), ("windowsize", "16")))
    talk.receive()
    received = b""
    talk.ack(0)
    block = 0
    while True:
        packet = talk.receive()
        assert isinstance(packet, Data)
        if packet.block != block + 1:
            continue
        block += 1
        received += packet.payload
        is_last = len(packet.payload) < 700
        if block % 2 == 0 or is_last:
            talk.ack(block)
        if is_last:
            break
    assert received == LOADER_BYTES


def test_other_networks_behind_a_router_are_not(lan: Lan) -> None:
    rejected = 'bootyard_tftp_rejected_total{reason="foreign"}'
    before = lan.metric(rejected)
    talk = lan.talk(STRANGER)
    talk.ask(LOADER)
    lan.wait_for(lambda: lan.metric(rejected) == before + 1)
    assert talk.hears_nothing()
