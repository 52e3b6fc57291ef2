"""Files that are complete or not there at all, and whether one is still the same."""

import os
import tempfile
from pathlib import Path

from bootyard.model.snapshot import Fingerprint


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data`: temporary file, fsync, rename, fsync of the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    """Take what tells that a file is still the one that was indexed."""
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino)
