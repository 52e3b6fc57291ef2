"""Look again whenever something changes: told by the kernel, and by polling.

File servers (NFS, SMB) and bind mounts of some hosts send no notifications, so polling alone must
find an image within five seconds of its last write; notifications make it quicker.
"""

import asyncio
import time
from contextlib import aclosing, suppress

import watchfiles

from bootyard.runtime.log import get_logger
from services.catalog.library.library import Library

log = get_logger(__name__)

POLL_SECONDS = 1.5
POLL_WAITING_SECONDS = 0.5
"""While something is being copied."""
SHORTEST_SECONDS = 0.25
NO_NOTIFICATION_SECONDS = 10.0
HASH_SECONDS = 2.0
LOOK_SHARE = 4
"""A look that takes long (a large tree, a slow server) rests so many times as long."""


async def watch_library(library: Library, *, notifications: bool = True) -> None:
    """Keep a library up to date until cancelled."""
    wake = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_look_again(library, wake))
        tasks.create_task(_work(library, wake))
        tasks.create_task(_hash(library, wake))
        if notifications:
            tasks.create_task(_listen(library, wake))


async def _look_again(library: Library, wake: asyncio.Event) -> None:
    while True:
        started = time.monotonic()
        wake.clear()
        try:
            await library.look()
        except Exception:
            # The library stands still for a while; machines go on booting what is published.
            log.exception("looking for images failed")
        took = time.monotonic() - started
        pause = POLL_WAITING_SECONDS if library.waiting else POLL_SECONDS
        await asyncio.sleep(max(SHORTEST_SECONDS, took))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(pause - SHORTEST_SECONDS, took * LOOK_SHARE)):
                await wake.wait()


async def _work(library: Library, wake: asyncio.Event) -> None:
    while True:
        await library.work_waits.wait()
        try:
            while await library.work_next():
                wake.set()
        except Exception:
            log.exception("unpacking or indexing failed")
            await asyncio.sleep(POLL_SECONDS)


async def _hash(library: Library, wake: asyncio.Event) -> None:
    """Hash what machines boot already; slowly, and never before it can be booted."""
    await library.looked.wait()
    while True:
        try:
            if not library.work_waits.is_set() and await library.hash_next():
                wake.set()
        except Exception:
            log.exception("hashing failed")
        await asyncio.sleep(HASH_SECONDS)


async def _listen(library: Library, wake: asyncio.Event) -> None:
    """Set `wake` on notifications; a directory that is made anew is listened to anew."""
    complained = False
    while True:
        watched = await asyncio.to_thread(_identity, library)
        if watched is None:
            await asyncio.sleep(POLL_SECONDS)
            continue
        try:
            changes = watchfiles.awatch(
                library.images_dir,
                watch_filter=None,
                debounce=200,
                step=50,
                rust_timeout=2000,
                yield_on_timeout=True,
                force_polling=False,
                ignore_permission_denied=True,
            )
            async with aclosing(changes):
                async for batch in changes:
                    if batch:
                        wake.set()
                    elif await asyncio.to_thread(_identity, library) != watched:
                        break
        except (OSError, RuntimeError) as error:
            if not complained:
                log.info("no notifications of changes, polling only", error=str(error))
            complained = True
            await asyncio.sleep(NO_NOTIFICATION_SECONDS)


def _identity(library: Library) -> tuple[int, int] | None:
    try:
        status = library.images_dir.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
