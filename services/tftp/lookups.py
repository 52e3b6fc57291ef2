"""What names lead to, remembered: a thousand machines ask for the same loader."""

from time import monotonic

from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import BootTree, Found, NotFound
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Slice
from bootyard.runtime.snapshots import SnapshotHolder

REMEMBERED = 1024
REMEMBERED_SECONDS = 10.0
"""A name may be found in an older snapshot, which is not kept for ever."""

Question = tuple[str, MACAddress | None, object]
"""What files depend on: the name, the machine and its firmware. Scripts depend on more."""


class Lookups:
    """Asks the snapshots, and remembers which files they named."""

    def __init__(self, snapshots: SnapshotHolder) -> None:
        self._snapshots = snapshots
        self._tree: BootTree | None = None
        self._until = 0.0
        self._files: dict[Question, Found] = {}

    def resolve(self, path: str, facts: RequestFacts) -> Found | NotFound:
        """Find what a name means to the machine that asks."""
        now = monotonic()
        if self._tree is not self._snapshots.tree or now >= self._until:
            self._files.clear()
            self._tree, self._until = self._snapshots.tree, now + REMEMBERED_SECONDS
        question = (path, facts.mac, facts.firmware)
        known = self._files.get(question)
        if known is not None:
            return known
        found = self._snapshots.resolve(path, facts)
        if isinstance(found, Found) and isinstance(found.content, Slice):
            if len(self._files) >= REMEMBERED:
                self._files.clear()
            self._files[question] = found
        return found
