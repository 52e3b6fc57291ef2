"""What cannot be served from inside a user's file: kept by sha256, immutable.

Written by the catalog only: temporary file, fsync, rename. Other services open these files by the
names in a snapshot, so one that is in no snapshot any more stays for ten minutes.
"""

import hashlib
import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

import msgspec

from bootyard.model.snapshot import Root, Slice
from bootyard.runtime.files import fingerprint_of
from services.catalog.library.unused import UnusedFiles

CHUNK = 256 * 1024
_TEMPORARY = ".tmp-"


class Stored(msgspec.Struct, frozen=True):
    """A file in the store."""

    sha256: str
    size: int


class DerivedStore:
    """The directory of derived files. Every method blocks; call them off the event loop."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._unused = UnusedFiles(directory)

    def prepare(self) -> None:
        """Make the directory, and clear what an earlier life left half-written."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in self.directory.glob(f"{_TEMPORARY}*"):
            path.unlink(missing_ok=True)

    def add(self, stream: IO[bytes]) -> Stored:
        """Store all that `stream` gives. Raises OSError, and leaves nothing behind then."""
        self.directory.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self.directory, prefix=_TEMPORARY)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                digest, size = hashlib.sha256(), 0
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
                    size += file.write(chunk)
                os.fchmod(file.fileno(), 0o444)
                file.flush()
                os.fsync(file.fileno())
            stored = Stored(digest.hexdigest(), size)
            if self.slice(stored) is None:
                temporary.replace(self.directory / stored.sha256)
                self._sync()
        finally:
            temporary.unlink(missing_ok=True)
        return stored

    def slice(self, stored: Stored) -> Slice | None:
        """Give a stored file as it is served; None when it is not there whole."""
        try:
            status = (self.directory / stored.sha256).stat()
        except OSError:
            return None
        if status.st_size != stored.size:
            return None
        return Slice(
            root=Root.DERIVED,
            path=stored.sha256,
            extents=((0, stored.size),),
            fingerprint=fingerprint_of(status),
        )

    def read(self, stored: Stored, offset: int, length: int) -> bytes:
        """Read a piece of a stored file; less where it ends."""
        with (self.directory / stored.sha256).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def sweep(self, used: Collection[str], now: float) -> tuple[str, ...]:
        """Remove files that were in no use for ten minutes; `now` is a monotonic time."""
        return self._unused.sweep(used, now)

    def _sync(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
