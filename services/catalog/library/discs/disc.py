"""A disc that was indexed: its files by path, and their bytes. Everything here blocks, shortly.

Paths that are given back are always those of files as they are spelled on the disc. Asked for they
may differ in case, or lead over links: `find` tells the one from the other.
"""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bootyard.model.snapshot import Fingerprint, Root, Slice
from bootyard.runtime.files import fingerprint_of
from services.catalog.library.discs.index import BootImage, Extents, TreeKind
from services.catalog.library.recipes.material import Container

_LAST = "\U0010ffff"
_EXTENTS = msgspec.msgpack.Decoder(Extents)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What an index says of the disc as a whole."""

    fingerprint: Fingerprint
    volume_id: str
    system_id: str
    publisher: str
    application: str
    tree: TreeKind
    has_links: bool
    boot: tuple[BootImage, ...]
    notes: tuple[str, ...]


class Disc:
    """One stored index (see `store`). Any thread may use it."""

    def __init__(self, database: sqlite3.Connection, header: Header) -> None:
        self.header = header
        self._database = database

    def close(self) -> None:
        """Give the open file back."""
        self._database.close()

    def paths(self) -> Iterator[str]:
        """Give the path of every file; sorted by folded case. Raises OSError."""
        return (path for (path,) in self._rows("SELECT path FROM files"))

    def find(self, path: str) -> str | None:
        """Find the file that a path leads to: exactly so, else by folded case, else over links."""
        found = self._row(path)
        return None if found is None else found[0]

    def extents(self, path: str) -> Extents:
        """Tell where the bytes of a file lie; none for an empty one. Raises KeyError."""
        found = self._row(path)
        if found is None:
            raise KeyError(path)
        return _EXTENTS.decode(found[1])

    def size_of(self, path: str) -> int:
        """Tell the length of a file in bytes. Raises KeyError."""
        return sum(length for _, length in self.extents(path))

    def glob(self, pattern: str) -> list[str]:
        """List files whose paths match by folded case: `*` and `?` within one part; sorted.

        What stands before the first wildcard may lead over links, and so may what matches.
        """
        folder, slash, last = re.split(r"[*?]", pattern, maxsplit=1)[0].rpartition("/")
        rest = pattern[len(folder + slash) :]
        real = self._follow(folder)
        folded = f"{real}/{rest}".casefold() if real else rest.casefold()
        wanted = re.compile(_as_expression(folded))
        prefix = folded[: len(folded) - len(rest.casefold()) + len(last.casefold())]
        found = {
            path
            for folded_path, path in self._beginning("files", prefix)
            if wanted.fullmatch(folded_path)
        }
        if self.header.has_links:
            for folded_path, path in self._beginning("links", prefix):
                target = self.find(path) if wanted.fullmatch(folded_path) else None
                if target is not None:
                    found.add(target)
        return sorted(found)

    def _row(self, path: str) -> tuple[str, bytes] | None:
        found = self._best("files", path)
        if not self.header.has_links or (found is not None and found[0] == path):
            return found
        link = self._best("links", path)
        if found is not None and (link is None or link[0] != path):
            return found
        return self._best("files", self._follow(path))

    def _follow(self, path: str) -> str:
        """Replace every link on the way by what it leads to."""
        parts = path.split("/")
        if not self.header.has_links or "" in parts:
            return path
        way = ""
        for part in parts:
            way = f"{way}/{part}" if way else part
            link = self._best("links", way)
            way = way if link is None else link[1].decode()
        return way

    def _best(self, table: str, path: str) -> tuple[str, bytes] | None:
        """Find the entry of a path, the one that is spelled so before others."""
        if not _is_text(path):
            return None
        rows = self._rows(
            f"SELECT path, what FROM {table} WHERE folded = ?"  # noqa: S608
            " ORDER BY path = ? DESC, path LIMIT 1",
            path.casefold(),
            path,
        )
        return next(rows, None)

    def _beginning(self, table: str, prefix: str) -> Iterator[tuple[str, str]]:
        if not _is_text(prefix):
            return iter(())
        return self._rows(
            f"SELECT folded, path FROM {table} WHERE folded >= ? AND folded < ?",  # noqa: S608
            prefix,
            prefix + _LAST,
        )

    def _rows(self, question: str, *values: str) -> Iterator[Any]:
        try:
            yield from self._database.execute(question, values)
        except sqlite3.Error as error:
            raise OSError(errno.EIO, f"the index of a disc cannot be read: {error}") from error


class DiscTree:
    """A disc at `place` in IMAGES_DIR, as recipes see it (`material.ImageTree`)."""

    container: Container = "disc"
    is_complete = True

    def __init__(self, images_dir: Path, place: str, disc: Disc) -> None:
        self.disc = disc
        self.name = Path(place).stem
        self.size = disc.header.fingerprint.size
        self.volume_id = disc.header.volume_id
        self.system_id = disc.header.system_id
        self.paths = disc.paths
        self.find = disc.find
        self.glob = disc.glob
        self.size_of = disc.size_of
        self._path = images_dir / place
        self._place = place

    def read(self, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """Read a piece of a file; less where it ends.

        Raises KeyError, and OSError also when the disc is not the one any more that was indexed.
        """
        pieces = _cut(self.disc.extents(path), offset, length)
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = b"".join(os.pread(descriptor, count, start) for start, count in pieces)
            if fingerprint_of(os.fstat(descriptor)) != self.disc.header.fingerprint:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(self._path))
        finally:
            os.close(descriptor)
        return data

    def slice_of(self, path: str) -> Slice:
        """Give a file as it is served. Raises KeyError."""
        return Slice(
            root=Root.IMAGES,
            path=self._place,
            extents=self.disc.extents(path),
            fingerprint=self.disc.header.fingerprint,
        )


def _cut(extents: Extents, offset: int, length: int) -> Iterator[tuple[int, int]]:
    """Give where `length` bytes from `offset` on lie; less where they end."""
    for start, size in extents:
        if offset < size and length > 0:
            count = min(length, size - offset)
            yield start + offset, count
            length -= count
        offset = max(0, offset - size)


def _as_expression(pattern: str) -> str:
    return "".join(
        "[^/]*" if c == "*" else "[^/]" if c == "?" else re.escape(c)
        for c in re.sub(r"\*+", "*", pattern)
    )


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # a request's bytes that are not UTF-8
        return False
    return True
