"""All images: what is in IMAGES_DIR now, with ids and revisions, and who has to be told.

`look` is one look at the disk. What is new or changed is assessed once it was quiet for two
seconds; until then the image stays listed as it was. Tarballs that need unpacking are left to
`unpack_next`, so that a large one keeps nothing else waiting.
"""

import asyncio
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import BootTarget, Root
from bootyard.runtime.log import get_logger
from services.catalog.database import Database
from services.catalog.library.assess import MISREAD, Assessed, Assessor, ToUnpack, not_usable
from services.catalog.library.derived import DerivedStore
from services.catalog.library.image import LibraryImage
from services.catalog.library.look import Candidate, Unreachable, look
from services.catalog.library.removal import move_aside
from services.catalog.library.revisions import (
    Remembered,
    assign_revisions,
    content_of,
    recall,
    remember,
)
from services.catalog.library.shelf import Claim, arrange
from services.catalog.library.unpacking import unpack_apart

log = get_logger(__name__)

QUIET_SECONDS = 2.0
"""How long size and time of every file must stay the same before an image is read."""
OLD_SECONDS = 60.0
"""At start, what was last written longer ago than this is read without waiting."""
RETRY_SECONDS = 20.0
SWEEP_SECONDS = 60.0


class _Watched(msgspec.Struct):
    """What is known of one candidate, from look to look."""

    candidate: Candidate
    since: float
    """Monotonic time at which it was first seen as it is."""
    outcome: Assessed | None = None
    """Of an earlier state, while the candidate is not settled."""
    settled: bool = False
    assessed_at: float = 0.0
    to_unpack: ToUnpack | None = None

    def wants_assessing(self, now: float) -> bool:
        if self.settled:
            again = self.outcome is not None and self.outcome.again
            return again and now - self.assessed_at >= RETRY_SECONDS
        return now - self.since >= QUIET_SECONDS


