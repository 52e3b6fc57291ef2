"""The catalog's truth: one SQLite file, used from one thread.

Every piece of work is a function that takes the connection and runs as one transaction. A subject
(machines, image revisions, boots, …) brings its tables as a `Schema` of its own; what makes up the
service hands all of them to `Database.open`.
"""

import asyncio
import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

import msgspec

from bootyard.model.errors import BootyardError

P = ParamSpec("P")
T = TypeVar("T")

BUSY_SECONDS = 10.0


class DatabaseUnusable(BootyardError):
    """A database that cannot be opened or was made by a newer version; says what to do."""


class Schema(msgspec.Struct, frozen=True):
    """The tables of one subject. Step n brings them from version n to n + 1; steps only grow."""

    subject: str
    steps: tuple[str, ...]
    """Each a script of SQL statements."""


CORE = Schema(
    "catalog",
    ("CREATE TABLE properties (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",),
)


class Database:
    """One connection, one thread, one transaction at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection, epoch: str) -> None:
        self.path = path
        self.epoch = epoch
        """Made with the file: tells this history of snapshots from every other."""
        self._connection = connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")

    @classmethod
    def open(cls, path: Path, schemas: Sequence[Schema] = ()) -> Self:
        """Open the file at `path`, making it and bringing its tables up to date.

        One that is older is copied before that, as `<name>.v<version>.bak` beside it. Raises
        DatabaseUnusable for a file that is damaged, not writable, or newer than this code.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise DatabaseUnusable(
                f"{path} cannot be opened: {error};"
                " the catalog must be able to write in BOOTYARD_STATE_DIR"
            ) from error
        try:
            _prepare(connection)
            _migrate(connection, path, (CORE, *schemas))
            return cls(path, connection, _transaction(connection, _epoch))
        except sqlite3.Error as error:
            connection.close()
            raise DatabaseUnusable(
                f"{path} is not usable: {error};"
                " stop the catalog and put a backup in its place, or move it away to start anew"
            ) from error
        except BootyardError:
            connection.close()
            raise

    async def run(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `work` as one transaction, off the event loop; what it raises undoes it.

        A caller that is cancelled does not stop it: it is done or undone as a whole.
        """
        future = self._thread.submit(
            _transaction, self._connection, lambda connection: work(connection, *args, **kwargs)
        )
        return await asyncio.wrap_future(future)

    def run_blocking(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `work` as one transaction and wait for it: for start-up and tests."""
        return self._thread.submit(
            _transaction, self._connection, lambda connection: work(connection, *args, **kwargs)
        ).result()

    def backup_to(self, path: Path) -> None:
        """Write a consistent copy while the database is in use. Blocks."""
        self._thread.submit(_backup, self._connection, path).result()

    def close(self) -> None:
        """Wait for work under way and close the file."""
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()


def read_property(connection: sqlite3.Connection, name: str) -> str | None:
    """Read a named value."""
    row = connection.execute("SELECT value FROM properties WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def write_property(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Set a named value."""
    connection.execute(
        "INSERT INTO properties VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def renew_epoch(connection: sqlite3.Connection) -> str:
    """Begin a new history of snapshots; `Database.epoch` has it after the next opening.

    A restored backup needs this: its numbers were given to other content meanwhile.
    """
    epoch = secrets.token_hex(4)
    write_property(connection, "epoch", epoch)
    return epoch


def _transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    # IMMEDIATE: what is read and what is then written belong together, also against a second
    # process that has the file open.
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _migrate(connection: sqlite3.Connection, path: Path, schemas: Sequence[Schema]) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schemas"
        " (subject TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"
    )
    versions: dict[str, int] = dict(connection.execute("SELECT subject, version FROM schemas"))
    known = {schema.subject: len(schema.steps) for schema in schemas}
    newer = [subject for subject, version in versions.items() if version > known.get(subject, 0)]
    if newer:
        raise DatabaseUnusable(
            f"{path} was written by a newer version of Bootyard ({', '.join(sorted(newer))});"
            " start that version, or put back a backup made by this one"
        )
    steps = [
        (schema, version)
        for schema in schemas
        for version in range(versions.get(schema.subject, 0), len(schema.steps))
    ]
    if steps and versions:
        _keep_old(connection, path, sum(versions.values()))
    if steps:
        _transaction(connection, partial(_apply_all, steps=steps))


def _keep_old(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Copy a database before it is changed, for who goes back to the version that it is from."""
    kept = path.with_name(f"{path.name}.v{version}.bak")
    made = path.with_name(f".{kept.name}.{os.getpid()}")
    try:
        os.close(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        _backup(connection, made)
        made.replace(kept)
    except (OSError, sqlite3.Error) as error:
        made.unlink(missing_ok=True)
        raise DatabaseUnusable(
            f"{path} is from an older version of Bootyard and cannot be copied to {kept.name}"
            f" before it is changed: {error}; make room in BOOTYARD_STATE_DIR"
        ) from error


def _apply_all(connection: sqlite3.Connection, steps: Sequence[tuple[Schema, int]]) -> None:
    """Take every step or none: between two versions no Bootyard could open the database."""
    for schema, version in steps:
        _apply(connection, schema, version)


def _apply(connection: sqlite3.Connection, schema: Schema, version: int) -> None:
    for statement in _statements(schema.steps[version]):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO schemas VALUES (?, ?)"
        " ON CONFLICT (subject) DO UPDATE SET version = excluded.version",
        (schema.subject, version + 1),
    )


def _statements(script: str) -> list[str]:
    """Split a script: `executescript` would end the transaction it runs in."""
    statements, rest = [], ""
    for piece in script.split(";"):
        rest += piece
        if sqlite3.complete_statement(rest + ";"):
            statements.append(rest)
            rest = ""
        else:
            rest += ";"
    return [statement for statement in statements if statement.strip()]


def _epoch(connection: sqlite3.Connection) -> str:
    return read_property(connection, "epoch") or renew_epoch(connection)


def _backup(connection: sqlite3.Connection, path: Path) -> None:
    target = sqlite3.connect(path)
    try:
        connection.backup(target)
    finally:
        target.close()
