"""Discs that were made to do harm are refused with a sentence, or read for what they hold."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootyard.model.errors import ImageRejected
from services.catalog.library.discs import indexing
from services.catalog.library.discs.store import DiscStore
from tests.catalog.discs import crafted as c
from tests.catalog.discs.builders import read_bytes
from tests.catalog.discs.checks import check
from tests.catalog.discs.hostile import REJECTED, SANE


@pytest.mark.parametrize("name", REJECTED)
def test_refused(name: str) -> None:
    with pytest.raises(ImageRejected) as refused:
        read_bytes(REJECTED[name])
    assert refused.value.problem.startswith(("it ", "its ", "there ", "a path ", "all "))
    assert refused.value.cure


@pytest.mark.parametrize("name", SANE)
def test_read(name: str) -> None:
    data, files = SANE[name]
    index = read_bytes(data)
    check(index)
    assert set(index.files) == files


def test_what_is_wrong_is_said() -> None:
    def problem(name: str) -> str:
        with pytest.raises(ImageRejected) as refused:
            read_bytes(REJECTED[name])
        return refused.value.problem

    assert "not complete" in problem("says-it-is-larger")
    assert "A lies beyond its end" in problem("file-outside")
    assert "inside itself" in problem("folder-in-itself")
    assert "inside itself" in problem("many-folders-that-are-one")
    assert "more room than it has" in problem("folders-on-each-other")
    assert "64 deep" in problem("too-deep")
    assert "1024 characters" in problem("path-too-long")
    assert "circle" in problem("continuation-circle")
    assert "*UDF Virtual Partition" in problem("udf-virtual")
    assert "only a UDF file system" in problem("udf-alone")
    assert "more pieces" in problem("udf-many-pieces-many-times")
    assert "in a circle" in problem("udf-pieces-circle-that-gives-some")
    assert "web page" in problem("web-page")


def test_links_stay_on_the_disc() -> None:
    index = read_bytes(SANE["links-in-circles"][0])
    assert index.links == {"root": "", "good": "real"}


@pytest.mark.parametrize("name", ["plain", "names-that-climb", "udf-with-holes"])
def test_cut_off_anywhere(name: str) -> None:
    data = SANE[name][0]
    for length in range(0, len(data), 1021):
        try:
            check(read_bytes(data[:length]))
        except ImageRejected:
            continue


_FLIPPED = (
    *(SANE[name][0] for name in ("plain", "names-that-climb", "links-in-circles")),
    *(SANE[name][0] for name in ("udf-deleted-and-strange-names", "udf-with-holes")),
    SANE["catalogue-without-end"][0],
)
_WRITTEN = [[at for at, byte in enumerate(data) if byte] for data in _FLIPPED]


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_changed_bytes_do_no_harm(drawn: st.DataObject) -> None:
    number = drawn.draw(st.integers(0, len(_FLIPPED) - 1))
    data = bytearray(_FLIPPED[number])
    # Among what means something: most of a disc is zeros that nobody reads.
    near = st.builds(
        lambda at, by: (at + by) % len(data), st.sampled_from(_WRITTEN[number]), st.integers(-3, 3)
    )
    for at, value in drawn.draw(st.dictionaries(near, st.integers(0, 255), max_size=8)).items():
        data[at] = value
    try:
        index = read_bytes(bytes(data))
    except ImageRejected:
        return
    check(index)


def _sparse(path: Path, head: bytes, size: int) -> Path:
    path.write_bytes(head)
    os.truncate(path, size)
    return path


def _one_huge_folder(path: Path, each: int) -> Path:
    """Make a folder of a million files, `each` in a sector."""
    head = c.disc(b"", size=24, said=2**21, root_length=1_000_000 // each * c.SECTOR)
    records = b"".join(c.record(b"%08d;1" % number, 24, 1) for number in range(each))
    sector = records.ljust(c.SECTOR, b"\0")
    path.write_bytes(head[: 20 * c.SECTOR] + sector * (1_000_000 // each))
    os.truncate(path, 2**32)
    return path


async def test_bombs_end_with_their_process(tmp_path: Path) -> None:
    store = DiscStore(tmp_path / "store")
    store.prepare()
    huge = _sparse(
        tmp_path / "huge.iso", c.disc(c.folder(20), said=2**21, root_length=0x7FFFF800), 2**32
    )
    for disc, problem in (
        (huge, "more room"),
        (_one_huge_folder(tmp_path / "million.iso", 40), "more than 300000 files"),
    ):
        with pytest.raises(ImageRejected, match=problem):
            await indexing.index_disc(disc, store)
    assert list(store.directory.iterdir()) == []
