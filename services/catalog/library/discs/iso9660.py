"""The folders of ISO 9660, by the names of Rock Ridge, of Joliet or its own (ECMA-119 §9). Pure."""

from collections.abc import Iterator

from services.catalog.library.discs.descriptors import RootFolder, Volume
from services.catalog.library.discs.found import Found, LeftOut, circle
from services.catalog.library.discs.index import TreeKind
from services.catalog.library.discs.rockridge import Additions, entry_skip, read_additions
from services.catalog.library.discs.source import SECTOR, Source, damaged, u32

MAX_CONTINUATION = 2 * SECTOR
"""Where what belongs to a name goes on, that is within a sector (SUSP §5.1)."""

_FOLDER, _ASSOCIATED, _MORE_FOLLOWS = 0x02, 0x04, 0x80
_SELF, _PARENT = b"\0", b"\1"
_NO_ADDITIONS = Additions()
_TYPE, _REGULAR = 0o170000, 0o100000


def read_iso(source: Source, volume: Volume) -> Found:
    """Walk through the tree with the best names: Rock Ridge's, else Joliet's, else plain ones.

    Raises ImageRejected.
    """
    walk = _Walk(source, volume.root, "iso9660")
    skip = walk.rock_ridge_skip()
    if skip is not None:
        return _Walk(source, volume.root, "rock-ridge", skip).through()
    if volume.joliet is not None:
        return _Walk(source, volume.joliet, "joliet").through()
    return walk.through()


class _Walk:
    def __init__(self, source: Source, root: RootFolder, kind: TreeKind, skip: int = 0) -> None:
        self._source = source
        self._root = root
        self._block = root.block
        self._kind = kind
        self._skip = skip
        self._found = Found(kind, source.size)
        self._folders: list[tuple[str, int, int, int]] = []
        """Left to read: path, depth, offset, length."""
        self._seen: set[int] = set()

    def rock_ridge_skip(self) -> int | None:
        """Look at the root's record of itself; see `entry_skip`."""
        record = self._own_record(self._root.offset)
        return None if record is None else entry_skip(_behind_name(record), self._continuation)

    def through(self) -> Found:
        self._folders.append(("", 0, self._root.offset, self._root.length))
        while self._folders:
            path, depth, offset, length = self._folders.pop()
            if not length:
                continue
            if offset in self._seen:
                raise circle()
            self._seen.add(offset)
            data = self._source.folder([(offset, length)])
            self._folder(path, depth, data)
        return self._found

    def _folder(self, folder: str, depth: int, data: bytes) -> None:
        sections: list[tuple[int, int]] = []
        unfinished = b""
        for record in _records(data):
            flags = record[25]
            identifier = record[33 : 33 + record[32]]
            if identifier in {_SELF, _PARENT} or flags & _ASSOCIATED:
                continue
            if sections and identifier != unfinished:
                break
            offset = (u32(record, 2) + record[1]) * self._block
            sections.append((offset, u32(record, 10)))
            if flags & _MORE_FOLLOWS:
                unfinished = identifier
                continue
            self._entry(folder, depth, record, sections)
            sections = []
        if sections:
            raise damaged("a file on it lacks its last section")

    def _entry(
        self, folder: str, depth: int, record: bytes, sections: list[tuple[int, int]]
    ) -> None:
        said = _NO_ADDITIONS
        if self._kind == "rock-ridge":
            said = read_additions(_behind_name(record)[self._skip :], self._continuation)
            if said.is_moved:
                return
        path = self._found.path(folder, self._name(record, said))
        if path is None:
            return
        if record[25] & _FOLDER or said.child is not None:
            place = sections[0] if said.child is None else self._moved(said.child)
            self._found.folder(path, depth + 1)
            self._folders.append((path, depth + 1, *place))
        elif said.target is not None:
            self._found.link(path, said.target)
        elif (why := _not_served(record, said)) is not None:
            self._found.leave_out(why, sum(length for _, length in sections))
        else:
            self._found.file(path, sections)

    def _name(self, record: bytes, said: Additions) -> str:
        if said.name:
            return said.name.decode("utf-8", "replace")
        identifier = record[33 : 33 + record[32]]
        encoding = "utf-16-be" if self._kind == "joliet" else "utf-8"
        name = identifier.decode(encoding, "replace")
        if not record[25] & _FOLDER:
            stem, semicolon, version = name.rpartition(";")
            name = stem if semicolon and version.isdecimal() else name
            # Without Rock Ridge and Joliet, a name always has a full stop: `README.;1`.
            name = name.removesuffix(".") if self._kind != "joliet" else name
        return name

    def _moved(self, block: int) -> tuple[int, int]:
        """Find a folder that was moved: its length is in its own record only."""
        offset = block * self._block
        record = self._own_record(offset)
        if record is None:
            raise damaged("a folder that was moved is not where it should be")
        return offset, u32(record, 10)

    def _own_record(self, offset: int) -> bytes | None:
        data = self._source.piece(offset, SECTOR, "a folder")
        record = next(_records(data), None)
        return record if record is not None and record[33:34] == _SELF else None

    def _continuation(self, block: int, offset: int, length: int) -> bytes:
        if length > MAX_CONTINUATION or offset > MAX_CONTINUATION:
            raise damaged("what belongs to a name on it is impossibly long")
        return self._source.folder([(block * self._block + offset, length)])


def _not_served(record: bytes, said: Additions) -> LeftOut | None:
    if said.mode is not None and said.mode & _TYPE not in {_REGULAR, 0}:
        return "special"
    if said.is_compressed:
        return "zisofs"
    if said.is_sparse:
        return "sparse"
    return "interleaved" if record[26] and record[27] else None


def _records(data: bytes) -> Iterator[bytes]:
    at, end = 0, len(data)
    while at < end:
        length = data[at]
        if not length:
            # The rest of a sector that has no room for the next record.
            at += SECTOR - at % SECTOR
            continue
        if length < 34 or at + length > end or 33 + data[at + 32] > length:
            raise damaged("a folder holds what is no record of a file")
        yield data[at : at + length]
        at += length


def _behind_name(record: bytes) -> bytes:
    name = record[32]
    return record[33 + name + (name % 2 == 0) :]
