"""Reads what a transfer sends. The only place of this service that touches files.

Files are read with pread, never mapped: a user who truncates a mapped file kills the process.
"""

import os
import stat
import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from bootyard.model.errors import BootyardError
from bootyard.model.snapshot import Content, Fingerprint, Root, Slice, Text
from bootyard.runtime.files import fingerprint_of
from services.tftp.source import BlockSource

CHECK_EVERY = 1 << 20
"""Bytes between two looks at whether the file is still the same."""

LOOK_SECONDS = 0.005
"""Files that are being sent, and their names, are looked at this often."""

REST_NS = 2_000_000_000
"""Times of files are as coarse as the clock's ticks: one that was written within this may be
written again without showing it, and what was read of it is not kept for others."""

PATHS = 4096

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class SourceChanged(BootyardError):
    """A file that is no longer the one the snapshot describes."""


class TextSource:
    """Bytes made for one request."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        """Read."""
        return self._data[offset : offset + size]

    def close(self) -> None:
        """Nothing to let go of."""


class _SharedFile:
    """One descriptor for all transfers of a file: a thousand machines ask for the same loader."""

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        self.descriptor = descriptor
        self.fingerprint = fingerprint_of(status)
        self.device = status.st_dev
        self.users = 0
        self.has_changed = False

    def is_unchanged(self) -> bool:
        """Look at the file; once it has changed, nothing makes it what it was.

        One without a name was replaced by another file, or deleted.
        """
        if not self.has_changed:
            status = os.fstat(self.descriptor)
            self.has_changed = fingerprint_of(status) != self.fingerprint or not status.st_nlink
        return not self.has_changed


class _Named(NamedTuple):
    """Which open file a name led to, and until when that is taken for granted."""

    file: _SharedFile
    until: float


class SliceSource:
    """Extents of a file, one after the other. Short reads tell that the file has changed."""

    def __init__(
        self,
        file: _SharedFile,
        extents: tuple[tuple[int, int], ...],
        release: Callable[[_SharedFile], None],
    ) -> None:
        self._file = file
        self._extents = extents
        self._release = release
        self._ends = tuple(accumulate(length for _, length in extents))
        self._unchecked = 0
        self._is_open = True
        self.size = self._ends[-1] if self._ends else 0
        self.identity = (file.device, _identity(file.fingerprint), extents)
        """What is read through it: equal for all transfers of the same content."""

    @property
    def has_changed(self) -> bool:
        """Whether the file was seen to be another one than at the start."""
        return self._file.has_changed

    @property
    def is_at_rest(self) -> bool:
        """Whether the file was last written long enough ago for its next change to show."""
        return time.time_ns() - self._file.fingerprint.mtime_ns > REST_NS

    def read_into(self, offset: int, pieces: list[memoryview]) -> bool:
        """Fill pieces of memory from `offset` on; False: the file has changed."""
        wanted = sum(map(len, pieces))
        if wanted:
            position, left = self._locate(offset)
            if wanted <= left:
                count = os.preadv(self._file.descriptor, pieces, position)
            else:
                count = _spread(self._read(offset, wanted), pieces)
            if count < wanted:
                self._file.has_changed = True
        return self._file.is_unchanged()

    def read_at(self, offset: int, size: int) -> bytes:
        """Read."""
        wanted = max(0, min(size, self.size - offset))
        data = self._read(offset, wanted)
        self._unchecked += len(data)
        is_due = self._unchecked >= CHECK_EVERY or offset + wanted >= self.size
        if is_due or len(data) < wanted:
            self._unchecked = 0
            if not self._file.is_unchanged():
                return b""
        return data

    def _read(self, offset: int, wanted: int) -> bytes:
        pieces: list[bytes] = []
        while wanted > 0:
            position, left = self._locate(offset)
            count = min(wanted, left)
            piece = os.pread(self._file.descriptor, count, position)
            pieces.append(piece)
            if len(piece) < count:
                break
            offset += count
            wanted -= count
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _locate(self, offset: int) -> tuple[int, int]:
        """Find where in the file a byte of the content is, and how many follow it there."""
        index = bisect_right(self._ends, offset)
        start, length = self._extents[index]
        left = self._ends[index] - offset
        return start + length - left, left

    def close(self) -> None:
        """Let go of the file."""
        if self._is_open:
            self._is_open = False
            self._release(self._file)


class ContentStore:
    """Opens content. `root_directory` says where each root is on this host."""

    def __init__(self, root_directory: Callable[[Root], Path]) -> None:
        self._root_directory = root_directory
        self.next_look = 0.0
        """When open files are to be looked at again (time.monotonic)."""
        self._files: dict[tuple[int, int, int, int], _SharedFile] = {}
        self._paths: dict[tuple[Root, str], str] = {}
        self._named: dict[str, _Named] = {}

    def open(self, content: Content) -> BlockSource:
        """Open content for one transfer; raises OSError, or SourceChanged."""
        if isinstance(content, Text):
            return TextSource(content.data)
        file = self._open_file(content)
        try:
            extents = _extents(content, file.fingerprint)
        except BaseException:
            self._release(file)
            raise
        return SliceSource(file, extents, self._release)

    def look(self) -> bool:
        """Look at every open file; tell whether one has changed.

        Blocks are sent from memory, so this is what ends the transfers of a file that is written.
        It takes a twentieth of the time at most, however many files are open.
        """
        started = time.monotonic()
        unchanged = [file.is_unchanged() for file in self._files.values()]
        ended = time.monotonic()
        self.next_look = ended + max(LOOK_SECONDS, 20 * (ended - started))
        return not all(unchanged)

    def has(self, content: Slice) -> bool:
        """Tell whether a slice's file is on this disk."""
        return (self._root_directory(content.root) / content.path).is_file()

    def _open_file(self, content: Slice) -> _SharedFile:
        path = self._path_of(content)
        file = self._find_open(path)
        if file is not None:
            file.users += 1
            return file
        root = self._root_directory(content.root)
        descriptor = os.open(path, _OPEN)
        try:
            status = os.fstat(descriptor)
            _check_is_inside(descriptor, root)
            if not stat.S_ISREG(status.st_mode):
                raise PermissionError(f"{content.path} is not a regular file")
        except BaseException:
            os.close(descriptor)
            raise
        key = _key(status)
        file = self._files.get(key)
        if file is None or file.has_changed:
            file = self._files[key] = _SharedFile(descriptor, status)
        else:
            os.close(descriptor)
        file.users += 1
        return file

    def _find_open(self, path: str) -> _SharedFile | None:
        """Find a file that is being sent already: a look at its name is enough, now and then."""
        now = time.monotonic()
        named = self._named.get(path)
        if named is None or now >= named.until or not named.file.users:
            file = self._files.get(_key(os.stat(path)))  # noqa: PTH116 - faster without an object
            if file is None:
                return None
            if len(self._named) >= PATHS:
                self._named.clear()
            named = self._named[path] = _Named(file, now + LOOK_SECONDS)
        return None if named.file.has_changed else named.file

    def _path_of(self, content: Slice) -> str:
        name = (content.root, content.path)
        path = self._paths.get(name)
        if path is None:
            if len(self._paths) >= PATHS:
                self._paths.clear()
            path = self._paths[name] = str(self._root_directory(content.root) / content.path)
        return path

    def _release(self, file: _SharedFile) -> None:
        file.users -= 1
        if file.users == 0:
            self._files = {key: f for key, f in self._files.items() if f is not file}
            os.close(file.descriptor)


