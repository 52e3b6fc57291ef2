"""What an initial RAM disk can do, by the names of the files in it. Pure.

An initrd is one or more archives behind each other (Linux, Documentation/driver-api/
early-userspace/buffer-format.rst): cpio with magic 070701 or 070702, plain or compressed, zeros
between them. These are anybody's files: what is read, unpacked and looked at is limited, and
nothing is kept.
"""

import lzma
import zlib
from collections.abc import Iterator
from typing import Protocol

import msgspec

from services.catalog.library.recipes.material import ImageTree

MAX_IN = 96 * 1024 * 1024
"""Compressed bytes that are read."""
MAX_OUT = 256 * 1024 * 1024
"""Bytes that are unpacked; the names of most initrds are through long before."""
MAX_MEMBERS = 60_000
MAX_ARCHIVES = 16
MAX_NAME = 4096
CHUNK = 256 * 1024
_LZMA_MEMORY = 128 * 1024 * 1024

_HEADER = 110
_MAGICS = (b"070701", b"070702")
_UNREADABLE = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4", b"BZh": "bzip2"}

_MARKS = (
    ("casper", ("scripts/casper", "usr/share/initramfs-tools/scripts/casper")),
    ("live-boot", ("scripts/live", "usr/lib/live/boot", "lib/live/boot")),
    ("archiso", ("hooks/archiso",)),
    ("archiso-http", ("hooks/archiso_pxe_http",)),
    ("miso", ("hooks/miso",)),
    ("miso-http", ("hooks/miso_pxe_http",)),
    ("dracut", ("usr/lib/dracut/hooks", "lib/dracut/hooks", "var/lib/dracut/hooks")),
    ("livenet", ("usr/sbin/livenetroot", "sbin/livenetroot", "usr/bin/livenetroot")),
    ("anaconda", ("usr/lib/anaconda-lib.sh", "lib/anaconda-lib.sh", "usr/sbin/anaconda-netroot")),
    ("debian-installer", ("usr/lib/debian-installer", "lib/debian-installer")),
    ("net-retriever", ("usr/lib/debian-installer/retriever/net-retriever",)),
    ("cdrom-retriever", ("usr/lib/debian-installer/retriever/cdrom-retriever",)),
    ("linuxrc", ("linuxrc.config", "usr/sbin/linuxrc", "sbin/linuxrc")),
)
"""What a file of that name, or below it, says of an initrd."""
MARKS = frozenset(mark for mark, _ in _MARKS)


class Sniffed(msgspec.Struct, frozen=True):
    """What was found in an initrd."""

    marks: frozenset[str]
    """Of `_MARKS`."""
    is_whole: bool
    """Whether every name was seen, so that a missing mark means something."""
    reason: str = ""
    """Why not, for people."""


class _Unpacker(Protocol):
    @property
    def unused_data(self) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


class _Unread(Exception):
    """The rest of an initrd is not looked at; its text says why."""


class _Source:
    """Reads one file in order, with a limit."""

    def __init__(self, tree: ImageTree, path: str) -> None:
        self._tree = tree
        self._path = path
        self._offset = 0
        self._read = 0
        self._size = tree.size_of(path)

    def take(self, length: int) -> bytes:
        """Give the next bytes; fewer at the end."""
        if self._read + length > MAX_IN:
            raise _Unread("it is too large to be looked through")
        data = self._tree.read(self._path, self._offset, min(length, self._size - self._offset))
        self._offset += len(data)
        self._read += len(data)
        return data

    def skip(self, length: int) -> None:
        """Go on without reading; backwards with a negative length."""
        self._offset = min(self._offset + length, self._size)


