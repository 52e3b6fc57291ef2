"""The bytes of a disc: asked for within its file, and refused with a sentence beyond it. Pure.

A disc is anybody's file. Whatever its numbers say, what is asked of them ends at the limits here.
"""

from collections.abc import Iterable

from bootyard.model.errors import ImageRejected
from services.catalog.library.discs.index import Extents
from services.catalog.library.secureboot import Read

SECTOR = 2048
"""Bytes of a sector of a CD or DVD; everything that is read here lies on them."""
MAX_FOLDER_BYTES = 128 * 1024**2
"""All that folders take, and what belongs to names: a disc with 300 000 files needs a half."""

COPY_AGAIN = "copy or download it again, and compare its checksum"


def damaged(problem: str) -> ImageRejected:
    """Make the refusal of a disc whose structures make no sense."""
    return ImageRejected(f"it is damaged: {problem}", COPY_AGAIN)


class Incomplete(ImageRejected):
    """A disc that ends too early: it may be that the rest of it is still on its way."""


def incomplete(problem: str) -> Incomplete:
    """Make the refusal of a disc that ends too early."""
    return Incomplete(f"it is not complete: {problem}", COPY_AGAIN)


class Source:
    """A disc of `size` bytes. `read` may raise OSError, which is the caller's."""

    def __init__(self, read: Read, size: int) -> None:
        self.size = size
        self._read = read
        self._folder_bytes = min(MAX_FOLDER_BYTES, size)

    def piece(self, offset: int, length: int, what: str) -> bytes:
        """Give exactly that piece. Raises ImageRejected where the disc ends before it does."""
        if offset + length <= self.size:
            data = self._read(offset, length)
            if len(data) == length:
                return data
        raise incomplete(f"{what} lies beyond its end")

    def up_to(self, offset: int, length: int) -> bytes:
        """Give what there is of that piece."""
        return self._read(offset, max(0, min(length, self.size - offset)))

    def folder(self, extents: Iterable[tuple[int, int]]) -> bytes:
        """Give what describes a folder or a name.

        Folders that lie on each other can ask for more than the disc has, and are refused then.
        """
        data = []
        for offset, length in extents:
            self._folder_bytes -= length
            if self._folder_bytes < 0:
                raise ImageRejected(
                    "its folders take more room than it has, or more than any real disc's",
                    COPY_AGAIN,
                )
            data.append(self.piece(offset, length, "a folder"))
        return data[0] if len(data) == 1 else b"".join(data)


def joined(extents: Iterable[tuple[int, int]]) -> Extents:
    """Leave out empty pieces, and make one of those that follow each other."""
    result: list[tuple[int, int]] = []
    for offset, length in extents:
        if result and sum(result[-1]) == offset:
            result[-1] = (result[-1][0], result[-1][1] + length)
        elif length:
            result.append((offset, length))
    return tuple(result)


def u16(data: bytes, offset: int) -> int:
    """Read a number of two bytes, the low one first."""
    return int.from_bytes(data[offset : offset + 2], "little")


def u32(data: bytes, offset: int) -> int:
    """Read a number of four bytes, the lowest one first."""
    return int.from_bytes(data[offset : offset + 4], "little")
