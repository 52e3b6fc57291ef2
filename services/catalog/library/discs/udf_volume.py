"""Where UDF keeps its blocks: from the anchor to the file set (ECMA-167 part 3; UDF 2.60 §2). Pure.

Partitions are of type 1, or with metadata of their own (UDF 2.50 §2.2.10: Windows discs do without,
Blu-ray discs have it). Blocks have 2048 bytes, as on every disc.
"""

from bisect import bisect_right

import msgspec

from bootyard.model.errors import ImageRejected
from services.catalog.library.discs.found import MAX_EXTENTS
from services.catalog.library.discs.index import Extents
from services.catalog.library.discs.source import (
    COPY_AGAIN,
    SECTOR,
    Source,
    damaged,
    joined,
    u16,
    u32,
)

MAX_DESCRIPTORS = 128
MAX_MAPS = 8

_ANCHOR, _POINTER, _PARTITION, _LOGICAL, _END = 2, 3, 5, 6, 8
_FILE_SET, _MORE_PIECES, _FILE, _LONG_FILE = 256, 258, 261, 266
_METADATA, _SPARABLE = b"*UDF Metadata Partition", b"*UDF Sparable Partition"
_RECORDED, _CONTINUED = 0, 3
_NO_END = 2**44
"""More than any partition has; what lies behind the end of the file is seen where it is used."""
_SHORT, _LONG, _EMBEDDED = 0, 1, 3


class Node(msgspec.Struct, frozen=True):
    """What an information control block says of a file or folder."""

    kind: int
    """4 folder, 5 file, 12 symbolic link, …: ECMA-167 4/14.6.6."""
    pieces: list[tuple[int, int]]
    """In bytes of the disc; together as long as the file."""
    is_sparse: bool = False


class _Pieces:
    """Bytes that lie in pieces."""

    def __init__(self, extents: Extents) -> None:
        self._extents = extents
        self._starts = [0]
        for _, length in extents:
            self._starts.append(self._starts[-1] + length)

    def cut(self, start: int, length: int) -> list[tuple[int, int]]:
        """Find where `length` bytes from `start` on lie."""
        found = []
        number = bisect_right(self._starts, start) - 1
        while length and number < len(self._extents):
            offset, size = self._extents[number]
            skipped = start - self._starts[number]
            taken = min(length, size - skipped)
            found.append((offset + skipped, taken))
            start, length, number = start + taken, length - taken, number + 1
        if length:
            raise damaged("UDF names a block that its partition does not have")
        return found


