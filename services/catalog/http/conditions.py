"""Conditional and partial requests, decided from header text (RFC 9110 §13 and §14). Pure."""

import re
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from enum import Enum

import msgspec

Extents = tuple[tuple[int, int], ...]

_ETAG = re.compile(r'(W/)?"([^"]*)"')
_RANGE = re.compile(r"(\d*)-(\d*)")


class Verdict(Enum):
    """What the preconditions say."""

    PROCEED = 200
    NOT_MODIFIED = 304
    FAILED = 412


class Validators(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one state of a file from another."""

    etag: str
    """The header's value, with its quotes; always a strong one."""
    modified: int | None = None
    """Seconds since 1970."""

    @property
    def headers(self) -> dict[str, str]:
        """The header fields that carry them."""
        fields = {"ETag": self.etag}
        if self.modified is not None:
            fields["Last-Modified"] = formatdate(self.modified, usegmt=True)
        return fields


class Span(msgspec.Struct, frozen=True):
    """A part of a file: `length` bytes from `start`."""

    start: int
    length: int


class Unsatisfiable(Exception):
    """A range that lies outside the file, or is none; answered with 416."""


def check_preconditions(headers: Mapping[str, str], validators: Validators) -> Verdict:
    """Evaluate If-Match … If-Modified-Since, in the order of RFC 9110 §13.2.2, for GET and HEAD."""
    if "If-Match" in headers:
        if not _lists(headers["If-Match"], validators.etag, weak=False):
            return Verdict.FAILED
    elif _is_before(headers.get("If-Unmodified-Since"), validators.modified):
        return Verdict.FAILED
    if "If-None-Match" in headers:
        if _lists(headers["If-None-Match"], validators.etag, weak=True):
            return Verdict.NOT_MODIFIED
    elif validators.modified is not None:
        since = _date(headers.get("If-Modified-Since"))
        if since is not None and validators.modified <= since:
            return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def choose_span(headers: Mapping[str, str], validators: Validators, size: int) -> Span | None:
    """Find the part that a GET asks for; None for the whole file. Raises Unsatisfiable.

    Another unit than bytes, several ranges at once, and a range of another state of the file
    (If-Range) get the whole file, as RFC 9110 §14.2 allows. A malformed range is refused: iPXE
    built for 32-bit BIOS asks for `bytes=u-u` (ipxe#767), and the whole file is no answer to that.
    """
    unit, _, ranges = headers.get("Range", "").partition("=")
    if unit.strip().lower() != "bytes" or "," in ranges:
        return None
    if "If-Range" in headers and not _is_current(headers["If-Range"], validators):
        return None
    match = _RANGE.fullmatch(ranges.strip())
    if match is None or ranges.strip() == "-":
        raise Unsatisfiable(f"malformed range {ranges.strip()!r}")
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            raise Unsatisfiable(f"malformed range {ranges.strip()!r}")
    if start >= stop:
        raise Unsatisfiable(f"range {ranges.strip()!r} lies outside of {size} bytes")
    return Span(start, stop - start)


def cut(extents: Extents, span: Span) -> Extents:
    """Cut the extents of a span out of those of a file."""
    parts = []
    position, end = 0, span.start + span.length
    for offset, length in extents:
        first = max(position, span.start)
        last = min(position + length, end)
        if first < last:
            parts.append((offset + first - position, last - first))
        position += length
    return tuple(parts)


def _lists(header: str, etag: str, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    return any(
        f'"{value}"' == etag and (weak or not is_weak) for is_weak, value in _ETAG.findall(header)
    )


def _is_current(header: str, validators: Validators) -> bool:
    text = header.strip()
    if text.startswith(('"', "W/")):
        return text == validators.etag
    return validators.modified is not None and _date(text) == validators.modified


def _is_before(header: str | None, modified: int | None) -> bool:
    date = _date(header)
    return date is not None and modified is not None and date < modified


def _date(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError):
        return None
