"""Children are kept running, and die with their parent whatever kills it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from bootyard.cli.supervisor import Child, describe_exit

PARENT = """
import asyncio, sys
from bootyard.cli.supervisor import Child

asyncio.run(
    Child(name="sleeper", arguments=("sh", "-c", "echo $$ > {pidfile}; exec sleep 60"))
    .keep_running(asyncio.Event())
)
"""


async def wait_for_pid(pidfile: Path) -> int:
    async with asyncio.timeout(10):
        while not (pidfile.exists() and pidfile.read_text().strip()):
            await asyncio.sleep(0.02)
    return int(pidfile.read_text())


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "State:\tZ" not in status


async def until_dead(pid: int) -> None:
    async with asyncio.timeout(10):
        while is_alive(pid):
            await asyncio.sleep(0.02)


async def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(pidfile=pidfile)])
    try:
        child = await wait_for_pid(pidfile)
        assert is_alive(child)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    await until_dead(child)


async def test_a_child_that_dies_is_started_again_and_stops_when_asked(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    child = Child(name="sleeper", arguments=("sh", "-c", f"echo $$ > {pidfile}; exec sleep 60"))
    stopping = asyncio.Event()
    running = asyncio.create_task(child.keep_running(stopping))
    first = await wait_for_pid(pidfile)
    pidfile.unlink()
    os.kill(first, signal.SIGKILL)
    second = await wait_for_pid(pidfile)
    assert second != first
    stopping.set()
    await child.stop()
    await running
    assert not is_alive(second)


def test_how_a_process_ended() -> None:
    assert describe_exit(-9) == "was killed by SIGKILL"
    assert describe_exit(3) == "ended with status 3"
