"""Worker processes on real sockets: what one of them does not do to the others."""

import signal
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.namespaces import inside
from tests.tftp.lan import Lan
from tests.tftp.workers import (
    ALIVE,
    MACHINES,
    Transfer,
    WorkersLan,
    holder_of,
    nursery,
    spread,
    workers,
)

pytestmark = pytest.mark.needs("ip", "ss")

SESSIONS = "bootyard_tftp_sessions"
RESTARTS = "bootyard_tftp_worker_restarts_total"
COMPLETE = 'bootyard_tftp_transfers_total{file_class="kernel",outcome="complete"}'


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    with WorkersLan(tmp_path).serving() as made:
        yield made


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


def test_a_service_with_one_worker_is_one_process(lan: Lan) -> None:
    lan.stop()
    lan.settings["BOOTYARD_TFTP_WORKERS"] = "1"
    lan.start()
    assert lan.service is not None
    assert psutil.Process(lan.service.pid).children() == []


def test_the_service_is_ready_while_a_worker_is_replaced_and_says_so(lan: Lan) -> None:
    mine, others = spread(lan)
    maker, killed = nursery(lan), holder_of(lan, mine[0].talk)
    maker.suspend()
    killed.kill()
    lan.wait_for(lambda: "workers: 1 of 2 restarting" in lan.get("/readyz")[1])
    assert lan.get("/readyz")[0] == 200
    assert lan.metrics_at_once()['bootyard_tftp_workers{state="restarting"}'] == 1
    assert lan.metric(SESSIONS) == len(others)
    others[0].finish()
    maker.resume()
    lan.wait_for(lambda: "workers:" not in lan.get("/readyz")[1])
    assert lan.metrics_at_once()[ALIVE] == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_service_that_can_make_no_workers_ends_and_what_runs_finishes(
    lan: Lan, how: signal.Signals
) -> None:
    mine, others = spread(lan)
    maker = nursery(lan)
    killed, living = (holder_of(lan, transfers[0].talk) for transfers in (mine, others))
    maker.send_signal(how)
    killed.kill()
    assert lan.service is not None
    while lan.service.poll() is None:
        others[0].go_on()
        time.sleep(0.1)
    assert lan.service.returncode != 0
    lan.service = None
    [line] = lan.logged("workers cannot be replaced", traceback_follows=True)
    assert "process that makes workers" in str(line["reason"])
    # Whoever keeps services running starts another one: the port is free, although the worker that
    # was left has its transfers to finish.
    lan.start(lan.folder / "second.log")
    assert living.is_running()
    late = Transfer(lan, mine[0].machine)
    late.begin()
    others[0].finish()
    late.finish()
    _, left = psutil.wait_procs([maker, living], timeout=15)
    assert not left
