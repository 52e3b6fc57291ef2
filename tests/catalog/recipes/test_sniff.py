"""What an initrd is, by the names in it."""

import bz2
import gzip
import lzma
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.library.recipes import sniff as module
from services.catalog.library.recipes.sniff import MAX_IN, Sniffed, sniff
from tests.catalog.recipes.trees import MIB, MemoryTree, cpio, initrd

MICROCODE = cpio("kernel/x86/microcode/GenuineIntel.bin", size=3 * MIB)


def _sniff(data: bytes | int) -> Sniffed:
    return sniff(MemoryTree({"initrd": data}), "initrd")


@pytest.mark.parametrize("packing", ["gzip", "xz", ""])
@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("scripts/casper", "casper"),
        ("./scripts/casper", "casper"),
        ("usr/lib/live/boot/0001-init", "live-boot"),
        ("hooks/archiso_pxe_http", "archiso-http"),
        ("hooks/miso_pxe_http", "miso-http"),
        ("usr/sbin/livenetroot", "livenet"),
        ("usr/lib/debian-installer/retriever/net-retriever", "net-retriever"),
    ],
)
def test_a_mark_is_found_in_every_packing(name: str, mark: str, packing: str) -> None:
    found = _sniff(initrd("bin/sh", name, "zz", packing=packing))
    assert found.is_whole
    assert mark in found.marks


def test_archives_behind_each_other() -> None:
    """Microcode, plain; then modules, plain; then the rest, packed, with zeros between."""
    data = MICROCODE + bytes(512) + initrd("scripts/casper") + bytes(4000)
    data += lzma.compress(cpio("hooks/archiso"))
    assert _sniff(data) == Sniffed(frozenset({"casper", "archiso"}), is_whole=True)


def test_microcode_is_passed_over_without_reading_it() -> None:
    tree = MemoryTree({"initrd": MICROCODE + initrd("scripts/casper")})
    assert "casper" in sniff(tree, "initrd").marks
    assert tree.bytes_read < MIB


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "nothing in it"),
        (bytes(10_000), "nothing in it"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "packed with zstd"),
        (MICROCODE + b"\x02\x21\x4c\x18" + bytes(100), "packed with lz4"),
        (bz2.compress(b"x"), "packed with bzip2"),
        (b"MZ" + bytes(100), "in a way that is not known"),
        (gzip.compress(b"x" * 1000), "damaged, or no archive"),
        (initrd("a", "b")[:-30], "damaged"),
        (cpio("a")[:-60], "damaged"),
        (b"070701" + b"Z" * 104, "damaged"),
        (b"070701" + b"F" * 104, "damaged"),
        (gzip.compress(b"")[:5] + b"\xff" * 50, "damaged"),
        (lzma.compress(cpio("a"))[:30] + b"\xff" * 300, "damaged"),
        (initrd("a") * 20, "too many parts"),
    ],
)
def test_what_cannot_be_looked_through_says_why(data: bytes, reason: str) -> None:
    found = _sniff(data)
    assert not found.is_whole
    assert reason in found.reason


def test_a_bomb_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OUT", 10 * MIB)
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(cpio("a", size=0)[:112]) + packer.compress(bytes(1)) + packer.flush()
    assert not _sniff(bomb).is_whole
    big = gzip.compress(cpio("a", size=20 * MIB))
    assert "too large" in _sniff(big).reason


def test_zeros_without_end_are_given_up() -> None:
    tree = MemoryTree({"initrd": MAX_IN * 2})
    assert "too large" in sniff(tree, "initrd").reason
    assert tree.bytes_read <= MAX_IN


@given(
    st.binary(max_size=3000), st.sampled_from([b"", b"\x1f\x8b\x08\0", b"070701", b"\xfd7zXZ\0"])
)
def test_any_bytes_are_looked_through_or_given_up(data: bytes, start: bytes) -> None:
    _sniff(start + data)


@given(st.data())
def test_a_changed_byte_is_no_fault_of_ours(data: st.DataObject) -> None:
    whole = bytearray(cpio("a", "b") + initrd("scripts/casper"))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    _sniff(bytes(whole))
