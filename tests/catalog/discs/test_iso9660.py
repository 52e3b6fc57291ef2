"""ISO 9660 and Rock Ridge, structure by structure, on discs that were written byte by byte."""

import os
from pathlib import Path

import pytest

from services.catalog.library.discs.index import Extents
from tests.catalog.discs import crafted as c
from tests.catalog.discs.builders import read, read_bytes
from tests.catalog.discs.crafted import FIRST_FREE, ROOT, SECTOR

REGULAR = c.px(0o100644)
SECTION = 0xFFFFF800
"""The longest one that programs write: 4 GiB less a sector."""


def _tree(*records: bytes, rock: bool = True) -> dict[str, Extents]:
    root = c.folder(ROOT, *records, own=c.ROCK_RIDGE if rock else b"")
    return read_bytes(c.disc(root)).files


def _sections(name: bytes, extra: bytes = b"") -> tuple[bytes, ...]:
    """Make the records of a file of 5 GiB, as xorriso does."""
    second = 5 * 1024**3 - SECTION
    return (
        c.record(name, 100, SECTION, flags=0x80, extra=extra),
        c.record(name, 100 + SECTION // SECTOR, second, extra=extra),
    )


@pytest.mark.parametrize("tree", ["rock-ridge", "joliet", "iso9660"])
def test_a_file_of_5_gib_has_all_its_sections(tmp_path: Path, tree: str) -> None:
    name = {"joliet": "big.wim".encode("utf-16-be")}.get(tree, b"BIG.WIM;1")
    extra = c.nm(b"big.wim") + REGULAR if tree == "rock-ridge" else b""
    # A second one in two places, which no reader may take for one piece.
    apart = (
        c.record(name.replace(b"W", b"X").replace(b"w", b"x"), 50, SECTOR, flags=0x80),
        c.record(name.replace(b"W", b"X").replace(b"w", b"x"), 60, 7),
    )
    records = (*_sections(name, extra), *apart)
    own = c.ROCK_RIDGE if tree == "rock-ridge" else b""
    joliet = FIRST_FREE if tree == "joliet" else None
    blocks = {FIRST_FREE: c.folder(FIRST_FREE, *records)} if joliet else {}
    root = c.folder(ROOT) if joliet else c.folder(ROOT, *records, own=own)
    disc = tmp_path / "big.iso"
    disc.write_bytes(c.disc(root, blocks, joliet=joliet, said=2_700_000))
    os.truncate(disc, 2_700_000 * SECTOR)
    index = read(disc)
    assert index.tree == tree
    files = {path.casefold(): extents for path, extents in index.files.items()}
    assert files["big.wim"] == ((100 * SECTOR, 5 * 1024**3),)
    assert files["big.xim"] == ((50 * SECTOR, SECTOR), (60 * SECTOR, 7))


def test_rock_ridge_goes_before_joliet() -> None:
    root = c.folder(ROOT, c.record(b"A;1", 30, 1, extra=c.nm(b"rock")), own=c.ROCK_RIDGE)
    joliet = c.folder(FIRST_FREE, c.record("joliet".encode("utf-16-be"), 30, 1))
    index = read_bytes(c.disc(root, {FIRST_FREE: joliet}, joliet=FIRST_FREE))
    assert (index.tree, list(index.files)) == ("rock-ridge", ["rock"])


def test_joliet_goes_before_plain_names() -> None:
    root = c.folder(ROOT, c.record(b"PLAIN;1", 30, 1))
    names = ("joliet;1".encode("utf-16-be"), b"\xd8\x00\x00x", b"odd")
    joliet = c.folder(FIRST_FREE, *(c.record(name, 30, 1) for name in names))
    index = read_bytes(c.disc(root, {FIRST_FREE: joliet}, joliet=FIRST_FREE))
    assert index.tree == "joliet"
    assert list(index.files) == ["joliet", "\ufffdx", "\u6f64\ufffd"]


def test_other_system_use_is_no_rock_ridge() -> None:
    root = c.folder(ROOT, c.record(b"A.;1", 30, 1, extra=c.nm(b"no")), own=c.entry(b"ZZ", b"x"))
    index = read_bytes(c.disc(root))
    assert (index.tree, list(index.files)) == ("iso9660", ["A"])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"README.;1", "README"),
        (b"README.TXT;1", "README.TXT"),
        (b"README.TXT;32767", "README.TXT"),
        (b"README", "README"),
        (b"A;B", "A;B"),
        (b"\xe4.TXT;1", "\ufffd.TXT"),
    ],
)
def test_plain_names(name: bytes, path: str) -> None:
    assert list(_tree(c.record(name, 30, 1), rock=False)) == [path]


