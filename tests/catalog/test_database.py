"""The database: made, brought up to date, refused."""

import asyncio
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from services.catalog.database import (
    Database,
    DatabaseUnusable,
    Schema,
    read_property,
    renew_epoch,
    write_property,
)

PLANTS_1 = "CREATE TABLE plants (name TEXT); INSERT INTO plants VALUES ('a;b');"
PLANTS_2 = "ALTER TABLE plants ADD COLUMN height INTEGER NOT NULL DEFAULT 3;"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "catalog" / "catalog.sqlite3"


def _plants(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT * FROM plants").fetchall()


def _add_plant(connection: sqlite3.Connection, name: str, *, fail: bool = False) -> None:
    connection.execute("INSERT INTO plants (name) VALUES (?)", (name,))
    if fail:
        raise KeyError(name)


def _fill(connection: sqlite3.Connection) -> None:
    for number in range(2000):
        write_property(connection, f"name-{number}", "x" * 50)


def test_made_for_its_owner_only(path: Path) -> None:
    Database.open(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_durable(path: Path) -> None:
    database = Database.open(path)
    settings = database.run_blocking(
        lambda connection: [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    )
    assert settings == ["wal", 2, 1]
    database.close()


def test_the_epoch_stays_with_the_file(path: Path, tmp_path: Path) -> None:
    first = Database.open(path)
    first.close()
    second = Database.open(path)
    assert second.epoch == first.epoch
    second.run_blocking(renew_epoch)
    second.close()
    third = Database.open(path)
    other = Database.open(tmp_path / "other.sqlite3")
    assert len({first.epoch, third.epoch, other.epoch}) == 3
    third.close()
    other.close()


def test_properties(path: Path) -> None:
    database = Database.open(path)
    assert database.run_blocking(read_property, "color") is None
    database.run_blocking(write_property, "color", "red")
    database.run_blocking(write_property, "color", "blue")
    assert database.run_blocking(read_property, "color") == "blue"
    database.close()


def test_steps_are_taken_once_and_in_order(path: Path) -> None:
    Database.open(path, (Schema("plants", (PLANTS_1,)),)).close()
    for _ in range(2):
        database = Database.open(path, (Schema("plants", (PLANTS_1, PLANTS_2)),))
        assert database.run_blocking(_plants) == [("a;b", 3)]
        database.close()


def test_a_step_that_fails_leaves_nothing(path: Path) -> None:
    broken = Schema("plants", (f"{PLANTS_1} DROP TABLE nowhere;",))
    with pytest.raises(DatabaseUnusable, match="nowhere"):
        Database.open(path, (broken,))
    database = Database.open(path, (Schema("plants", (PLANTS_1,)),))
    assert database.run_blocking(_plants) == [("a;b",)]
    database.close()


def test_an_older_database_is_copied_before_it_is_changed(path: Path) -> None:
    old = (Schema("plants", (PLANTS_1,)),)
    Database.open(path, old).close()
    assert not list(path.parent.glob("*.bak")), "a new one has nothing to keep"
    for _ in range(2):
        Database.open(path, (Schema("plants", (PLANTS_1, PLANTS_2)),)).close()
    (kept,) = path.parent.glob("*.bak")
    assert kept.name == "catalog.sqlite3.v2.bak", "catalog 1 and plants 1"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    database = Database.open(kept, old)
    assert database.run_blocking(_plants) == [("a;b",)]
    database.close()


def test_a_change_that_fails_leaves_the_older_one_as_it_was(path: Path) -> None:
    old = Schema("plants", (PLANTS_1,))
    Database.open(path, (old,)).close()
    animals = Schema("animals", ("CREATE TABLE animals (name TEXT);",))
    broken = Schema("plants", (PLANTS_1, PLANTS_2, "DROP TABLE nowhere;"))
    with pytest.raises(DatabaseUnusable, match="nowhere"):
        Database.open(path, (animals, broken))
    database = Database.open(path, (old,))
    assert database.run_blocking(_plants) == [("a;b",)]
    database.close()


def test_an_older_database_that_cannot_be_copied_is_left_alone(path: Path) -> None:
    old = Schema("plants", (PLANTS_1,))
    Database.open(path, (old,)).close()
    (path.parent / "catalog.sqlite3.v2.bak").mkdir()
    with pytest.raises(DatabaseUnusable, match=r"cannot be copied to catalog\.sqlite3\.v2\.bak"):
        Database.open(path, (Schema("plants", (PLANTS_1, PLANTS_2)),))
    database = Database.open(path, (old,))
    assert database.run_blocking(_plants) == [("a;b",)]
    database.close()
    assert not list(path.parent.glob(".*.bak*"))


@pytest.mark.parametrize("known", [(), (Schema("plants", (PLANTS_1,)),)], ids=["none", "older"])
def test_a_newer_database_is_refused_and_left_alone(path: Path, known: tuple[Schema, ...]) -> None:
    schema = Schema("plants", (PLANTS_1, PLANTS_2))
    Database.open(path, (schema,)).close()
    with pytest.raises(DatabaseUnusable, match=r"newer version of Bootyard \(plants\); start that"):
        Database.open(path, known)
    database = Database.open(path, (schema,))
    assert database.run_blocking(_plants) == [("a;b", 3)]
    database.close()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(DatabaseUnusable, match=r"not usable: file is not a database; stop the"):
        Database.open(path)


def test_a_damaged_database_is_refused(path: Path) -> None:
    database = Database.open(path, (Schema("plants", (PLANTS_1,)),))
    database.run_blocking(_fill)
    database.close()
    data = bytearray(path.read_bytes())
    data[8192:20480] = b"\xff" * 12288
    path.write_bytes(data)
    with pytest.raises(DatabaseUnusable, match="not usable"):
        Database.open(path, (Schema("plants", (PLANTS_1,)),))


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(DatabaseUnusable, match="BOOTYARD_STATE_DIR"):
        Database.open(tmp_path / "state" / "catalog.sqlite3")


async def test_work_is_done_or_undone_as_a_whole(path: Path) -> None:
    database = Database.open(path, (Schema("plants", (PLANTS_1,)),))
    with pytest.raises(KeyError):
        await database.run(_add_plant, "rose", fail=True)
    await database.run(_add_plant, "lily")
    assert await database.run(_plants) == [("a;b",), ("lily",)]
    database.close()


async def test_a_caller_that_goes_away_leaves_no_half(path: Path) -> None:
    database = Database.open(path, (Schema("plants", (PLANTS_1,)),))
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        _add_plant(connection, "rose")
        begun.set()
        go_on.wait(5)

    caller = asyncio.create_task(database.run(slow))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    go_on.set()
    assert await database.run(_plants) == [("a;b",), ("rose",)]
    database.close()


def test_a_backup_of_a_database_in_use(path: Path, tmp_path: Path) -> None:
    database = Database.open(path, (Schema("plants", (PLANTS_1,)),))
    database.backup_to(tmp_path / "backup.sqlite3")
    database.close()
    backup = Database.open(tmp_path / "backup.sqlite3", (Schema("plants", (PLANTS_1,)),))
    assert backup.run_blocking(_plants) == [("a;b",)]
    assert backup.epoch == database.epoch
    backup.close()
