"""Conditional and partial requests by their headers alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.http.conditions import (
    Span,
    Unsatisfiable,
    Validators,
    Verdict,
    check_preconditions,
    choose_span,
    cut,
)

MODIFIED = 1_700_000_000
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
EARLIER = "Tue, 14 Nov 2023 22:13:19 GMT"
NOW = Validators(etag='"abc"', modified=MODIFIED)
SIZE = 1000


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-499", Span(0, 500)),
        ("bytes=500-", Span(500, 500)),
        ("bytes=-100", Span(900, 100)),
        ("bytes=-2000", Span(0, 1000)),
        ("bytes=990-5000", Span(990, 10)),
        ("Bytes = 5-6", Span(5, 2)),
        ("bytes=0-1,5-6", None),
        ("items=0-5", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_ranges(header: str, span: Span | None) -> None:
    assert choose_span({"Range": header}, NOW, SIZE) == span


@pytest.mark.parametrize(
    "header",
    ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=9-8", "bytes=u-u", "bytes=-", "bytes=a"],
)
def test_ranges_that_are_refused(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        choose_span({"Range": header}, NOW, SIZE)


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(Unsatisfiable):
        choose_span({"Range": "bytes=0-"}, NOW, 0)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [('"abc"', True), ('"other"', False), ('W/"abc"', False), (DATE, True), (EARLIER, False)],
)
def test_if_range(condition: str, holds: bool) -> None:
    span = choose_span({"Range": "bytes=1-2", "If-Range": condition}, NOW, SIZE)
    assert span == (Span(1, 2) if holds else None)


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, "PROCEED"),
        ({"If-Match": '"abc"'}, "PROCEED"),
        ({"If-Match": '"x", "abc"'}, "PROCEED"),
        ({"If-Match": "*"}, "PROCEED"),
        ({"If-Match": '"x"'}, "FAILED"),
        ({"If-Match": 'W/"abc"'}, "FAILED"),
        ({"If-Unmodified-Since": DATE}, "PROCEED"),
        ({"If-Unmodified-Since": EARLIER}, "FAILED"),
        ({"If-Match": '"abc"', "If-Unmodified-Since": EARLIER}, "PROCEED"),
        ({"If-None-Match": '"abc"'}, "NOT_MODIFIED"),
        ({"If-None-Match": 'W/"abc"'}, "NOT_MODIFIED"),
        ({"If-None-Match": "*"}, "NOT_MODIFIED"),
        ({"If-None-Match": '"x"'}, "PROCEED"),
        ({"If-Modified-Since": DATE}, "NOT_MODIFIED"),
        ({"If-Modified-Since": EARLIER}, "PROCEED"),
        ({"If-None-Match": '"x"', "If-Modified-Since": DATE}, "PROCEED"),
        ({"If-Modified-Since": "soon"}, "PROCEED"),
    ],
)
def test_preconditions(headers: dict[str, str], verdict: str) -> None:
    assert check_preconditions(headers, NOW) is Verdict[verdict]


@given(st.lists(st.integers(1, 40), max_size=6), st.data())
def test_cut_gives_the_bytes_of_the_span(lengths: list[int], data: st.DataObject) -> None:
    disk = bytes(range(256)) * 4
    offsets = [data.draw(st.integers(0, len(disk) - length)) for length in lengths]
    extents = tuple(zip(offsets, lengths, strict=True))
    whole = b"".join(disk[o : o + n] for o, n in extents)
    start = data.draw(st.integers(0, len(whole)))
    span = Span(start, data.draw(st.integers(0, len(whole) - start)))
    parts = cut(extents, span)
    assert b"".join(disk[o : o + n] for o, n in parts) == whole[start : start + span.length]


@given(st.text(max_size=40), st.integers(0, 2000))
def test_any_range_header_gives_a_span_inside_or_is_refused(header: str, size: int) -> None:
    try:
        span = choose_span({"Range": f"bytes={header}"}, NOW, size)
    except Unsatisfiable:
        return
    assert span is None or (span.length > 0 and 0 <= span.start <= size - span.length)
