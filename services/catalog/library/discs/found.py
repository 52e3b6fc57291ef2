"""What a walk through the folders of a disc has found, and how much it may find. Pure."""

from collections import Counter
from typing import Literal

from bootyard.model.errors import ImageRejected
from services.catalog.library.discs.index import Extents, TreeKind
from services.catalog.library.discs.source import COPY_AGAIN, damaged, incomplete, joined

MAX_ENTRIES = 300_000
MAX_DEPTH = 64
MAX_PATH = 1024
MAX_NAMES = 32 * 1024**2
"""Characters of all paths together."""
MAX_LINK_TARGETS = 4 * 1024**2
"""Characters of what all links name together."""
MAX_EXTENTS = 400_000

LeftOut = Literal["zisofs", "sparse", "interleaved", "special", "name", "twice"]

_WORDS: dict[LeftOut, str] = {
    "zisofs": "stored compressed (zisofs), which only Linux can read",
    "sparse": "stored with holes",
    "interleaved": "stored interleaved",
    "special": "neither a file nor a folder (devices, pipes)",
    "name": "named . or .., or not at all",
    "twice": "there a second time by the same name",
}


class Found:
    """Files and links of one tree of a disc of `size` bytes; limits are kept while it grows."""

    def __init__(self, kind: TreeKind, size: int) -> None:
        self.kind = kind
        self.files: dict[str, Extents] = {}
        self.folders = {""}
        self.links: dict[str, str] = {}
        """By path what each link says, as it stands there."""
        self.left_out: Counter[LeftOut] = Counter()
        self._size = size
        self._left_out_files = 0
        self._left_out_bytes = 0
        self._entries = 0
        self._names = 0
        self._targets = 0
        self._extents = 0

    def path(self, folder: str, name: str) -> str | None:
        """Take a name of an entry in, and give its path; None for one that no path can have."""
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise _too_much(f"there are more than {MAX_ENTRIES} files and folders on it")
        if name in {"", ".", ".."}:
            self.left_out["name"] += 1
            return None
        if "/" in name or "\0" in name:
            name = name.replace("/", "\ufffd").replace("\0", "\ufffd")
        path = f"{folder}/{name}" if folder else name
        self._names += len(path)
        if len(path) > MAX_PATH:
            raise _too_much(f"a path on it has more than {MAX_PATH} characters")
        if self._names > MAX_NAMES:
            raise _too_much("its paths are longer than those of any real disc")
        return path

    def folder(self, path: str, depth: int) -> None:
        """Note a folder. Raises ImageRejected when it lies too deep."""
        if depth > MAX_DEPTH:
            raise _too_much(f"its folders are more than {MAX_DEPTH} deep")
        self.folders.add(path)

    def file(self, path: str, pieces: list[tuple[int, int]]) -> None:
        """Note a file by its pieces. Raises ImageRejected when one lies outside of the disc."""
        for offset, length in pieces:
            if length and offset + length > self._size:
                raise incomplete(f"{path} lies beyond its end")
        self._extents += len(pieces)
        if self._extents > MAX_EXTENTS:
            raise _too_much("its files lie in more pieces than those of any real disc")
        if path in self.files:
            self.left_out["twice"] += 1
            return
        self.files[path] = joined(pieces)

    def link(self, path: str, target: str) -> None:
        """Note a symbolic link."""
        self._targets += len(target)
        if self._targets > MAX_LINK_TARGETS:
            raise _too_much("its links are longer than those of any real disc")
        self.links.setdefault(path, target)

    def leave_out(self, why: LeftOut, length: int = 0) -> None:
        """Count something that cannot be served, of `length` bytes on the disc."""
        self.left_out[why] += 1
        self._left_out_files += bool(length)
        self._left_out_bytes += length

    def worth(self) -> tuple[int, int]:
        """Say how much of the disc this tree tells, to compare: files that hold something, bytes.

        What one tree leaves out as compressed is no plus of another that does not know that.
        """
        lengths = [sum(length for _, length in extents) for extents in self.files.values()]
        return sum(map(bool, lengths)) + self._left_out_files, sum(lengths) + self._left_out_bytes

    def notes(self) -> list[str]:
        """Say what was left out."""
        return [
            f"{count} of its entries {'is' if count == 1 else 'are'} left out: {_WORDS[why]}"
            for why, count in sorted(self.left_out.items())
        ]


def circle() -> ImageRejected:
    """Make the refusal of folders that contain each other, or that two folders contain."""
    return damaged("one of its folders is found in two places, or inside itself")


def _too_much(problem: str) -> ImageRejected:
    return ImageRejected(problem, f"{COPY_AGAIN}, or unpack it into a folder")
