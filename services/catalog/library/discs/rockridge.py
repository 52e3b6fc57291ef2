"""What Rock Ridge adds to the records of ISO 9660: long names, links, moved folders. Pure.

IEEE P1281 (SUSP 1.12: `SP CE ST ER`) and P1282 (RRIP 1.12: `PX NM SL CL RE SF`); `ZF` is zisofs.
"""

from collections.abc import Callable

import msgspec

from services.catalog.library.discs.source import damaged, u32

MAX_CONTINUATIONS = 64
"""Of one record; a name and a link of the longest kind need three."""
MAX_TARGET = 1024

_EXTENSIONS = (b"RRIP_1991A", b"IEEE_P1282", b"IEEE_1282")
_CONTINUES, _CURRENT, _PARENT, _ROOT = 1, 2, 4, 8

Continuation = Callable[[int, int, int], bytes]
"""Bytes by block, offset and length."""


class Additions(msgspec.Struct):
    """What Rock Ridge says of one record."""

    name: bytes = b""
    mode: int | None = None
    """As stat(2) has it."""
    target: str | None = None
    """Of a symbolic link."""
    child: int | None = None
    """Block of the folder that was moved away from here, because it lay too deep."""
    is_moved: bool = False
    """It is such a folder, where it was moved to."""
    is_compressed: bool = False
    is_sparse: bool = False


def entry_skip(area: bytes, continuation: Continuation) -> int | None:
    """Tell from the root's own record how many bytes precede the entries in every other one.

    None: the disc has no Rock Ridge.
    """
    if area[:2] != b"SP" or area[4:6] != b"\xbe\xef" or len(area) < 7:
        return None
    for signature, body in _entries(area, continuation):
        is_named = signature == b"ER" and body and body[4 : 4 + body[0]] in _EXTENSIONS
        if is_named or signature in {b"RR", b"PX"}:
            return area[6]
    return None


def read_additions(area: bytes, continuation: Continuation) -> Additions:
    """Read what stands behind the name of a record. Raises ImageRejected for a circle."""
    found = Additions()
    link: _Link | None = None
    for signature, body in _entries(area, continuation):
        if signature == b"NM" and body and not body[0] & (_CURRENT | _PARENT):
            found.name += body[1:]
        elif signature == b"PX" and len(body) >= 4:
            found.mode = u32(body, 0)
        elif signature == b"SL" and body:
            link = link or _Link()
            link.add(body[1:])
        elif signature == b"CL" and len(body) >= 4:
            found.child = u32(body, 0)
        elif signature == b"RE":
            found.is_moved = True
        elif signature in {b"ZF", b"Z2"}:
            found.is_compressed = True
        elif signature == b"SF":
            found.is_sparse = True
    if link is not None:
        found.target = link.target()
    return found


def _entries(area: bytes, continuation: Continuation) -> list[tuple[bytes, bytes]]:
    """Give signature and body of every entry, following `CE`."""
    entries: list[tuple[bytes, bytes]] = []
    following: tuple[int, int, int] | None = None
    for _ in range(MAX_CONTINUATIONS):
        at, end, following = 0, len(area), None
        while at + 4 <= end:
            length = area[at + 2]
            if length < 4 or at + length > end:
                break
            signature = area[at : at + 2]
            if signature == b"ST":
                break
            if signature == b"CE" and length >= 28:
                following = (u32(area, at + 4), u32(area, at + 12), u32(area, at + 20))
            else:
                entries.append((signature, area[at + 4 : at + length]))
            at += length
        if following is None:
            return entries
        area = continuation(*following)
    raise damaged("what belongs to a name on it goes round in a circle")


class _Link:
    """The target of a symbolic link, put together from its components (RRIP §4.1.3)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._continues = False
        self._length = 0

    def add(self, components: bytes) -> None:
        at = 0
        while at + 2 <= len(components):
            flags, length = components[at], components[at + 1]
            text = components[at + 2 : at + 2 + length]
            at += 2 + length
            if flags & _ROOT:
                self._parts = [b""]
                continue
            text = b"." if flags & _CURRENT else b".." if flags & _PARENT else text
            self._length += len(text) + 1
            if self._continues and self._parts:
                self._parts[-1] += text
            else:
                self._parts.append(text)
            self._continues = bool(flags & _CONTINUES)

    def target(self) -> str | None:
        if not self._parts or self._length > MAX_TARGET:
            return None
        return b"/".join(self._parts).decode("utf-8", "replace") or "/"
