"""Indices of discs, kept on disk: written once, read by look-up.

Each is a SQLite file: one path is found by an index on its folded case without reading the rest,
and the file is as large as the names on the disc. Nobody writes into one after it was renamed into
place; what cannot be read, of another version or after a fault of the disk, is made again.
"""

import hashlib
import sqlite3
from collections.abc import Collection
from pathlib import Path

import msgspec

from bootyard.model.snapshot import Fingerprint
from bootyard.runtime.files import write_atomically
from services.catalog.library.discs.disc import Disc, Header
from services.catalog.library.discs.index import DiscIndex
from services.catalog.library.unused import UnusedFiles

FORMAT = 1
"""Raised with every change of what is stored, or of how discs are read."""

_SCHEMA = """
CREATE TABLE header (header BLOB NOT NULL);
CREATE TABLE files (folded TEXT NOT NULL, path TEXT NOT NULL, what BLOB NOT NULL,
    PRIMARY KEY (folded, path)) WITHOUT ROWID;
CREATE TABLE links (folded TEXT NOT NULL, path TEXT NOT NULL, what BLOB NOT NULL,
    PRIMARY KEY (folded, path)) WITHOUT ROWID;
"""


def key_of(path: Path, fingerprint: Fingerprint) -> str:
    """Name the index of a disc: another one for every state that it was in."""
    facts = (FORMAT, str(path), fingerprint)
    return hashlib.sha256(msgspec.msgpack.encode(facts)).hexdigest()


class DiscStore:
    """The directory of indices. Every method blocks; call them off the event loop."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._unused = UnusedFiles(directory)

    def prepare(self) -> None:
        """Make the directory, and clear what an earlier life left half-written."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in self.directory.glob(".*"):
            path.unlink(missing_ok=True)

    def add(self, key: str, index: DiscIndex, fingerprint: Fingerprint) -> None:
        """Store an index. Raises OSError, and leaves nothing behind then."""
        write_atomically(self.directory / key, _packed(index, fingerprint))

    def open(self, key: str) -> Disc | None:
        """Open an index; None when it is not there, or not whole."""
        path = self.directory / key
        if not path.is_file():
            return None
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        try:
            (header,) = database.execute("SELECT header FROM header").fetchone()
            return Disc(database, msgspec.msgpack.decode(header, type=Header))
        except (sqlite3.Error, TypeError, msgspec.DecodeError):
            database.close()
            return None

    def sweep(self, used: Collection[str], now: float) -> tuple[str, ...]:
        """Remove indices that were in no use for ten minutes; `now` is a monotonic time."""
        return self._unused.sweep(used, now)


def _packed(index: DiscIndex, fingerprint: Fingerprint) -> bytes:
    header = Header(
        fingerprint=fingerprint,
        volume_id=index.volume_id,
        system_id=index.system_id,
        publisher=index.publisher,
        application=index.application,
        tree=index.tree,
        has_links=bool(index.links),
        boot=index.boot,
        notes=index.notes,
    )
    encode = msgspec.msgpack.encode
    database = sqlite3.connect(":memory:", isolation_level=None)
    try:
        database.executescript(_SCHEMA)
        database.execute("BEGIN")
        database.execute("INSERT INTO header VALUES (?)", (encode(header),))
        folded = sorted((path.casefold(), path) for path in index.files)
        database.executemany(
            "INSERT INTO files VALUES (?, ?, ?)",
            ((fold, path, encode(index.files[path])) for fold, path in folded),
        )
        database.executemany(
            "INSERT INTO links VALUES (?, ?, ?)",
            ((path.casefold(), path, target.encode()) for path, target in index.links.items()),
        )
        database.execute("COMMIT")
        return database.serialize()
    finally:
        database.close()
