"""The sha256 of images that are one file: worked out in the background, remembered by fingerprint.

Nothing waits for it: it is for people who compare it with what the distribution says.
"""

import asyncio
import hashlib
import os
import sqlite3
import time
from pathlib import Path

from bootyard.model.document import decode, encode
from bootyard.model.snapshot import Fingerprint
from bootyard.runtime.files import fingerprint_of
from bootyard.runtime.log import get_logger
from services.catalog.database import Database, Schema

log = get_logger(__name__)

SCHEMA = Schema(
    "hashes",
    (
        """
        CREATE TABLE file_hashes (
            path TEXT PRIMARY KEY,
            fingerprint TEXT NOT NULL,
            sha256 TEXT NOT NULL
        ) WITHOUT ROWID;
        """,
    ),
)

CHUNK = 1024 * 1024
REST = 1.0
"""So many times as long as reading a piece takes, the disk is left to machines that boot."""


class Hashes:
    """What is known of files in IMAGES_DIR, by path and fingerprint."""

    def __init__(self, images_dir: Path, database: Database) -> None:
        self._images_dir = images_dir
        self._database = database
        self._known: dict[str, tuple[Fingerprint, str]] = {}

    async def load(self) -> None:
        """Remember what was worked out before."""
        self._known = await self._database.run(_recall)

    def of(self, path: str, fingerprint: Fingerprint) -> str | None:
        """Give the sha256 of a file as it is now; None while it is not known."""
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == fingerprint else None

    async def work_out(self, path: str, fingerprint: Fingerprint) -> bool:
        """Read a file to its end; False when it is another by then, or cannot be read."""
        digest = await asyncio.to_thread(_digest, self._images_dir / path, fingerprint)
        if digest is None:
            return False
        self._known[path] = (fingerprint, digest)
        await self._database.run(_remember, path, fingerprint, digest)
        return True


def _digest(path: Path, fingerprint: Fingerprint) -> str | None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while True:
                began = time.monotonic()
                chunk = file.read(CHUNK)
                if not chunk:
                    break
                digest.update(chunk)
                if fingerprint_of(os.fstat(file.fileno())) != fingerprint:
                    return None
                time.sleep((time.monotonic() - began) * REST)
    except OSError as error:
        log.info("image not hashed", path=path.name, error=str(error))
        return None
    return digest.hexdigest()


def _remember(
    connection: sqlite3.Connection, path: str, fingerprint: Fingerprint, digest: str
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO file_hashes VALUES (?, ?, ?)",
        (path, encode(fingerprint).decode(), digest),
    )


def _recall(connection: sqlite3.Connection) -> dict[str, tuple[Fingerprint, str]]:
    rows = connection.execute("SELECT path, fingerprint, sha256 FROM file_hashes")
    return {
        path: (decode(fingerprint.encode(), Fingerprint), digest)
        for path, fingerprint, digest in rows
    }