def test_names_in_pieces_and_elsewhere() -> None:
    here = c.nm(b"begins", 1) + c.ce(30, 100, 60)
    there = c.nm(b"-goes-on", 1) + c.ce(31, 0, 40)
    root = c.folder(ROOT, c.record(b"A;1", 40, 9, extra=here), own=c.ROCK_RIDGE)
    data = c.disc(root, {30: bytes(100) + there, 31: c.nm(b"-ends") + REGULAR})
    assert list(read_bytes(data).files) == ["begins-goes-on-ends"]


def test_entries_behind_other_bytes() -> None:
    own = c.entry(b"SP", b"\xbe\xef\x0e") + c.ER
    root = c.folder(ROOT, c.record(b"A;1", 30, 1, extra=bytes(14) + c.nm(b"name")), own=own)
    assert list(read_bytes(c.disc(root)).files) == ["name"]


def test_a_folder_that_was_moved_is_where_it_came_from() -> None:
    deep = c.folder(31, c.record(b"F;1", 40, 5, extra=c.nm(b"file")))
    moved = c.folder(30, c.record(b"D", 31, SECTOR, flags=2, extra=c.nm(b"deep") + c.RE))
    root = c.folder(
        ROOT,
        c.record(b"RR_MOVED", 30, SECTOR, flags=2, extra=c.nm(b"rr_moved")),
        c.record(b"D", 31, 0, extra=c.nm(b"deep") + c.cl(31)),
        own=c.ROCK_RIDGE,
    )
    assert list(read_bytes(c.disc(root, {30: moved, 31: deep})).files) == ["deep/file"]


def test_devices_and_compressed_files_are_left_out_and_said() -> None:
    def entry(name: bytes, extra: bytes) -> bytes:
        return c.record(name.upper(), 30, 9, extra=c.nm(name) + extra)

    root = c.folder(
        ROOT,
        entry(b"file", REGULAR),
        entry(b"tty", c.px(0o020600)),
        entry(b"sda", c.px(0o060600)),
        entry(b"fifo", c.px(0o010600)),
        entry(b"socket", c.px(0o140600)),
        entry(b"packed", REGULAR + c.ZF),
        entry(b"holes", REGULAR + c.entry(b"SF", c.both(0))),
        own=c.ROCK_RIDGE,
    )
    index = read_bytes(c.disc(root))
    assert list(index.files) == ["file"]
    assert set(index.notes) == {
        "4 of its entries are left out: neither a file nor a folder (devices, pipes)",
        "1 of its entries is left out: stored with holes",
        "1 of its entries is left out: stored compressed (zisofs), which only Linux can read",
    }


def test_an_extended_attribute_record_precedes_the_data() -> None:
    root = c.folder(ROOT, c.record(b"A;1", 30, 9, attributes=2))
    assert read_bytes(c.disc(root)).files == {"A": ((32 * SECTOR, 9),)}


def test_blocks_of_1024_bytes() -> None:
    data = bytearray(c.disc(b"", block_size=1024, said=128, root_length=SECTOR))
    root = c.folder(ROOT, c.record(b"A;1", 51, 9)).ljust(SECTOR, b"\0")
    data[ROOT * 1024 : ROOT * 1024 + SECTOR] = root
    assert read_bytes(bytes(data)).files == {"A": ((51 * 1024, 9),)}


def test_volume_texts() -> None:
    index = read_bytes(c.disc(c.folder(ROOT, c.record(b"A;1", 30, 1))))
    assert (index.volume_id, index.system_id) == ("CRAFTED", "LINUX")
    assert index.boot == ()
