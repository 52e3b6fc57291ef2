"""UDF, structure by structure, on discs that were written byte by byte."""

import os
from pathlib import Path

import pytest

from bootyard.model.errors import ImageRejected
from services.catalog.library.discs.index import Extents
from tests.catalog.discs import crafted as c
from tests.catalog.discs import crafted_udf as u
from tests.catalog.discs.builders import read, read_bytes, run
from tests.catalog.discs.crafted import SECTOR

AT = u.START * SECTOR
"""Where the partition begins."""
GIB = 1024**3
HELLO = u.icb(u.FILE, 5, u.short_ad(5, 10))
OTHER = u.fid("other", 9)


def _blocks(*identifiers: bytes, blocks: dict[int, bytes] | None = None) -> dict[int, bytes]:
    """Give a root folder with two more files than the README of ISO 9660."""
    root = u.embedded_folder(*identifiers, OTHER)
    return {2: root, 9: HELLO, 10: b"hello", **(blocks or {})}


def _extents(described: bytes, blocks: dict[int, bytes] | None = None) -> Extents:
    data = u.bridge(_blocks(u.fid("file", 3), blocks={3: described, **(blocks or {})}))
    index = read_bytes(data)
    assert index.tree == "udf"
    assert index.files["other"] == ((AT + 10 * SECTOR, 5),)
    return index.files["file"]


def test_short_and_long_descriptors() -> None:
    short = u.short_ad(SECTOR, 20) + u.short_ad(7, 30)
    assert _extents(u.icb(u.FILE, SECTOR + 7, short)) == (
        (AT + 20 * SECTOR, SECTOR),
        (AT + 30 * SECTOR, 7),
    )
    long = u.long_ad(SECTOR, 20) + u.long_ad(7, 21)
    described = u.icb(u.FILE, SECTOR + 7, long, u.LONG, extended=True)
    assert _extents(described) == ((AT + 20 * SECTOR, SECTOR + 7),)


@pytest.mark.parametrize(("extended", "header"), [(False, 176), (True, 216)])
def test_a_file_within_its_description(extended: bool, header: int) -> None:
    described = u.icb(u.FILE, 5, b"hello", u.EMBEDDED, extended=extended)
    assert _extents(described) == ((AT + 3 * SECTOR + header, 5),)
    assert described[header:] == b"hello"


def test_descriptors_that_go_on_elsewhere() -> None:
    first = u.short_ad(SECTOR, 20) + u.short_ad(SECTOR, 4, 3)
    second = u.more(u.short_ad(SECTOR, 30) + u.short_ad(SECTOR, 5, 3))
    third = u.more(u.short_ad(SECTOR, 40))
    assert _extents(u.icb(u.FILE, 3 * SECTOR - 1, first), {4: second, 5: third}) == (
        (AT + 20 * SECTOR, SECTOR),
        (AT + 30 * SECTOR, SECTOR),
        (AT + 40 * SECTOR, SECTOR - 1),
    )


def test_what_was_allocated_beyond_the_end_does_not_count() -> None:
    pieces = u.short_ad(SECTOR, 20) + u.short_ad(SECTOR, 30, 1)
    assert _extents(u.icb(u.FILE, 100, pieces)) == ((AT + 20 * SECTOR, 100),)
    empty = u.bridge(_blocks(u.fid("file", 3), u.fid("b", 9), blocks={3: u.icb(u.FILE, 0, b"")}))
    assert read_bytes(empty).files["file"] == ()


