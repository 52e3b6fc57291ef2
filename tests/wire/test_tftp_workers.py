"""Worker processes on real sockets: what one of them does not do to the others."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from services.tftp.packet import Data, OptionAck
from tests.namespaces import inside, ip
from tests.tftp.lan import Lan, Talk

MACHINES = [f"192.0.2.{number}" for number in range(60, 76)]
BLOCK = 1024
CONTENT = bytes(i * 7 % 251 for i in range(200 * BLOCK))
OPTIONS = (("blksize", str(BLOCK)),)
SESSIONS = "bootyard_tftp_sessions"
RESTARTS = "bootyard_tftp_worker_restarts_total"
ALIVE = 'bootyard_tftp_workers{state="alive"}'
COMPLETE = 'bootyard_tftp_transfers_total{file_class="kernel",outcome="complete"}'


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    made = Lan(tmp_path)
    (tmp_path / "images/linux").write_bytes(CONTENT)
    made.publish({"linux": tmp_path / "images/linux"})
    made.settings = {"BOOTYARD_TFTP_WORKERS": "2"}
    try:
        made.build()
        for machine in MACHINES:
            ip("-n", made.client, "address", "add", f"{machine}/24", "dev", "e0")
        made.start()
        made.wait_for(lambda: made.metric(ALIVE) == 2)
        yield made
    finally:
        made.close()


class Transfer:
    """A machine in the middle of a transfer."""

    def __init__(self, lan: Lan, machine: str) -> None:
        self.machine = machine
        self.talk = lan.talk(machine)
        self.received = b""

    def begin(self) -> None:
        """Ask, and load the first block."""
        self.talk.ask("images/test@1/linux", OPTIONS)
        assert isinstance(self.talk.receive(), OptionAck)
        self.talk.ack(0)
        self.take()

    def take(self) -> None:
        """Load one block more."""
        packet = self.talk.receive()
        wanted = len(self.received) // BLOCK + 1
        while isinstance(packet, Data) and packet.block < wanted:
            packet = self.talk.receive()
        assert isinstance(packet, Data)
        assert packet.block == wanted
        self.received += packet.payload

    def finish(self) -> None:
        """Load the rest."""
        while True:
            block = len(self.received) // BLOCK
            self.talk.ack(block if len(self.received) % BLOCK == 0 else block + 1)
            if block == len(CONTENT) // BLOCK:
                break
            self.take()
        self.talk.receive()  # the empty block that ends it
        self.talk.ack(len(CONTENT) // BLOCK + 1)
        assert self.received == CONTENT


def workers(lan: Lan) -> list[psutil.Process]:
    """Find the worker processes: those that hold ports for transfers, or would."""
    assert lan.service is not None
    [nursery] = psutil.Process(lan.service.pid).children()
    return nursery.children()


def holder_of(lan: Lan, talk: Talk) -> psutil.Process:
    """Find the worker that a machine's transfer is with."""
    port = talk.peer[1]
    found = lan.run_in(lan.host, "ss", "-Hunap", f"sport = :{port}").stdout
    return next(worker for worker in workers(lan) if f"pid={worker.pid}," in found)


def spread(lan: Lan) -> tuple[list[Transfer], list[Transfer]]:
    """Begin a transfer of each machine; those of one worker, and those of the other."""
    transfers = [Transfer(lan, machine) for machine in MACHINES]
    for transfer in transfers:
        transfer.begin()
    first = holder_of(lan, transfers[0].talk)
    with_first = [t for t in transfers if holder_of(lan, t.talk) == first]
    return with_first, [t for t in transfers if t not in with_first]


def test_machines_are_spread_and_each_has_one_worker(lan: Lan) -> None:
    mine, others = spread(lan)
    assert min(len(mine), len(others)) >= 3
    assert lan.metric(SESSIONS) == len(MACHINES)
    again = [Transfer(lan, mine[0].machine) for _ in range(12)]  # from other ports
    for transfer in again:
        transfer.begin()
        assert holder_of(lan, transfer.talk) == holder_of(lan, mine[0].talk)
    for transfer in (*mine, *others, *again):
        transfer.finish()
    assert lan.metric(COMPLETE) == len(MACHINES) + len(again)


