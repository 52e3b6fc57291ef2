"""Uses up a boot-once as soon as its kernel was taken."""

import asyncio
import sqlite3
from collections import deque

from bootyard.runtime.log import get_logger
from services.catalog.boots.boot import Boot
from services.catalog.machines import Machines

log = get_logger(__name__)

RETRY_SECONDS = 2.0


class BootOnceBurner:
    """Until the database has it, the boot's own steps keep the target from being given again."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._taken: deque[Boot] = deque()
        self._waiting = asyncio.Event()

    def kernel_taken(self, boot: Boot) -> None:
        """Note that a boot has its kernel."""
        self._taken.append(boot)
        self._waiting.set()

    async def keep(self) -> None:
        """Burn what is noted, until cancelled; what cannot be written is tried again."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._taken:
                boot = self._taken[0]
                try:
                    if await self._machines.burn(boot.mac, boot.id):
                        log.info("boot-once used up", mac=boot.mac, boot=boot.id)
                except sqlite3.Error as error:
                    log.error("boot-once not marked as used", mac=boot.mac, error=str(error))
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    self._taken.popleft()
