"""Worker processes at the end of their service, however it ends."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.tftp.lan import Lan
from tests.tftp.workers import MACHINES, Transfer, WorkersLan, nursery, spread, workers

pytestmark = pytest.mark.needs("ip", "ss")


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    with WorkersLan(tmp_path).serving() as made:
        yield made


def test_nothing_is_left_when_the_service_is_killed(lan: Lan) -> None:
    processes = [nursery(lan), *workers(lan)]
    assert len(processes) == 3
    assert lan.service is not None
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


def test_the_port_is_free_when_the_service_is_killed_and_what_runs_finishes(lan: Lan) -> None:
    mine, others = spread(lan)
    left = workers(lan)
    assert lan.service is not None
    lan.service.kill()
    lan.service.wait(10)
    lan.start(lan.folder / "second.log")
    assert not lan.logged("port not served")
    assert all(worker.is_running() for worker in left)
    late = Transfer(lan, MACHINES[0])
    late.begin()
    for transfer in (mine[0], others[0], late):
        transfer.finish()
    _, left = psutil.wait_procs(left, timeout=15)
    assert not left
    assert "Traceback" not in (lan.folder / "service.log").read_text()


def test_a_service_that_stops_is_not_ready(lan: Lan) -> None:
    """Not either when the worker that had nothing to do has ended already."""
    transfer = Transfer(lan, MACHINES[0])
    transfer.begin()
    assert lan.service is not None
    lan.service.terminate()
    lan.wait_for(lambda: len(workers(lan)) == 1)
    code, body = lan.get("/readyz")
    assert (code, "tftp: stopping" in body, "restarting" in body) == (503, True, False)
    transfer.finish()
    assert lan.service.wait(15) == 0
    lan.service = None


def test_a_stop_does_not_wait_for_workers_that_die_again_and_again(lan: Lan) -> None:
    for _ in range(5):
        lan.wait_for(lambda: len(workers(lan)) == 2)
        for worker in workers(lan):
            worker.kill()
            worker.wait(5)
    assert lan.service is not None
    lan.service.terminate()
    assert lan.service.wait(5) == 0
    lan.service = None
    assert "Traceback" not in lan.log.read_text()