def test_a_file_of_5_gib(tmp_path: Path) -> None:
    most = 2**30 - SECTOR
    pieces = b"".join(
        u.short_ad(min(most, 5 * GIB - n * most), 50 + n * (most // SECTOR)) for n in range(6)
    )
    data = u.bridge(_blocks(u.fid("file", 3), blocks={3: u.icb(u.FILE, 5 * GIB, pieces)}))
    disc = tmp_path / "big.iso"
    disc.write_bytes(data)
    os.truncate(disc, 6 * GIB)
    assert read(disc).files["file"] == ((AT + 50 * SECTOR, 5 * GIB),)


def test_folders_in_blocks_and_links() -> None:
    names = u.PARENT + b"".join(u.fid(f"name-{number:03}", 9) for number in range(60))
    path = b"\3\0\0\0" + b"\5\6\0\0\x08other"
    index = read_bytes(
        u.bridge(
            _blocks(
                u.fid("folder", 3, characteristics=2),
                blocks={
                    3: u.icb(u.FOLDER, len(names), u.short_ad(SECTOR, 20) + u.short_ad(9999, 22)),
                    20: names[:SECTOR],
                    22: names[SECTOR:],
                    4: u.embedded_folder(u.fid("up", 5)),
                    5: u.icb(u.LINK, len(path), path, u.EMBEDDED),
                },
            )
            | {2: u.embedded_folder(u.fid("folder", 3), u.fid("links", 4), OTHER)}
        )
    )
    assert index.links == {"links/up": "other"}
    assert len(index.files) == 61
    assert index.files["folder/name-059"] == index.files["other"]


def _with_metadata(main: int = 60, mirror: int = 70) -> bytes:
    """Make a disc of UDF 2.50: what describes files is in a partition that is itself a file."""
    file = u.icb(250, 6 * SECTOR, u.short_ad(2 * SECTOR, 20) + u.short_ad(4 * SECTOR, 40))
    folder = u.embedded_folder(u.fid("file", 3, 1), u.fid("small", 4, 1))
    tail = main.to_bytes(4, "little") + mirror.to_bytes(4, "little") + b"\xff\xff\xff\xff"
    tail += (32).to_bytes(4, "little") + (1).to_bytes(2, "little")
    big = u.icb(u.FILE, 5, u.long_ad(5, 10, 0), u.LONG, extended=True)
    small = u.icb(u.FILE, 3, b"abc", u.EMBEDDED, extended=True)
    set_ = u.tagged(256, bytes(384) + u.long_ad(SECTOR, 2, 1))
    return u.bridge(
        # Blocks 0 and 1 of the metadata are at 20, those from 2 on at 40.
        {20: set_, 40: folder, 41: big, 42: small, 60: file, 70: file, 10: b"hello"},
        maps=(u.map_1(), u.map_2(b"*UDF Metadata Partition", tail)),
        file_set_partition=1,
        file_set=0,
    )


@pytest.mark.parametrize(("main", "mirror"), [(60, 70), (5, 70)])
def test_a_metadata_partition(main: int, mirror: int) -> None:
    data = _with_metadata(main, mirror)
    assert read_bytes(data).files == {
        "file": ((AT + 10 * SECTOR, 5),),
        "small": ((AT + 42 * SECTOR + 216, 3),),
    }


def test_a_sparable_partition_without_bad_blocks() -> None:
    tail = b"\x20\0\1\0\0\x08\0\0" + (280).to_bytes(4, "little")
    free = bytes(48) + b"\1\0" + bytes(6) + b"\xff\xff\xff\xff" + bytes(4)
    data = u.bridge(
        _blocks(u.fid("file", 3), blocks={3: HELLO}),
        maps=(u.map_2(b"*UDF Sparable Partition", tail),),
        raw={280: free[16:].rjust(len(free), b"\0")},
    )
    assert set(read_bytes(data).files) == {"file", "other"}


def test_the_other_anchor_and_the_reserve() -> None:
    whole = u.bridge(_blocks(u.fid("file", 3), blocks={3: HELLO}))
    expected = read_bytes(whole).files
    moved = bytearray(whole)
    moved[399 * SECTOR :] = moved[256 * SECTOR : 257 * SECTOR]
    moved[256 * SECTOR : 257 * SECTOR] = bytes(SECTOR)
    assert read_bytes(bytes(moved)).files == expected
    reserve = bytearray(whole)
    anchor = u.tagged(2, bytes(8) + whole[256 * SECTOR + 16 : 256 * SECTOR + 24])
    reserve[256 * SECTOR : 256 * SECTOR + len(anchor)] = anchor
    assert read_bytes(bytes(reserve)).files == expected


def test_udf_does_not_know_what_is_compressed() -> None:
    """Both trees have the same two files, and only Rock Ridge tells that one is packed."""
    readme = c.record(b"OTHER.;1", u.START + 10, 5, extra=c.nm(b"other"))
    packed = c.record(b"PACKED.;1", u.START + 11, 5000, extra=c.nm(b"packed") + c.ZF)
    own = {c.ROOT: c.folder(c.ROOT, readme, packed, own=c.ROCK_RIDGE)}
    blocks = {3: u.icb(u.FILE, 5000, u.short_ad(5000, 11))}
    index = read_bytes(u.bridge(_blocks(u.fid("packed", 3), blocks=blocks), raw=own))
    assert (index.tree, list(index.files)) == ("rock-ridge", ["other"])


def test_what_is_not_read_is_named() -> None:
    virtual = u.map_2(b"*UDF Virtual Partition")
    with pytest.raises(ImageRejected, match="Virtual Partition, which this version does not read"):
        read_bytes(u.bridge(_blocks(), maps=(virtual,)))


def test_another_reader_agrees_with_what_was_crafted(tmp_path: Path) -> None:
    pieces = u.short_ad(SECTOR, 20) + u.short_ad(4, 40)
    folder = u.embedded_folder(u.fid("file", 4))
    inner = {3: folder, 4: u.icb(u.FILE, SECTOR + 4, pieces), 20: b"a" * SECTOR, 40: b"then"}
    data = u.bridge(_blocks(u.fid("folder", 3, characteristics=2), blocks=inner))
    disc = tmp_path / "crafted.udf"
    # GRUB takes ISO 9660 where it finds that.
    disc.write_bytes(data.replace(b"CD001", b"BOOT2"))
    assert run("grub-fstest", disc, "cat", "(loop0)/folder/file") == "a" * SECTOR + "then"
    index = read_bytes(data)
    found = b"".join(data[at : at + length] for at, length in index.files["folder/file"])
    assert found == b"a" * SECTOR + b"then"
