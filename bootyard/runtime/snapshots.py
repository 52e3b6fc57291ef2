"""The snapshot a service serves from: in memory, on its own disk, and followed through Redis."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import BootTree, Found, NotFound
from bootyard.model.errors import SnapshotUnreadable
from bootyard.model.snapshot import BUILTIN_EPOCH, Snapshot
from bootyard.runtime.files import write_atomically
from bootyard.runtime.log import get_logger

log = get_logger(__name__)

KEEP_SECONDS = 600
"""A machine that took its script from a snapshot has this long to fetch what it names."""
KEEP_COUNT = 2


class SnapshotHolder:
    """The current snapshot's tree, and the previous ones for boots that are under way."""

    def __init__(self, initial: Snapshot) -> None:
        self.tree = BootTree(initial)
        self.adopted_at = time.monotonic()
        self._previous: list[tuple[float, BootTree]] = []
        self._listeners: list[Callable[[Snapshot], None]] = []

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot."""
        return self.tree.snapshot

    @property
    def is_builtin(self) -> bool:
        """Whether no snapshot of a catalog was ever held."""
        return self.snapshot.epoch == BUILTIN_EPOCH

    def on_adopt(self, listener: Callable[[Snapshot], None]) -> None:
        """Call `listener` now and at every change."""
        self._listeners.append(listener)
        listener(self.snapshot)

    def adopt(self, tree: BootTree) -> None:
        """Serve from another snapshot from the next request on."""
        now = time.monotonic()
        self._previous = [(now, self.tree), *self._kept(now)][:KEEP_COUNT]
        self.tree = tree
        self.adopted_at = now
        for listener in self._listeners:
            listener(tree.snapshot)

    def resolve(self, path: str, request: RequestFacts) -> Found | NotFound:
        """Find a name in the current tree, or in one that a running boot may still name."""
        current = self.tree.resolve(path, request)
        if isinstance(current, NotFound):
            for _, tree in self._kept(time.monotonic()):
                found = tree.resolve(path, request)
                if isinstance(found, Found):
                    return found
        return current

    def _kept(self, now: float) -> list[tuple[float, BootTree]]:
        return [(since, tree) for since, tree in self._previous if now - since < KEEP_SECONDS]


def load_last_good(path: Path) -> Snapshot | None:
    """Read the snapshot kept on disk; None when there is none that can be read."""
    try:
        return Snapshot.from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, SnapshotUnreadable) as error:
        log.warning("kept snapshot not usable", path=str(path), error=str(error))
        return None


class SnapshotReader:
    """Adopts the documents that arrive from the catalog and keeps the last good one on disk."""

    def __init__(self, holder: SnapshotHolder, kept: Path) -> None:
        self.holder = holder
        self._kept = kept

    async def receive(self, document: bytes) -> None:
        """Adopt a document unless it is the current snapshot or cannot be read."""
        try:
            # Off the loop: a large library takes a while to decode and index.
            tree = await asyncio.to_thread(lambda: BootTree(Snapshot.from_json(document)))
        except SnapshotUnreadable as error:
            log.error("snapshot refused", reason=str(error))
            return
        if tree.snapshot.version == self.holder.snapshot.version:
            return
        self.holder.adopt(tree)
        log.info(
            "snapshot adopted",
            snapshot=tree.snapshot.version,
            images=len(tree.snapshot.images),
            machines=len(tree.snapshot.machines),
        )
        try:
            await asyncio.to_thread(write_atomically, self._kept, document)
        except OSError as error:
            log.warning("snapshot not kept on disk", path=str(self._kept), error=str(error))
