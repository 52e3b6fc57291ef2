"""The folders of UDF (ECMA-167 part 4 §14; OSTA UDF 2.60 §2.3). Pure."""

from collections.abc import Iterator

from services.catalog.library.discs.found import Found, circle
from services.catalog.library.discs.source import Source, damaged, u16, u32
from services.catalog.library.discs.udf_volume import Node, UdfVolume

_FOLDER, _LINK = 4, 12
_REGULAR = (0, 5)
_DELETED, _PARENT = 0x04, 0x08
_IDENTIFIER = 257
MAX_TARGET = 2048

_TO_ROOT, _TO_PARENT, _TO_SELF = 2, 3, 4


def read_udf(source: Source) -> Found:
    """Walk through the tree. Raises ImageRejected."""
    volume = UdfVolume(source)
    found = Found("udf", source.size)
    folders = [("", 0, volume.node(*volume.root), volume.root)]
    seen: set[tuple[int, int]] = set()
    while folders:
        path, depth, node, place = folders.pop()
        if node.kind != _FOLDER or node.is_sparse:
            raise damaged("its UDF file system has a folder that is none")
        if place in seen:
            raise circle()
        seen.add(place)
        for name, inner in _identifiers(source.folder(node.pieces)):
            below = found.path(path, name)
            if below is None:
                continue
            child = volume.node(*inner)
            if child.kind == _FOLDER:
                found.folder(below, depth + 1)
                folders.append((below, depth + 1, child, inner))
            else:
                _note(source, found, below, child)
    return found


def _note(source: Source, found: Found, path: str, node: Node) -> None:
    if node.kind == _LINK and sum(length for _, length in node.pieces) <= MAX_TARGET:
        found.link(path, _target(source.folder(node.pieces)))
    elif node.kind not in _REGULAR:
        found.leave_out("special")
    elif node.is_sparse:
        found.leave_out("sparse", sum(length for _, length in node.pieces))
    else:
        found.file(path, node.pieces)


def _identifiers(data: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """Give names of a folder, and where what they name is described (ECMA-167 4/14.4)."""
    at = 0
    while at + 38 <= len(data):
        name, extra = data[at + 19], u16(data, at + 36)
        start = at + 38 + extra
        if u16(data, at) != _IDENTIFIER or start + name > len(data):
            raise damaged("its UDF file system has a folder with what is no name")
        if not data[at + 18] & (_DELETED | _PARENT):
            place = (u32(data, at + 24), u16(data, at + 28))
            yield _text(data[start : start + name]), place
        at = start + name + -(start + name - at) % 4


def _target(data: bytes) -> str:
    """Read where a symbolic link leads (ECMA-167 4/14.16)."""
    parts, at = [], 0
    while at + 4 <= len(data):
        kind, length = data[at], data[at + 1]
        if kind <= _TO_ROOT:
            parts = [""]
        elif kind in {_TO_PARENT, _TO_SELF}:
            parts.append(".." if kind == _TO_PARENT else ".")
        else:
            parts.append(_text(data[at + 4 : at + 4 + length]))
        at += 4 + length
    return "/".join(parts) or "/"


def _text(data: bytes) -> str:
    """Read compressed Unicode (UDF 2.60 §2.1.1)."""
    form, text = data[:1], data[1:]
    if form in {b"\x10", b"\xff"}:
        return text.decode("utf-16-be", "replace")
    return text.decode("latin-1") if form in {b"\x08", b"\xfe"} else "\ufffd" * bool(data)
