"""Whether what was sent has arrived.

Megabytes fit into socket buffers: a machine that is switched off while it loads its kernel must not
look like one that has it.
"""

import array
import asyncio
import fcntl
import os
import select
import sqlite3
import sys
import termios
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bootyard.runtime.log import get_logger
from services.catalog.boots.boot import Boot
from services.catalog.http.sending import ClientGone
from services.catalog.machines import Machines

log = get_logger(__name__)

DELIVERY_SECONDS = 30.0
UNACKNOWLEDGED_TAIL = 64 * 1024
TAIL_SECONDS = 1.0
FIRST_POLL_SECONDS = 0.001
MAX_POLL_SECONDS = 0.05
SETTLED_SECONDS = 1.0
NOTE_SECONDS = 3.0


class Connection:
    """A descriptor of our own: a client that has everything may close the connection at once.

    Making it raises ClientGone.
    """

    def __init__(self, request: web.Request) -> None:
        socket = request.get_extra_info("socket")
        if socket is None or socket.fileno() < 0:
            raise ClientGone("closed the connection before the answer")
        self._descriptor = os.dup(socket.fileno())

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    async def acknowledged(self) -> float:
        """Wait until the client's TCP has all that was sent, and say how many seconds ago it had.

        Raises ClientGone. iPXE starts the kernel as soon as it holds the last byte of the last
        initrd, and never sends the ACK of the last segments: a short tail that stays
        unacknowledged was delivered.
        """
        loop = asyncio.get_running_loop()
        progress, pause = loop.time(), FIRST_POLL_SECONDS
        least = sys.maxsize
        waiting = array.array("i", [0])
        while True:
            fcntl.ioctl(self._descriptor, termios.TIOCOUTQ, waiting)
            if not waiting[0]:
                return 0.0
            if waiting[0] < least:
                least, progress = waiting[0], loop.time()
            silence = loop.time() - progress
            if least <= UNACKNOWLEDGED_TAIL and silence > TAIL_SECONDS:
                return silence
            if silence > DELIVERY_SECONDS or self._is_reset():
                raise ClientGone("did not take the last bytes")
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_POLL_SECONDS)

    def _is_reset(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, 0)  # POLLERR and POLLHUP are always told
        return bool(poll.poll(0))


class KernelsUnderWay:
    """Boots that are taking a kernel now.

    A machine knows that it has its kernel a moment before we do; a script for the same boot waits
    for that, so that no boot-once is given out twice. On disk it is noted before the first byte;
    see `boot_once`.
    """

    def __init__(self) -> None:
        self._boots: Counter[int] = Counter()

    @asynccontextmanager
    async def to(self, boot: Boot | None, machines: Machines) -> AsyncIterator[None]:
        """Send a kernel to a boot, and tell the timeline of it, inside of this."""
        if boot is None:
            yield
            return
        self._boots[boot.number] += 1
        is_once = False
        try:
            is_once = await _note_begin(boot, machines)
            yield
        finally:
            self._boots[boot.number] -= 1
            is_last = not self._boots[boot.number]
            if is_last:
                del self._boots[boot.number]
            if is_once and is_last and not boot.has_kernel:
                await _note_abort(boot, machines)

    async def settled(self, boot: Boot) -> bool:
        """Wait a moment for a kernel on its way; False when it still is."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLED_SECONDS
        while boot.number in self._boots:
            if loop.time() > deadline:
                return False
            await asyncio.sleep(MAX_POLL_SECONDS / 10)
        return True


async def _note_begin(boot: Boot, machines: Machines) -> bool:
    """Note on disk that a kernel is sent to a boot that may have a boot-once; False: it has none.

    A database that does not answer keeps no machine from its kernel: as long as we live, the boot's
    own steps say that it has it.
    """
    try:
        async with asyncio.timeout(NOTE_SECONDS):
            return await machines.begin_kernel(boot.mac, boot.id)
    except (TimeoutError, sqlite3.Error) as error:
        log.error("kernel not noted before it was sent", boot=boot.id, error=repr(error))
        return False


async def _note_abort(boot: Boot, machines: Machines) -> None:
    try:
        async with asyncio.timeout(NOTE_SECONDS):
            await machines.abort_kernel(boot.mac, boot.id)
    except (TimeoutError, sqlite3.Error) as error:
        log.error("aborted kernel not noted", boot=boot.id, error=repr(error))
