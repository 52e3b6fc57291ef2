"""What the library keeps in the database: revision numbers, and what was unpacked of tarballs."""

import hashlib
import sqlite3
from collections.abc import Mapping

import msgspec

from bootyard.model.document import DocumentInvalid, decode, encode
from bootyard.model.snapshot import Root
from services.catalog.database import Schema
from services.catalog.library.image import LibraryImage
from services.catalog.library.tarball import Unpacked

SCHEMA = Schema(
    "library",
    (
        """
        CREATE TABLE image_revisions (
            image TEXT PRIMARY KEY,
            revision INTEGER NOT NULL,
            content TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE unpacked (
            path TEXT PRIMARY KEY,
            source TEXT NOT NULL,
            result TEXT NOT NULL
        ) WITHOUT ROWID;
        """,
    ),
)


class Remembered(msgspec.Struct, frozen=True):
    """What a tarball held; good as long as `source` names the same file and description."""

    source: str
    result: Unpacked


def content_of(image: LibraryImage) -> str:
    """Digest what a revision stands for: the files, and everything that is done with them."""
    files = [
        # A derived file's name is its content; when it was unpacked does not matter.
        (name, s.path, s.extents, None if s.root is Root.DERIVED else s.fingerprint)
        for name, s in sorted(image.files.items())
    ]
    boots = [
        (t.kind, t.kernel, t.initrds, t.command_line, t.loader, *t.chains) for t in image.targets
    ]
    more = [(t.injected, t.modules) for t in image.targets if t.injected or t.modules]
    single = (image.whole.path, image.whole.fingerprint) if image.whole is not None else ()
    rest = (single, sorted(image.templates.items()), more)
    content = (files, boots, image.architectures, *(rest if any(rest) else ()))
    return hashlib.sha256(encode(content)).hexdigest()


def assign_revisions(connection: sqlite3.Connection, contents: Mapping[str, str]) -> dict[str, int]:
    """Give each image id with this content its revision: the last one, or the next."""
    revisions: dict[str, int] = {}
    for image, content in contents.items():
        row = connection.execute(
            "INSERT INTO image_revisions VALUES (?, 1, ?) ON CONFLICT (image) DO UPDATE SET"
            " revision = revision + (content != excluded.content), content = excluded.content"
            " RETURNING revision",
            (image, content),
        ).fetchone()
        revisions[image] = int(row[0])
    return revisions


def remember(connection: sqlite3.Connection, path: str, remembered: Remembered) -> None:
    """Keep what was unpacked of the tarball at `path`."""
    connection.execute(
        "INSERT OR REPLACE INTO unpacked VALUES (?, ?, ?)",
        (path, remembered.source, encode(remembered.result).decode()),
    )


def recall(connection: sqlite3.Connection) -> dict[str, Remembered]:
    """Read everything that was unpacked, by path of the tarball."""
    found: dict[str, Remembered] = {}
    for path, source, result in connection.execute("SELECT path, source, result FROM unpacked"):
        try:
            found[path] = Remembered(source, decode(result, Unpacked))
        except DocumentInvalid:
            continue  # it will be unpacked again
    return found