class UdfVolume:
    """The blocks of a disc by partition reference and number. Reading raises ImageRejected."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._extents_left = MAX_EXTENTS
        self._partitions: list[_Pieces] = []
        found = _descriptors(source)
        logical = found.get(_LOGICAL)
        if logical is None:
            raise damaged("its UDF file system has no volume")
        if u32(logical, 212) != SECTOR:
            raise _unknown(f"blocks of {u32(logical, 212)} bytes")
        self._map(logical, found)
        self.root = self._root(logical)
        """Of the root folder: block and partition reference."""

    def node(self, block: int, reference: int) -> Node:
        """Read an information control block."""
        [(offset, _), *_] = where = self._locate(block, SECTOR, reference)
        data = self._read(where)
        kind = _tag(data)
        if kind == _FILE:
            start = 176 + u32(data, 168)
            end = start + u32(data, 172)
        elif kind == _LONG_FILE:
            start = 216 + u32(data, 208)
            end = start + u32(data, 212)
        else:
            raise damaged("its UDF file system has no file where one should be")
        if end > SECTOR:
            raise damaged("its UDF file system has a file that is described too long")
        if u16(data, 20) != 4:
            raise _unknown(f"files of strategy {u16(data, 20)}")
        length = int.from_bytes(data[56:64], "little")
        form = data[34] & 7
        if form == _EMBEDDED:
            if length > end - start:
                raise damaged("its UDF file system has a file that ends behind its description")
            return Node(data[27], [(offset + start, length)])
        pieces, is_sparse = self._pieces(data[start:end], form, reference, length)
        return Node(data[27], pieces, is_sparse)

    def _pieces(
        self, descriptors: bytes, form: int, reference: int, length: int
    ) -> tuple[list[tuple[int, int]], bool]:
        """Follow allocation descriptors (ECMA-167 4/12) for `length` bytes."""
        if form not in {_SHORT, _LONG}:
            raise _unknown(f"allocation descriptors of form {form}")
        pieces: list[tuple[int, int]] = []
        left, is_sparse = length, False
        seen: set[tuple[int, int]] = set()
        following: tuple[int, int] | None = (0, 0)
        while following is not None and left:
            following = None
            size = 8 if form == _SHORT else 16
            for at in range(0, len(descriptors) - size + 1, size):
                said, block = u32(descriptors, at), u32(descriptors, at + 4)
                where = reference if form == _SHORT else u16(descriptors, at + 8)
                kind, taken = said >> 30, min(said & 0x3FFFFFFF, left)
                self._count()
                if not taken:
                    break
                if kind == _CONTINUED:
                    following = (block, where)
                    break
                left -= taken
                if kind == _RECORDED:
                    pieces += self._locate(block, taken, where)
                else:
                    is_sparse = True
            if following in seen:
                raise damaged("its UDF file system has a file whose pieces go round in a circle")
            if following is not None:
                seen.add(following)
                descriptors = self._following(*following)
        if left:
            raise damaged("its UDF file system has a file with less bytes than it says")
        return pieces, is_sparse

    def _following(self, block: int, reference: int) -> bytes:
        self._count()
        data = self._read(self._locate(block, SECTOR, reference))
        if _tag(data) != _MORE_PIECES:
            raise damaged("its UDF file system has a file that is described in part only")
        return data[24 : 24 + u32(data, 20)]

    def _count(self) -> None:
        self._extents_left -= 1
        if self._extents_left < 0:
            raise ImageRejected(
                "its files lie in more pieces than those of any real disc", COPY_AGAIN
            )

    def _locate(self, block: int, length: int, reference: int) -> list[tuple[int, int]]:
        if reference >= len(self._partitions):
            raise damaged("UDF names a partition that is not there")
        return self._partitions[reference].cut(block * SECTOR, length)

    def _read(self, where: list[tuple[int, int]]) -> bytes:
        return b"".join(self.source.piece(*each, "a file of UDF") for each in where)

    def _map(self, logical: bytes, found: dict[int, bytes]) -> None:
        """Read the partition maps (ECMA-167 3/10.7)."""
        at, last = 440, min(SECTOR, 440 + u32(logical, 264))
        for _ in range(min(u32(logical, 268), MAX_MAPS)):
            length = logical[at + 1] if at + 2 <= last else 0
            if length not in {6, 64} or at + length > last:
                raise damaged("its UDF file system has a partition of no known kind")
            each = logical[at : at + length]
            number = u16(each, 4 if length == 6 else 38)
            partition = found.get(_key(number))
            if partition is None:
                raise damaged("its UDF file system lacks a partition")
            start = u32(partition, 188) * SECTOR
            physical = _Pieces(((start, _NO_END),))
            if length == 6:
                self._partitions.append(physical)
            elif each[5:28] == _METADATA:
                self._partitions.append(self._metadata(each, physical))
            elif each[5:28] == _SPARABLE:
                self._check_spares(each)
                self._partitions.append(physical)
            else:
                name = each[5:28].rstrip(b"\0").decode("ascii", "replace")
                raise _unknown(f"a partition of the kind {name}")
            at += length

    def _metadata(self, map_: bytes, physical: _Pieces) -> _Pieces:
        """Find the file that a metadata partition is, by its main copy or the mirror."""
        self._partitions.append(physical)
        reference = len(self._partitions) - 1
        try:
            try:
                node = self.node(u32(map_, 40), reference)
            except ImageRejected:
                node = self.node(u32(map_, 44), reference)
        finally:
            self._partitions.pop()
        if node.is_sparse:
            raise _unknown("a metadata partition with holes")
        return _Pieces(joined(node.pieces))

    def _check_spares(self, map_: bytes) -> None:
        """Refuse a partition with blocks that were moved for bad ones (UDF 2.60 §2.2.9, §2.2.12).

        None is in a file that was made for copying, only in what was read from a rewritten disc.
        """
        for number in range(min(map_[42], 4)):
            table = self.source.up_to(u32(map_, 48 + 4 * number) * SECTOR, SECTOR)
            count = u16(table, 48)
            entries = [u32(table, 56 + 8 * entry) for entry in range(min(count, 249))]
            if count > 249 or any(entry < 0xFFFFFFF0 for entry in entries):
                raise _unknown("blocks that were moved for bad ones")

    def _root(self, logical: bytes) -> tuple[int, int]:
        block, reference = u32(logical, 252), u16(logical, 256)
        data = self._read(self._locate(block, SECTOR, reference))
        if _tag(data) != _FILE_SET:
            raise damaged("its UDF file system has no root folder")
        return u32(data, 404), u16(data, 408)


def _descriptors(source: Source) -> dict[int, bytes]:
    """Collect volume descriptors: by tag, partitions by their number; the newest of each."""
    last = source.size // SECTOR - 1
    problem = damaged("its UDF file system has no anchor")
    for place in (256, last, last - 256, 512):
        anchor = source.up_to(max(0, place) * SECTOR, SECTOR)
        if _tag(anchor) != _ANCHOR:
            continue
        for main_or_reserve in (16, 24):
            length, start = u32(anchor, main_or_reserve), u32(anchor, main_or_reserve + 4)
            found = _sequence(source, start, length // SECTOR)
            if _LOGICAL in found:
                return found
        problem = damaged("its UDF file system has no volume")
    raise problem


def _sequence(source: Source, sector: int, count: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for _ in range(MAX_DESCRIPTORS):
        data = source.up_to(sector * SECTOR, SECTOR) if count > 0 else b""
        sector, count = sector + 1, count - 1
        kind = _tag(data)
        if kind in {None, _END}:
            break
        if kind == _POINTER:
            sector, count = u32(data, 24), u32(data, 20) // SECTOR
        elif kind in {_LOGICAL, _PARTITION}:
            key = _LOGICAL if kind == _LOGICAL else _key(u16(data, 22))
            if key not in found or u32(data, 16) >= u32(found[key], 16):
                found[key] = data
    return found


def _key(partition: int) -> int:
    return 0x10000 + partition


def _tag(data: bytes) -> int | None:
    """Tell what a descriptor is (ECMA-167 3/7.2); None when it is none."""
    if len(data) < 16 or (sum(data[:16]) - data[4]) & 0xFF != data[4]:
        return None
    return u16(data, 0)


def _unknown(what: str) -> ImageRejected:
    return ImageRejected(
        f"its UDF file system has {what}, which this version does not read",
        "copy what is on it into a folder here",
    )
