"""Any file inside an image, by the path that it has there: what an installer fetches by itself.

Snapshots name only what boot scripts load; these files are the catalog's alone. Blocks, shortly.
"""

from collections.abc import Iterable
from pathlib import Path

from bootyard.model.snapshot import Slice
from services.catalog.library.contents import Contents
from services.catalog.library.discs.disc import Disc, DiscTree
from services.catalog.library.discs.store import DiscStore, key_of
from services.catalog.library.look import Candidate


class Inside:
    """Looks into discs and folders; the indices of discs that were looked into stay open."""

    def __init__(self, images_dir: Path, discs: DiscStore) -> None:
        self._images_dir = images_dir
        self._discs = discs
        self._opened: dict[str, Disc] = {}

    def find(self, candidate: Candidate, path: str) -> Slice | None:
        """Find a file of an image; None when there is none, or it has no files. Raises OSError."""
        if candidate.form == "folder":
            return Contents(self._images_dir, candidate).found(path)
        if candidate.form != "disc":
            return None
        [file] = candidate.files
        key = self._key(candidate)
        disc = self._opened.get(key) or self._discs.open(key)
        if disc is None:
            return None
        self._opened[key] = disc
        tree = DiscTree(self._images_dir, file.real, disc)
        name = tree.find(path)
        return None if name is None else tree.slice_of(name)

    def sweep(self, candidates: Iterable[Candidate], now: float) -> None:
        """Close and remove the indices of discs that are none of these (see `DiscStore.sweep`)."""
        used = {self._key(c) for c in candidates if c.form == "disc" and c.files}
        self._discs.sweep(used, now)
        for key in self._opened.keys() - used:
            self._opened.pop(key).close()

    def _key(self, candidate: Candidate) -> str:
        file = candidate.files[0]
        return key_of(self._images_dir / file.real, file.fingerprint)
