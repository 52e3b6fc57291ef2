"""Uses up a boot-once as soon as its kernel was taken."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable

from bootyard.model.events import OfferStage, Step
from bootyard.runtime.log import get_logger
from services.catalog.boots.boot import Boot
from services.catalog.boots.journal import BootJournal
from services.catalog.boots.outcome import Targets
from services.catalog.machines import Machines

log = get_logger(__name__)

RETRY_SECONDS = 2.0


class BootOnceBurner:
    """Until the database has it, the boot's own steps keep the target from being given again."""

    def __init__(
        self,
        machines: Machines,
        journal: BootJournal,
        targets: Callable[[], Targets],
        on_burned: Callable[[], None],
    ) -> None:
        self._machines = machines
        self._journal = journal
        self._targets = targets
        self._on_burned = on_burned
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
                    await self._burn(boot)
                except sqlite3.Error as error:
                    log.error("boot-once not marked as used", mac=boot.mac, error=str(error))
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    self._taken.popleft()

    async def _burn(self, boot: Boot) -> None:
        files = pi_targets_taken(boot, self._targets())
        if files:
            await self._bind(boot, files)
        if await self._machines.burn(boot.mac, boot.id):
            log.info("boot-once used up", mac=boot.mac, boot=boot.id)
            self._on_burned()

    async def _bind(self, boot: Boot, files: Targets) -> None:
        """Bind what was armed to the boot of a machine that asks for no script: a Raspberry Pi."""
        await self._journal.secure()
        bound = await self._machines.bind(boot.mac, boot.id, bootable=files)
        if bound is not None:
            self._journal.assign(boot, bound, files[bound].image)


def pi_targets_taken(boot: Boot, targets: Targets) -> Targets:
    """List the targets for a Raspberry Pi whose kernel a boot of one has taken."""
    if not any(step.stage is OfferStage.PI for step in boot.own_steps):
        return {}
    taken = {(s.image, s.file) for s in boot.steps if s.step is Step.KERNEL and s.is_complete}
    return {
        target.id: target
        for target in targets.values()
        if target.loader == "pi" and (target.image, target.kernel.casefold()) in taken
    }
