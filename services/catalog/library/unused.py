"""Files that the catalog makes for itself, and removes when nothing needs them any more."""

from collections.abc import Collection
from pathlib import Path

KEEP_SECONDS = 600.0
"""Other services may hold a snapshot that names them for so long."""


class UnusedFiles:
    """Since when the files of a directory are in no use; hidden ones are nobody's business."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._since: dict[str, float] = {}

    def sweep(self, used: Collection[str], now: float) -> tuple[str, ...]:
        """Remove what was in no use for KEEP_SECONDS; `now` is a monotonic time. Blocks."""
        try:
            present = {p.name for p in self._directory.iterdir() if not p.name.startswith(".")}
        except FileNotFoundError:
            return ()
        since = {name: self._since.get(name, now) for name in present - set(used)}
        removed = tuple(name for name, at in sorted(since.items()) if now - at > KEEP_SECONDS)
        for name in removed:
            (self._directory / name).unlink(missing_ok=True)
            del since[name]
        self._since = since
        return removed
