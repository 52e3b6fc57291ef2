"""Discs that are large: one file of 5 GiB, and 100 000 files."""

import os
from pathlib import Path

import pytest

from services.catalog.library.discs.indexing import index_disc
from services.catalog.library.discs.store import DiscStore
from tests.catalog.discs.builders import (
    content,
    files_of,
    genisoimage,
    make_folder,
    noise,
    read,
    xorriso,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

GIB = 1024**3
SIZE = 5 * GIB + 12_345
MARKS = (0, 2**30 - 2048, 4 * GIB - 8, 4 * GIB, SIZE - 8)


def _mark(offset: int) -> bytes:
    return noise(f"mark-{offset}", 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of 5 GiB that is marked where sections end."""
    folder = make_folder(tmp_path / "large", {"README.TXT": b"r", "sources/boot.wim": 5000})
    with (folder / "sources/install.wim").open("wb") as file:
        os.truncate(file.fileno(), SIZE)
        for offset in MARKS:
            os.pwrite(file.fileno(), _mark(offset), offset)
    return folder


@pytest.mark.parametrize(
    ("tree", "options"),
    [
        ("rock-ridge", ("-R", "-J")),
        ("joliet", ("--norock", "-J")),
        ("iso9660", ("--norock",)),
        ("udf", ()),
    ],
)
def test_a_file_of_5_gib(tmp_path: Path, folder: Path, tree: str, options: tuple[str, ...]) -> None:
    disc = tmp_path / "large.iso"
    if tree == "udf":
        genisoimage(disc, folder, "-udf", "-allow-limited-size", "-R")
    else:
        xorriso(disc, folder, "-iso-level", "3", *options)
    index = read(disc)
    assert index.tree == tree
    paths = {path.casefold(): path for path in index.files}
    extents = index.files[paths["sources/install.wim"]]
    assert sum(length for _, length in extents) == SIZE
    assert content(disc, index, paths["sources/boot.wim"]) == noise("sources/boot.wim", 5000)
    with disc.open("rb") as file:
        for offset in MARKS:
            assert os.pread(file.fileno(), 8, _place(extents, offset)) == _mark(offset)
    disc.unlink()


def _place(extents: tuple[tuple[int, int], ...], offset: int) -> int:
    for start, length in extents:
        if offset < length:
            return start + offset
        offset -= length
    raise AssertionError(offset)


@pytest.mark.parametrize("options", [("-R", "-J"), ("-R", "-udf")])
async def test_100_000_files(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = make_folder(
        tmp_path / "many",
        {f"folder-{n // 100:04}/file-{n % 100:04}.txt": b"%d" % n for n in range(100_000)},
    )
    disc = tmp_path / "many.iso"
    make = genisoimage if "-udf" in options else xorriso
    make(disc, folder, *options)
    store = DiscStore(tmp_path / "store")
    store.prepare()
    opened = store.open(await index_disc(disc, store))
    assert opened is not None
    expected = files_of(folder)
    assert set(opened.paths()) == set(expected)
    with disc.open("rb") as file:
        for number in range(0, 100_000, 997):
            path = f"FOLDER-{number // 100:04}/file-{number % 100:04}.TXT"
            ((offset, length),) = opened.extents(path)
            assert os.pread(file.fileno(), length, offset) == b"%d" % number
    assert len(opened.glob("folder-00??/file-0001.txt")) == 100