def test_a_killed_worker_loses_only_its_own_transfers(lan: Lan) -> None:
    mine, others = spread(lan)
    before = lan.metrics()
    killed = holder_of(lan, mine[0].talk)
    killed.kill()
    # What is asked while nobody is there is answered by the replacement.
    late = Transfer(lan, mine[0].machine)
    late.begin()
    assert holder_of(lan, late.talk) not in {killed, holder_of(lan, others[0].talk)}
    after = lan.metrics()
    assert after[SESSIONS] == len(others) + 1
    assert after[RESTARTS] == 1
    for transfer in (*others, late):
        transfer.finish()
    lan.wait_for(lambda: lan.metric(ALIVE) == 2)
    end = lan.metrics()
    assert end[SESSIONS] == 0
    assert end[COMPLETE] == before[COMPLETE] + len(others) + 1
    [line] = lan.logged("worker replaced")
    assert line["reason"] == "it ended"


def test_counters_never_fall_while_workers_are_killed(lan: Lan) -> None:
    seen: list[dict[str, float]] = [lan.metrics()]
    for _ in range(6):
        transfer = Transfer(lan, MACHINES[0])
        transfer.begin()
        transfer.finish()
        seen.append(lan.metrics())
        holder = workers(lan)[0]
        holder.kill()
        seen.extend(lan.metrics_at_once() for _ in range(10))
        lan.wait_for(lambda: lan.metrics_at_once()[ALIVE] == 2)
    for before, after in pairwise(seen):
        for name, value in before.items():
            assert name in after
            if name.split("{")[0].endswith(("_total", "_count", "_bucket", "_sum")):
                assert after[name] >= value, name
    assert seen[-1][COMPLETE] == 6
    assert lan.metrics()[RESTARTS] == 6


def test_a_worker_that_hangs_is_replaced(lan: Lan) -> None:
    transfer = Transfer(lan, MACHINES[0])
    transfer.begin()
    hanging = holder_of(lan, transfer.talk)
    hanging.suspend()
    lan.wait_for(lambda: lan.metrics_at_once()[RESTARTS] == 1)
    assert not hanging.is_running()
    [line] = lan.logged("worker replaced")
    assert line["reason"] == "it was silent"
    again = Transfer(lan, MACHINES[0])
    again.begin()
    again.finish()


def test_nothing_is_left_when_the_service_is_killed(lan: Lan) -> None:
    assert lan.service is not None
    [nursery] = psutil.Process(lan.service.pid).children()
    processes = [nursery, *nursery.children()]
    assert len(processes) == 3
    lan.service.kill()
    lan.service.wait(10)
    lan.service = None
    _, left = psutil.wait_procs(processes, timeout=10)
    assert not left
    assert "Traceback" not in lan.log.read_text()
    lan.start()
    lan.stop()


def test_a_stop_lets_the_transfers_of_all_workers_finish(lan: Lan) -> None:
    mine, others = spread(lan)
    assert lan.service is not None
    processes = workers(lan)
    for pid in (lan.service.pid, *(process.pid for process in processes)):
        os.kill(pid, signal.SIGTERM)  # as systemd does, which knows all processes
    time.sleep(0.3)
    for transfer in (mine[0], others[0]):
        transfer.finish()
    assert lan.service.wait(15) == 0
    lan.service = None
    assert not any(process.is_running() for process in processes)
    outcomes = [line["outcome"] for line in lan.logged("transfer finished")]
    assert outcomes.count("complete") == 2


def test_the_port_is_not_shared_with_another_server(lan: Lan) -> None:
    lan.stop()

    def hold() -> socket.socket:
        holding = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holding.bind(("0.0.0.0", 69))
        return holding

    with inside(lan.host, hold):
        lan.launch()
        lan.wait_for(lambda: bool(lan.logged("port not served")))
        assert lan.get("/readyz")[0] == 503
    lan.wait_for(lambda: lan.get("/readyz")[0] == 200)