def _check_is_inside(descriptor: int, root: Path) -> None:
    """Refuse a file outside its root, wherever links in its path lead.

    What is checked is the file that was opened, not a name that may mean another one by now.
    """
    real = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - no path object yet
    if not real.is_relative_to(os.path.realpath(root)):
        raise PermissionError(f"{real} is outside {root}: a link leads there")


def _spread(content: bytes, pieces: list[memoryview]) -> int:
    """Copy content into pieces of memory; returns how many bytes there were."""
    offset = 0
    for piece in pieces:
        part = content[offset : offset + len(piece)]
        piece[: len(part)] = part
        offset += len(part)
    return offset


def _extents(content: Slice, found: Fingerprint) -> tuple[tuple[int, int], ...]:
    if content.fingerprint is None:
        # A loader: the catalog indexed a copy of its own, this one may be another release.
        return ((0, found.size),)
    if content.fingerprint != found:
        raise SourceChanged(f"{content.path} has changed since it was indexed")
    if any(offset < 0 or offset + length > found.size for offset, length in content.extents):
        raise SourceChanged(f"{content.path} is shorter than what was found in it")
    return content.extents


def _key(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_size, status.st_mtime_ns, status.st_ino


def _identity(fingerprint: Fingerprint) -> tuple[int, int, int]:
    return fingerprint.size, fingerprint.mtime_ns, fingerprint.inode