class Library:
    """The images in one IMAGES_DIR. One task looks, one unpacks; everyone else reads `images`."""

    def __init__(
        self,
        images_dir: Path,
        derived_dir: Path,
        database: Database,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.images_dir = images_dir
        self.images: tuple[LibraryImage, ...] = ()
        """Every entry, ready or not; replaced as a whole."""
        self.targets: dict[str, BootTarget] = {}
        """What can be booted now, by id; replaced as a whole."""
        self.waiting: tuple[str, ...] = ()
        """Paths that are being copied, read or unpacked."""
        self.problem: str | None = None
        """Why IMAGES_DIR cannot be listed at the moment; `images` is what it held before."""
        self.looked = asyncio.Event()
        """Set once IMAGES_DIR was listed: before that, no image means nothing."""
        self.to_unpack = asyncio.Event()
        self._database = database
        self._derived = DerivedStore(derived_dir)
        self._assessor = Assessor(images_dir, self._derived)
        self._monotonic = monotonic
        self._watched: dict[str, _Watched] = {}
        self._remembered: dict[str, Remembered] = {}
        self._revisions: dict[str, tuple[str, int]] = {}
        self._holders: dict[str, str] = {}
        self._swept_at = -SWEEP_SECONDS
        self._looking = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener`, on the event loop, whenever `images` has changed."""
        self._listeners.append(listener)

    def get(self, image_id: str) -> LibraryImage | None:
        """Find the entry of an id: the one that boots, if there is one."""
        entries = [image for image in self.images if image.id == image_id]
        return next((image for image in entries if image.is_ready), next(iter(entries), None))

    async def look(self) -> None:
        """Bring `images` up to date with the disk. Raises sqlite3.Error, OSError of STATE_DIR."""
        async with self._looking:
            if not self.looked.is_set():
                await self._prepare()
                self._remembered = await self._database.run(recall)
            try:
                candidates = await asyncio.to_thread(look, self.images_dir)
            except Unreachable as error:
                if self.problem is None:
                    log.warning(
                        "images cannot be listed", path=str(self.images_dir), error=str(error)
                    )
                self.problem = str(error)
                return
            self.problem = None
            self._note(candidates)
            await self._assess_quiet()
            await self._arrange()
            self.looked.set()
            await self._sweep()
        if any(watched.to_unpack for watched in self._watched.values()):
            self.to_unpack.set()

    async def unpack_next(self) -> bool:
        """Unpack one tarball that waits for it; False when none does. Look again afterwards."""
        self.to_unpack.clear()
        watched = next((w for w in self._watched.values() if w.to_unpack is not None), None)
        if watched is None or watched.to_unpack is None:
            return False
        candidate, job = watched.candidate, watched.to_unpack
        log.info("unpacking", path=candidate.path)
        try:
            unpacked = await unpack_apart(job.tarball, job.said, self._derived.directory)
            remembered = Remembered(job.source, unpacked)
            await self._database.run(remember, candidate.path, remembered)
            self._remembered[candidate.path] = remembered
            outcome = await asyncio.to_thread(self._assessor.assess, candidate, remembered)
            if isinstance(outcome, ToUnpack) and outcome.source == job.source:
                reason = os.strerror(errno.ENOENT)
                raise FileNotFoundError(errno.ENOENT, reason, str(self._derived.directory))
        except (ImageRejected, OSError) as error:
            outcome = not_usable(candidate, error)
        except Exception:
            log.exception("tarball not unpacked", path=candidate.path)
            outcome = not_usable(candidate, MISREAD)
        if watched.candidate == candidate:
            watched.to_unpack = None
            self._settle(watched, outcome)
        return True

    async def _prepare(self) -> None:
        try:
            await asyncio.to_thread(self._derived.prepare)
        except OSError as error:
            # Folders are served without it; a tarball will be listed with the reason.
            log.warning(
                "derived files cannot be kept", path=str(self._derived.directory), error=str(error)
            )

    def _note(self, candidates: tuple[Candidate, ...]) -> None:
        now, first = self._monotonic(), not self.looked.is_set()
        before, self._watched = self._watched, {}
        for candidate in candidates:
            watched = before.get(candidate.path)
            if watched is None:
                head_start = QUIET_SECONDS if first and _is_old(candidate) else 0.0
                watched = _Watched(candidate, now - head_start)
            elif watched.candidate != candidate:
                watched.candidate, watched.since = candidate, now
                watched.settled, watched.to_unpack = False, None
            self._watched[candidate.path] = watched

    async def _assess_quiet(self) -> None:
        for path, watched in self._watched.items():
            if watched.to_unpack is None and watched.wants_assessing(self._monotonic()):
                remembered = self._remembered.get(path)
                outcome = await asyncio.to_thread(
                    self._assessor.assess, watched.candidate, remembered
                )
                self._settle(watched, outcome)

    def _settle(self, watched: _Watched, outcome: Assessed | ToUnpack) -> None:
        if isinstance(outcome, ToUnpack):
            watched.to_unpack = outcome
        else:
            watched.outcome, watched.settled = outcome, True
            watched.assessed_at = self._monotonic()

    async def _arrange(self) -> None:
        claims = [
            Claim(path, w.candidate.name, None if w.outcome is None else w.outcome.image)
            for path, w in self._watched.items()
        ]
        entries, self._holders = arrange(claims, self._holders)
        images = await self._with_revisions(entries)
        self.waiting = tuple(path for path, w in self._watched.items() if not w.settled)
        if images == self.images:
            return
        self._tell(images)
        self.images = images
        self.targets = {t.id: t for image in images for t in image.targets}
        for listener in self._listeners:
            listener()

    def _tell(self, images: tuple[LibraryImage, ...]) -> None:
        for image in images:
            if image in self.images:
                continue
            if image.is_ready:
                log.info("image ready", image=image.id, path=image.path, revision=image.revision)
            else:
                log.warning("image not usable", path=image.path, reason=image.problem)
        for path in {i.path for i in self.images} - {i.path for i in images}:
            log.info("image gone", path=path)

    async def _with_revisions(self, entries: tuple[LibraryImage, ...]) -> tuple[LibraryImage, ...]:
        contents = {image.id: content_of(image) for image in entries if image.is_ready}
        changed = {
            image_id: content
            for image_id, content in contents.items()
            if self._revisions.get(image_id, ("", 0))[0] != content
        }
        if changed:
            revisions = await self._database.run(assign_revisions, changed)
            for image_id, revision in revisions.items():
                self._revisions[image_id] = (changed[image_id], revision)
        return tuple(
            msgspec.structs.replace(image, revision=self._revisions[image.id][1])
            if image.is_ready
            else image
            for image in entries
        )

    async def remove(self, image: LibraryImage) -> Path:
        """Move an image aside (see `move_aside`) and look again. Raises RequestRefused."""
        moved = await asyncio.to_thread(move_aside, self.images_dir, image)
        await self.look()
        return moved

    async def _sweep(self) -> None:
        now = self._monotonic()
        if now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        used = {
            slice_.path
            for watched in self._watched.values()
            if watched.outcome is not None
            for slice_ in watched.outcome.image.files.values()
            if slice_.root is Root.DERIVED
        }
        for name in await asyncio.to_thread(self._derived.sweep, used, now):
            log.info("derived file removed", path=name)


def _is_old(candidate: Candidate) -> bool:
    """Tell whether nothing was written for so long that no copying can be under way."""
    newest = max((file.fingerprint.mtime_ns for file in candidate.files), default=0)
    return time.time() - newest / 1e9 > OLD_SECONDS