class _Compressed:
    """The same for the bytes of a compressed archive."""

    def __init__(self, source: _Source, unpacker: _Unpacker) -> None:
        self._source = source
        self._unpacker = unpacker
        self._ready = b""
        self._pending = b""
        self._made = 0
        self.is_at_end = False

    def take(self, length: int) -> bytes:
        """Give the next bytes; fewer at the end."""
        parts, missing = [], length
        while missing > 0:
            if not self._ready and not self._fill():
                break
            parts.append(self._ready[:missing])
            self._ready = self._ready[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def skip(self, length: int) -> None:
        """Unpack and forget."""
        while length > 0:
            piece = self.take(min(length, CHUNK))
            if not piece:
                return
            length -= len(piece)

    def end(self) -> None:
        """Put the source behind this archive."""
        while self._fill():
            self._ready = b""
        self._source.skip(-len(self._unpacker.unused_data))

    def _fill(self) -> bool:
        """Unpack the next piece; False at the end."""
        while not self._unpacker.eof:
            data = self._pending
            if not data and getattr(self._unpacker, "needs_input", True):
                data = self._source.take(CHUNK)
                if not data:
                    return False
            try:
                self._ready = self._unpacker.decompress(data, CHUNK)
            except (zlib.error, lzma.LZMAError, MemoryError) as error:
                raise _Unread("it is damaged, or packed in a way that is not known") from error
            self._pending = getattr(self._unpacker, "unconsumed_tail", b"")
            self._made += len(self._ready)
            if self._made > MAX_OUT:
                raise _Unread("it is too large to be looked through")
            if self._ready:
                return True
        return False


def sniff(tree: ImageTree, path: str) -> Sniffed:
    """Look through an initrd. Raises OSError when the image cannot be read."""
    source = _Source(tree, path)
    marks: set[str] = set()
    is_empty = True
    try:
        for name in _names(source):
            is_empty = False
            marks.update(mark for mark, files in _MARKS if name.startswith(files))
    except _Unread as unread:
        return Sniffed(frozenset(marks), is_whole=False, reason=str(unread))
    if is_empty:
        return Sniffed(frozenset(), is_whole=False, reason="there is nothing in it")
    return Sniffed(frozenset(marks), is_whole=True)


def _names(source: _Source) -> Iterator[str]:
    """Give the names in all archives of an initrd. Raises _Unread."""
    for _ in range(MAX_ARCHIVES):
        start = _after_zeros(source)
        if not start:
            return
        source.skip(-len(start))
        if start.startswith(_MAGICS):
            yield from _members(source)
            continue
        compressed = _Compressed(source, _unpacker(start))
        yield from _members(compressed)
        compressed.end()
    raise _Unread("it has too many parts")


def _unpacker(start: bytes) -> _Unpacker:
    if start.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(wbits=31)
    if start.startswith((b"\xfd7zXZ", b"\x5d\0\0")):
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    how = next((name for magic, name in _UNREADABLE.items() if start.startswith(magic)), "")
    raise _Unread(f"it is packed with {how}" if how else "it is packed in a way that is not known")


def _after_zeros(source: _Source) -> bytes:
    """Skip padding, and give the next few bytes; empty at the end."""
    while chunk := source.take(4096):
        rest = chunk.lstrip(b"\0")
        if rest:
            source.skip(-len(rest))
            return source.take(16)
    return b""


def _members(source: _Source | _Compressed) -> Iterator[str]:
    """Give the names of one cpio archive, up to its trailer."""
    for _ in range(MAX_MEMBERS):
        header = source.take(_HEADER)
        if not header:
            return
        if not header.startswith(_MAGICS) or len(header) < _HEADER:
            raise _Unread("it is damaged, or no archive")
        try:
            size, length = int(header[54:62], 16), int(header[94:102], 16)
        except ValueError as error:
            raise _Unread("it is damaged, or no archive") from error
        if length > MAX_NAME:
            raise _Unread("it is damaged, or no archive")
        name = source.take(length + -(_HEADER + length) % 4).split(b"\0")[0]
        if name == b"TRAILER!!!":
            return
        source.skip(size + -size % 4)
        yield name.decode("utf-8", "replace").removeprefix("./").lstrip("/")
    raise _Unread("it has too many files")
