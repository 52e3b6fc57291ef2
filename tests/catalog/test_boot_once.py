"""Boot-once: one boot gets the target, one time, or nobody does."""

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bootyard.model.mac import MACAddress
from services.catalog import boot_once
from services.catalog.boot_once import CLOCK_SLACK_SECONDS, BootOnceState
from services.catalog.database import Database
from tests.catalog.images import open_database

MAC = MACAddress("52:54:00:12:34:56")
OTHER = MACAddress("52:54:00:12:34:57")
BOOTABLE = {"debian", "fedora"}
NOW = 1_800_000_000.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path)
    yield database
    database.close()


def _arm(database: Database, target: str = "debian", seconds: float = 1800.0) -> None:
    database.run_blocking(boot_once.arm, MAC, target, NOW, NOW + seconds)


def _bind(database: Database, boot: str, now: float = NOW, mac: MACAddress = MAC) -> str | None:
    return database.run_blocking(boot_once.bind, mac, boot, now, BOOTABLE)


def _state(database: Database, now: float = NOW) -> BootOnceState:
    return database.run_blocking(boot_once.read_all, now)[MAC].state


def test_the_way_of_an_arming(database: Database) -> None:
    _arm(database)
    assert _state(database) is BootOnceState.ARMED
    assert _bind(database, "b-1") == "debian"
    assert _state(database) is BootOnceState.BOUND
    assert _bind(database, "b-1", NOW + 60) == "debian"
    assert _bind(database, "b-2") is None
    assert not database.run_blocking(boot_once.burn, MAC, "b-2", NOW)
    assert database.run_blocking(boot_once.burn, MAC, "b-1", NOW)
    assert _state(database) is BootOnceState.BURNED
    assert not database.run_blocking(boot_once.burn, MAC, "b-1", NOW)
    assert _bind(database, "b-1") is None
    assert _bind(database, "b-3") is None


def test_nothing_armed(database: Database) -> None:
    assert _bind(database, "b-1") is None
    assert not database.run_blocking(boot_once.burn, MAC, "b-1", NOW)
    assert not database.run_blocking(boot_once.disarm, MAC)
    assert database.run_blocking(boot_once.read_all, NOW) == {}


def test_another_machine_gets_nothing(database: Database) -> None:
    _arm(database)
    assert _bind(database, "b-1", mac=OTHER) is None
    assert _state(database) is BootOnceState.ARMED


def test_the_time_is_over(database: Database) -> None:
    _arm(database, seconds=1800)
    assert _bind(database, "b-1", NOW + 1800) is None
    assert _state(database, NOW + 1800) is BootOnceState.EXPIRED


def test_the_time_is_over_for_the_boot_that_had_it_too(database: Database) -> None:
    _arm(database, seconds=1800)
    assert _bind(database, "b-1", NOW + 1799) == "debian"
    assert _bind(database, "b-1", NOW + 1801) is None


def test_a_clock_that_is_set_back_far_ends_it(database: Database) -> None:
    _arm(database)
    assert _bind(database, "b-1", NOW - CLOCK_SLACK_SECONDS) is None
    assert _bind(database, "b-1", NOW - CLOCK_SLACK_SECONDS + 1) == "debian"


def test_arming_again_replaces(database: Database) -> None:
    _arm(database)
    assert _bind(database, "b-1") == "debian"
    _arm(database, "fedora")
    assert _state(database) is BootOnceState.ARMED
    assert _bind(database, "b-2") == "fedora"
    assert _bind(database, "b-1") is None


def test_disarmed(database: Database) -> None:
    _arm(database)
    assert database.run_blocking(boot_once.disarm, MAC)
    assert _bind(database, "b-1") is None


def test_a_target_that_cannot_be_booted_uses_nothing_up(database: Database) -> None:
    _arm(database, "away-for-a-moment")
    assert _bind(database, "b-1") is None
    assert _state(database) is BootOnceState.ARMED


def test_it_outlives_a_restart(tmp_path: Path) -> None:
    first = open_database(tmp_path)
    _arm(first)
    assert _bind(first, "b-1") == "debian"
    first.close()
    second = open_database(tmp_path)
    assert _bind(second, "b-1") == "debian"
    assert _bind(second, "b-2") is None
    second.close()


