"""kill -9 at any moment leaves the old state or the new one, in the database and in every file."""

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bootyard.runtime.snapshots import load_last_good
from services.catalog.boot_once import read_all
from services.catalog.database import Database, read_property
from services.catalog.machines import Machines
from services.catalog.parts import SCHEMAS
from services.catalog.policy import PROPERTY, read_policy
from tests.catalog.killed_catalog import IMAGES, MAC, TARGETS, target_of


def _kill_after(state: Path, seed: int, rounds: int, seconds: float) -> int:
    """Let it write a few rounds and a moment more; the last round that it said was done."""
    command = [sys.executable, "-m", "tests.catalog.killed_catalog", str(state), str(seed)]
    done = [0]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while len(done) <= rounds and (line := child.stdout.readline()):
            if line.startswith("done "):
                done.append(int(line.split()[1]))
        time.sleep(seconds)
        child.kill()
        done += [int(line.split()[1]) for line in child.stdout if line.startswith("done ")]
    return done[-1]


def _revisions(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    rows = connection.execute("SELECT image, revision, content FROM image_revisions").fetchall()
    assert len(rows) in {0, len(IMAGES)}
    return [(int(revision), str(content)) for _, revision, content in rows]


async def _check(state: Path, done: int) -> None:
    """Look at everything; what was said to be done is there, and nothing is half there."""
    database = Database.open(state / "catalog.db", SCHEMAS)
    try:
        record = await Machines(database, lambda: TARGETS).get(MAC)
        numbers = set[int]()
        if record is not None and record.variables:
            number = int(record.variables["number"])
            assert record.machine.name == f"m-{number}"
            assert record.machine.kernel_args == f"n={number}"
            assert record.machine.target == target_of(number)
            numbers.add(number)
        policy = database.run_blocking(_policy)
        if policy is not None:
            seconds, default = policy
            assert default == target_of(seconds)
            numbers.add(seconds)
        armed = database.run_blocking(read_all, time.time()).get(MAC)
        if armed is not None:
            assert record is not None, "a machine is made together with what is armed"
        revisions = database.run_blocking(_revisions)
        assert len(set(revisions)) <= 1
        numbers |= {int(content) for _, content in revisions}
        assert numbers <= {done, done + 1, *([1] if done == 0 else [])}, (numbers, done)
        snapshot = load_last_good(state / "snapshot.json")
        if snapshot is not None:
            machine = snapshot.machine(MAC)
            assert machine is None or machine.name is None or int(machine.name[2:]) <= done + 1
        else:
            assert not (state / "snapshot.json").exists(), "unreadable"
        token = state / "admin-token"
        assert len(token.read_text().strip()) == 43
    finally:
        database.close()


def _policy(connection: sqlite3.Connection) -> tuple[int, str] | None:
    if read_property(connection, PROPERTY) is None:
        return None
    policy = read_policy(connection)
    return policy.timeout_seconds, policy.default


async def _kill_again_and_again(state: Path, seed: int, times: int) -> None:
    chance = random.Random(seed)
    token = ""
    for attempt in range(times):
        done = _kill_after(state, seed + attempt, chance.randrange(1, 4), chance.random() * 0.04)
        await _check(state, done)
        now = (state / "admin-token").read_text()
        assert token in {"", now}
        token = now


async def test_killed_at_random(tmp_path: Path) -> None:
    await _kill_again_and_again(tmp_path / "state", 1, 6)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_killed_at_random_for_long(tmp_path: Path) -> None:
    await _kill_again_and_again(tmp_path / "state", 100, 200)


async def test_killed_while_it_starts(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for milliseconds in (150, 200, 250, 300, 350):
        _kill_after(state, 1, 0, milliseconds / 1000)
    done = _kill_after(state, 1, 1, 0)
    await _check(state, done)
