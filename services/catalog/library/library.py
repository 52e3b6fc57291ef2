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
from bootyard.model.snapshot import BootTarget, Root, Slice
from bootyard.runtime.log import get_logger
from services.catalog.database import Database
from services.catalog.library.assess import (
    MISREAD,
    Assessed,
    Assessor,
    Later,
    ToIndex,
    ToUnpack,
    not_usable,
)
from services.catalog.library.derived import DerivedStore
from services.catalog.library.discs.indexing import index_disc
from services.catalog.library.discs.source import Incomplete
from services.catalog.library.discs.store import DiscStore
from services.catalog.library.hashing import Hashes
from services.catalog.library.image import LibraryImage
from services.catalog.library.inside import Inside
from services.catalog.library.look import Candidate, Unreachable, look
from services.catalog.library.recipes.schema import Recipes
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
PAUSE_SECONDS = 3.0
"""Before a disc that ends too early, and was written to lately, is looked at again."""
RETRY_SECONDS = 20.0
SWEEP_SECONDS = 60.0

HASHED = frozenset({"disc", "program", "disk", "wim"})
"""Forms of one file; a tarball's hash is known from unpacking it."""


class _Watched(msgspec.Struct):
    """What is known of one candidate, from look to look."""

    candidate: Candidate
    since: float
    """Monotonic time at which it was first seen as it is."""
    outcome: Assessed | None = None
    """Of an earlier state, while the candidate is not settled."""
    settled: bool = False
    assessed_at: float = 0.0
    later: Later | None = None

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
        state_dir: Path,
        database: Database,
        recipes: Recipes,
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
        self.work_waits = asyncio.Event()
        """Set while something is to be unpacked or indexed."""
        self.hashes = Hashes(images_dir, database)
        self._database = database
        self._derived = DerivedStore(state_dir / "derived")
        self._discs = DiscStore(state_dir / "catalog" / "discs")
        self._assessor = Assessor(images_dir, self._derived, self._discs, recipes)
        self._inside = Inside(images_dir, self._discs)
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
                await self.hashes.load()
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
        if any(watched.later for watched in self._watched.values()):
            self.work_waits.set()

    async def work_next(self) -> bool:
        """Index or unpack one image that waits for it; False: none does. Look again afterwards.

        Discs go first: they take a second, a tarball minutes.
        """
        self.work_waits.clear()
        waiting = [(w, w.later) for w in self._watched.values() if w.later is not None]
        if not waiting:
            return False
        waiting.sort(key=lambda waits: isinstance(waits[1], ToUnpack))
        watched, job = waiting[0]
        candidate = watched.candidate
        try:
            outcome = await self._work(candidate, job)
            if outcome == job:
                reason = os.strerror(errno.ENOENT)
                raise FileNotFoundError(errno.ENOENT, reason, str(self._derived.directory))
        except Incomplete as error:
            if watched.candidate == candidate and not _is_old(candidate):
                # Copying pauses, on a slow line for longer than QUIET_SECONDS.
                watched.later, watched.since = None, self._monotonic() + PAUSE_SECONDS
                return True
            outcome = not_usable(candidate, error)
        except (ImageRejected, OSError) as error:
            outcome = not_usable(candidate, error)
        except Exception:
            log.exception("image not read", path=candidate.path)
            outcome = not_usable(candidate, MISREAD)
        if watched.candidate == candidate:
            watched.later = None
            self._settle(watched, outcome)
        return True

    async def _work(self, candidate: Candidate, job: Later) -> Assessed | Later:
        remembered = None
        match job:
            case ToUnpack():
                log.info("unpacking", path=candidate.path)
                unpacked = await unpack_apart(job.tarball, job.said, self._derived.directory)
                remembered = Remembered(job.source, unpacked)
                await self._database.run(remember, candidate.path, remembered)
                self._remembered[candidate.path] = remembered
            case ToIndex():
                log.info("indexing", path=candidate.path)
                await index_disc(job.disc, self._discs)
        return await asyncio.to_thread(self._assessor.assess, candidate, remembered)

    def slice_in(self, image_id: str, path: str) -> Slice | None:
        """Find any file of a disc or a folder; None when there is no such file. Blocks, shortly.

        Raises OSError.
        """
        watched = self._watched.get(self._holders.get(image_id, ""))
        if watched is None or watched.outcome is None or not watched.outcome.image.is_ready:
            return None
        return self._inside.find(watched.candidate, path)

    async def hash_next(self) -> bool:
        """Work out the sha256 of one image whose is not known; False: none is left."""
        for watched in list(self._watched.values()):
            if watched.settled and watched.candidate.form in HASHED:
                [file] = watched.candidate.files
                if self.hashes.of(file.real, file.fingerprint) is not None:
                    continue
                if await self.hashes.work_out(file.real, file.fingerprint):
                    return True
        return False

    async def _prepare(self) -> None:
        try:
            await asyncio.to_thread(self._derived.prepare)
            await asyncio.to_thread(self._discs.prepare)
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
                watched.settled, watched.later = False, None
            self._watched[candidate.path] = watched

    async def _assess_quiet(self) -> None:
        for path, watched in self._watched.items():
            if watched.later is None and watched.wants_assessing(self._monotonic()):
                remembered = self._remembered.get(path)
                outcome = await asyncio.to_thread(
                    self._assessor.assess, watched.candidate, remembered
                )
                self._settle(watched, outcome)

    def _settle(self, watched: _Watched, outcome: Assessed | Later) -> None:
        if not isinstance(outcome, Assessed):
            watched.later = outcome
        else:
            watched.outcome, watched.settled = outcome, True
            watched.assessed_at = self._monotonic()

    async def _arrange(self) -> None:
        claims = [
            Claim(path, w.candidate.name, None if w.outcome is None else self._hashed(w, w.outcome))
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

    def _hashed(self, watched: _Watched, outcome: Assessed) -> LibraryImage:
        if watched.candidate.form not in HASHED or not watched.settled:
            return outcome.image
        [file] = watched.candidate.files
        known = self.hashes.of(file.real, file.fingerprint)
        return msgspec.structs.replace(outcome.image, sha256=known)

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
        candidates = [watched.candidate for watched in self._watched.values()]
        await asyncio.to_thread(self._inside.sweep, candidates, now)


def _is_old(candidate: Candidate) -> bool:
    """Tell whether nothing was written for so long that no copying can be under way."""
    newest = max((file.fingerprint.mtime_ns for file in candidate.files), default=0)
    return time.time() - newest / 1e9 > OLD_SECONDS