def _race(path: Path, boot: str, start: "threading.Barrier", won: list[str]) -> None:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    start.wait(10)
    connection.execute("BEGIN IMMEDIATE")
    if boot_once.bind(connection, MAC, boot, NOW, BOOTABLE):
        won.append(boot)
    connection.execute("COMMIT")
    connection.close()


def test_threads_that_race_have_one_winner(database: Database) -> None:
    for _ in range(20):
        _arm(database)
        start, won = threading.Barrier(8), list[str]()
        threads = [
            threading.Thread(target=_race, args=(database.path, f"b-{n}", start, won))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1


def _race_in_a_process(path: Path, boot: str, rounds: int) -> list[int]:
    """Without a transaction round it: the one UPDATE alone must decide."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    won = []
    for number in range(rounds):
        mac = MACAddress.from_bytes(bytes([2, 0, 0, 0, 1, number]))
        if boot_once.bind(connection, mac, boot, NOW, BOOTABLE):
            won.append(number)
    connection.close()
    return won


def test_processes_that_race_have_one_winner_each_time(database: Database) -> None:
    rounds = 50
    for number in range(rounds):
        mac = MACAddress.from_bytes(bytes([2, 0, 0, 0, 1, number]))
        database.run_blocking(boot_once.arm, mac, "debian", NOW, NOW + 60)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        jobs = [(database.path, f"b-{n}", rounds) for n in range(2)]
        one, two = pool.starmap(_race_in_a_process, jobs)
    assert not set(one) & set(two)
    assert len(one) + len(two) == rounds


class BootOnceModel(RuleBasedStateMachine):
    """Against a model: what was armed, who has it, and whether it is used up."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.executescript("".join(boot_once.SCHEMA.steps))
        self.now = NOW
        self.target: str | None = None
        self.expires = 0.0
        self.holder: str | None = None
        self.burned = False
        self.given_to: set[str] = set()

    boots = st.sampled_from(["b-1", "b-2", "b-3"])
    wanted = st.sampled_from(["debian", "fedora", "gone"])

    @initialize()
    def nothing(self) -> None:
        assert boot_once.bind(self.connection, MAC, "b-1", self.now, BOOTABLE) is None

    @rule(what=wanted, minutes=st.integers(1, 60))
    def arm(self, what: str, minutes: int) -> None:
        boot_once.arm(self.connection, MAC, what, self.now, self.now + minutes * 60)
        self.target, self.expires = what, self.now + minutes * 60
        self.holder, self.burned, self.given_to = None, False, set()

    @rule()
    def disarm(self) -> None:
        assert boot_once.disarm(self.connection, MAC) == (self.target is not None)
        self.target, self.holder, self.burned, self.given_to = None, None, False, set()

    @rule(minutes=st.integers(0, 45))
    def wait(self, minutes: int) -> None:
        self.now += minutes * 60

    @rule(boot=boots)
    def bind(self, boot: str) -> None:
        given = boot_once.bind(self.connection, MAC, boot, self.now, BOOTABLE)
        possible = (
            self.target in BOOTABLE
            and not self.burned
            and self.now < self.expires
            and self.holder in {None, boot}
        )
        assert given == (self.target if possible else None)
        if given is not None:
            self.holder = boot
            self.given_to.add(boot)

    @rule(boot=boots)
    def burn(self, boot: str) -> None:
        burned = boot_once.burn(self.connection, MAC, boot, self.now)
        assert burned == (self.holder == boot and not self.burned)
        self.burned = self.burned or burned

    @invariant()
    def one_boot_at_most(self) -> None:
        assert len(self.given_to) <= 1

    @invariant()
    def the_state_is_told(self) -> None:
        armed = boot_once.read_all(self.connection, self.now).get(MAC)
        if self.target is None:
            assert armed is None
            return
        assert armed is not None
        if self.burned:
            expected = BootOnceState.BURNED
        elif self.now >= self.expires:
            expected = BootOnceState.EXPIRED
        else:
            expected = BootOnceState.ARMED if self.holder is None else BootOnceState.BOUND
        assert (armed.state, armed.boot) == (expected, self.holder)

    def teardown(self) -> None:
        self.connection.close()


BootOnceModel.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBootOnceModel = BootOnceModel.TestCase
