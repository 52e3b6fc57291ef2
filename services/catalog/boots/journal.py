"""Boots as they happen: events come in, boots go to the database, the metrics and who watches."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping

from bootyard.model.events import BootEvent, Step
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Learned
from bootyard.runtime.log import get_logger
from bootyard.runtime.waiting import wait_at_most
from services.catalog.boots import learned, storage
from services.catalog.boots.boot import Boot
from services.catalog.boots.learning import REVIEW_SECONDS, Change, Learning
from services.catalog.boots.outcome import Targets
from services.catalog.boots.timeline import Changes, Timeline
from services.catalog.database import Database
from services.catalog.metrics import BootMetrics

log = get_logger(__name__)

OWN_SERVICE = "catalog"
"""Its events are seen directly, without the detour through Redis."""
GATHER_SECONDS = 0.2
"""Changes of this long are written together: every write waits for the disk."""
SWEEP_SECONDS = 5.0


class BootJournal:
    """Keeps the timeline, and keeps it on disk. All of it runs on the event loop."""

    def __init__(
        self,
        database: Database,
        metrics: BootMetrics,
        targets: Callable[[], Targets],
        on_fault: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._targets = targets
        self._on_fault = on_fault
        self._clock = clock
        boots, next_number, self.position = database.run_blocking(storage.load)
        self.timeline = Timeline(boots, next_number)
        now = clock()
        self._learning = Learning(database.run_blocking(learned.load), now)
        for boot in boots:
            if boot.is_open:
                # What happened meanwhile is still to be read: silence means nothing yet.
                boot.heard = now
                self._learning.observe(boot, now)
        self._unlearned: dict[MACAddress, Change] = {}
        """What was learned and is not on disk."""
        self._unsaved: dict[int, Boot] = {}
        self._unsaved_position = False
        self._to_save = asyncio.Event()
        self._saving = asyncio.Lock()
        self._watchers: list[Callable[[Boot], None]] = []
        self._on_kernel: list[Callable[[Boot], None]] = []
        self._on_urgent: list[Callable[[], None]] = []

    @property
    def learned(self) -> Mapping[MACAddress, Learned]:
        """What was learned of each machine."""
        return self._learning.learned

    def on_urgent(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` when something was learned that a machine's next boot depends on."""
        self._on_urgent.append(watcher)

    def on_change(self, watcher: Callable[[Boot], None]) -> None:
        """Call `watcher` with every boot that changed."""
        self._watchers.append(watcher)

    def on_kernel(self, watcher: Callable[[Boot], None]) -> None:
        """Call `watcher` with a boot whose kernel was completely taken, over either transport."""
        self._on_kernel.append(watcher)

    def observe(self, event: BootEvent) -> None:
        """Take in one event; never raises and never waits."""
        try:
            self._observe(event)
        except Exception:
            # One event is lost, not the stream, and not the request that it tells of.
            self._on_fault("timeline")
            log.exception("boot event not understood", step=event.step, mac=event.mac)

    def _observe(self, event: BootEvent) -> None:
        changes = self.timeline.observe(event, self._clock(), self._targets())
        if changes.dropped:
            log.debug(
                "boot event dropped",
                step=event.step,
                mac=event.mac,
                client=event.ip,
                reason=changes.dropped,
            )
        self._take(changes)
        for boot, step, _ in changes.steps:
            if step.step is Step.KERNEL and step.is_complete:
                for watcher in self._on_kernel:
                    watcher(boot)

    async def receive(self, batch: list[tuple[str, BootEvent]]) -> None:
        """Take in a batch from the stream and write it down with its position."""
        for position, event in batch:
            if event.service != OWN_SERVICE:
                self.observe(event)
            self.position = position
        self._unsaved_position = True
        await self.save()

    def assign(self, boot: Boot, target: str, image: str) -> None:
        """Note that a boot-once was bound to a boot."""
        if boot.target != target:
            self._take(self.timeline.assign(boot, target, image))

    async def save(self) -> bool:
        """Write what is not written yet; False: it could not be, and is tried again later."""
        async with self._saving:
            rows = [storage.row_of(boot) for boot in self._unsaved.values()]
            if not rows and not self._unlearned and not self._unsaved_position:
                return True
            taken, self._unsaved, self._unsaved_position = self._unsaved, {}, False
            lessons, self._unlearned = self._unlearned, {}
            try:
                await self._database.run(
                    _save, rows, self.position, list(lessons.values()), self._clock()
                )
            except BaseException as error:  # a caller that gives up must not lose them either
                self._unsaved = {**taken, **self._unsaved}
                self._unlearned = {**lessons, **self._unlearned}
                self._unsaved_position = True
                if not isinstance(error, sqlite3.Error):
                    raise
                log.error("boots not saved", error=str(error))
                return False
            return True

    async def secure(self) -> None:
        """Save; raises sqlite3.Error when what happened so far is not on disk then."""
        if not await self.save():
            raise sqlite3.OperationalError("boots cannot be saved")

    async def keep(self) -> None:
        """Save, learn from silence, and close boots that went silent, until cancelled."""
        swept = reviewed = 0.0
        while True:
            await wait_at_most(self._to_save, REVIEW_SECONDS)
            self._to_save.clear()
            loop_time = asyncio.get_running_loop().time()
            if loop_time - reviewed >= REVIEW_SECONDS:
                reviewed = loop_time
                self._review()
            if loop_time - swept >= SWEEP_SECONDS:
                swept = loop_time
                self._take(self.timeline.sweep(self._clock(), self._targets()))
            await self.save()
            await asyncio.sleep(GATHER_SECONDS)

    def _review(self) -> None:
        """Conclude what silence says; a fault in it must not end the saving of boots."""
        now = self._clock()
        try:
            boots, lessons = self._learning.review(now)
            self._take(self.timeline.review(boots, now))
            self._note(lessons)
        except Exception:
            self._on_fault("timeline")
            log.exception("nothing concluded from silence")

    async def find(self, number: int) -> Boot | None:
        """Read one boot, as it is now."""
        await self.save()
        return await self._database.run(storage.find, number)

    async def page(
        self, limit: int, below: int | None, mac: MACAddress | None, is_open: bool | None
    ) -> list[Boot]:
        """Read boots, newest first."""
        await self.save()
        return await self._database.run(storage.page, limit, below, mac, is_open)

    def _take(self, changes: Changes) -> None:
        """Hand on what changed."""
        for boot in changes.counted:
            self._metrics.boot_counted(boot.firmware, boot.image, boot.outcome)
            log.info(
                "system starting" if boot.is_open else "boot ended",
                boot=boot.id,
                mac=boot.mac,
                image=boot.image,
                outcome=boot.outcome,
                seconds=round(boot.last - boot.started, 1),
            )
        for _, step, seconds in changes.steps:
            if seconds is not None:
                self._metrics.step_taken(step.step, seconds)
        now = self._clock()
        for number, boot in changes.boots.items():
            self._unsaved[number] = boot
            self._note(self._learning.observe(boot, now))
            for watcher in self._watchers:
                watcher(boot)
        if changes.boots:
            self._to_save.set()

    def _note(self, lessons: list[Change]) -> None:
        """Keep what was learned, and hand it on where the next boot depends on it."""
        for lesson in lessons:
            # Taken out first: what is learned later is written later.
            self._unlearned.pop(lesson.mac, None)
            self._unlearned[lesson.mac] = lesson
            if lesson.is_urgent:
                known = self.learned.get(lesson.mac, Learned())
                log.info(
                    "learned of a machine",
                    mac=lesson.mac,
                    secure_boot=known.secure_boot,
                    dead_ends=[name.value for name in known.dead_ends],
                )
        if lessons:
            self._to_save.set()
        if any(lesson.is_urgent for lesson in lessons):
            for watcher in self._on_urgent:
                watcher()


def _save(
    connection: sqlite3.Connection,
    rows: list[storage.Row],
    position: str,
    lessons: list[Change],
    now: float,
) -> None:
    storage.save(connection, rows, position)
    learned.save(connection, lessons, now)
