"""Slices of files on their way to a socket: opened safely, sent by sendfile, never quietly short.

aiohttp's own FileResponse leaves the connection open when a file was truncated under way, and the
client waits for ever; and it knows no slices.
"""

import asyncio
import hashlib
import io
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from bootyard.model.errors import BootyardError
from bootyard.model.snapshot import Fingerprint, Slice
from bootyard.runtime.files import fingerprint_of
from services.catalog.http.conditions import Extents, Validators

FIRST_CHUNK = 256 * 1024
MAX_CHUNK = 32 * 1024 * 1024
CHUNK_SECONDS = 0.5
"""Chunks grow and shrink to take this long, so that counts of bytes are never a second old."""
STALLED_SECONDS = 120.0
"""How long a client may take nothing of a chunk's bytes before it is given up."""
MIN_CHUNK = 16 * 1024

_OPENERS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="open")
"""Apart from other threads: a network share that hangs must not hold up anything else."""


class SourceGone(BootyardError):
    """A file that is not there any more, or not the one that was indexed."""


class SourceChanged(BootyardError):
    """A file that ended before its slice did, while it was sent."""


class ClientGone(BootyardError):
    """The client closed the connection, or stopped taking bytes."""


class OpenSlice:
    """An open file, checked to be the one that was indexed. Close it."""

    def __init__(self, file: io.FileIO, source: Slice, fingerprint: Fingerprint) -> None:
        self.file = file
        self.size = source.size
        self.extents = source.extents
        self.validators = Validators(
            etag=_etag(fingerprint, source.extents), modified=fingerprint.mtime_ns // 10**9
        )

    def close(self) -> None:
        """Close the file."""
        self.file.close()


async def open_slice(root: Path, source: Slice) -> OpenSlice:
    """Open the file of a slice; raises SourceGone with a line for the client."""
    return await asyncio.get_running_loop().run_in_executor(_OPENERS, _open, root, source)


def _open(root: Path, source: Slice) -> OpenSlice:
    try:
        # Not blocking: a name that became a pipe must not hold the thread.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        file = io.FileIO(os.open(root / source.path, flags))
    except OSError as error:
        raise SourceGone(f"{source.path}: {error.strerror}") from error
    try:
        found = os.fstat(file.fileno())
        fingerprint = fingerprint_of(found)
        if not stat.S_ISREG(found.st_mode) or not _lies_in(root, file):
            raise SourceGone(f"{source.path}: not a file of the library")
        if source.fingerprint not in {None, fingerprint}:
            raise SourceGone(f"{source.path}: changed since it was indexed; ask again soon")
        if any(offset + length > found.st_size for offset, length in source.extents):
            raise SourceGone(f"{source.path}: shorter than it was; ask again soon")
    except BaseException:
        file.close()
        raise
    return OpenSlice(file, source, fingerprint)


def _lies_in(root: Path, file: io.FileIO) -> bool:
    """Tell whether an open file is below a directory, whatever links led to it."""
    opened = Path(f"/proc/self/fd/{file.fileno()}").readlink()
    return opened.is_relative_to(root.resolve())


def _etag(fingerprint: Fingerprint, extents: Extents) -> str:
    text = f"{fingerprint.size}.{fingerprint.mtime_ns}.{fingerprint.inode}.{extents}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


async def send_extents(
    request: web.Request,
    response: web.StreamResponse,
    file: io.FileIO,
    extents: Extents,
    sent: Callable[[int], None],
) -> None:
    """Send extents as the body of a prepared response; `sent` is told of bytes as they leave.

    Raises SourceChanged or ClientGone; then the connection cannot be used any more.
    """
    chunk = FIRST_CHUNK
    loop = asyncio.get_running_loop()
    for offset, length in extents:
        position, end = offset, offset + length
        while position < end:
            count = min(chunk, end - position)
            before = loop.time()
            try:
                async with asyncio.timeout(STALLED_SECONDS):
                    done = await _send_chunk(request, response, file, position, count)
            except (OSError, RuntimeError, TimeoutError) as error:
                # RuntimeError: asyncio's "Transport is closing".
                raise ClientGone(str(error) or "took no bytes for too long") from error
            sent(done)
            if done != count:
                raise SourceChanged(f"ended at byte {position + done}")
            position += done
            pace = count * CHUNK_SECONDS / max(loop.time() - before, 1e-3)
            chunk = int(min(MAX_CHUNK, max(MIN_CHUNK, pace)))


async def _send_chunk(
    request: web.Request,
    response: web.StreamResponse,
    file: io.FileIO,
    offset: int,
    count: int,
) -> int:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("connection closed")
    loop = asyncio.get_running_loop()
    try:
        return await loop.sendfile(transport, file, offset, count, fallback=False)
    except asyncio.SendfileNotAvailableError:
        # No sendfile on this filesystem, or the client is gone: writing tells which.
        data = await loop.run_in_executor(_OPENERS, os.pread, file.fileno(), count, offset)
        await response.write(data)
        return len(data)


def drop_connection(request: web.Request, response: web.StreamResponse) -> None:
    """Close a connection that cannot carry another answer: the body of this one is short."""
    response.force_close()
    if request.transport is not None:
        request.transport.abort()
