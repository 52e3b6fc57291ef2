"""The boot catalogue: which images it names, and how long they are."""

import struct

import pytest

from services.catalog.library.discs.index import BootImage, DiscIndex
from tests.catalog.discs import crafted as c
from tests.catalog.discs.builders import read_bytes
from tests.catalog.discs.crafted import ROOT, SECTOR

CATALOGUE, IMAGE = 30, 40
AT = IMAGE * SECTOR


def _disc(catalogue: bytes, image: bytes = b"", file: int = 0) -> DiscIndex:
    """Read a disc with a catalogue, the image's first bytes, and a file of `file` bytes there."""
    records = [c.record(b"A;1", 35, 1)]
    records += [c.record(b"EFI.IMG;1", IMAGE, file)] if file else []
    blocks = {CATALOGUE: catalogue, IMAGE: image}
    return read_bytes(c.disc(c.folder(ROOT, *records), blocks, catalogue=CATALOGUE, size=2000))


def _fat(sectors: int, each: int = 512, *, wide: bool = False) -> bytes:
    small, large = (0, sectors) if wide else (sectors, 0)
    head = bytes(11) + struct.pack("<H", each) + bytes(6) + struct.pack("<H", small) + bytes(11)
    return (head + struct.pack("<I", large)).ljust(510, b"\0") + b"\x55\xaa"


def test_bios_and_uefi_in_sections() -> None:
    index = _disc(
        c.catalogue(
            c.boot_entry(IMAGE, 4),
            c.section(0xEF, 2, last=False),
            c.boot_entry(50, 20),
            b"\x44".ljust(32, b"x"),
            c.boot_entry(60, 30),
            c.section(1, 1),
            c.boot_entry(70, 1),
            c.section(0xEF, 1),
            c.boot_entry(80, 1),
        )
    )
    assert index.boot == (
        BootImage("bios", "none", AT, 2048),
        BootImage("efi", "none", 50 * SECTOR, 20 * 512),
        BootImage("efi", "none", 60 * SECTOR, 30 * 512),
        BootImage("other", "none", 70 * SECTOR, 512),
    )
    assert index.notes == ()


@pytest.mark.parametrize(
    ("count", "image", "file", "length"),
    [
        (0, _fat(2880), 0, 2880 * 512),
        (1, _fat(700, 2048), 0, 700 * 2048),
        (1, _fat(7000, wide=True), 0, 7000 * 512),
        (1, b"no FAT", 100_000, 100_000),
        (1, _fat(2880), 1_600_000, 1_600_000),
        (8, b"no FAT", 0, 8 * 512),
        (1, _fat(0xFFFFFF, wide=True), 0, 1960 * SECTOR),
        (0xFFFF, b"", 0, 1960 * SECTOR),
    ],
)
def test_length_of_a_uefi_image(count: int, image: bytes, file: int, length: int) -> None:
    index = _disc(c.catalogue(c.boot_entry(IMAGE, count), platform=0xEF), image, file)
    assert index.boot == (BootImage("efi", "none", AT, length),)


@pytest.mark.parametrize(("media", "length"), [(1, 1228800), (2, 1474560), (3, 2949120)])
def test_length_of_a_floppy(media: int, length: int) -> None:
    index = _disc(c.catalogue(c.boot_entry(IMAGE, 1, media=media)))
    assert index.boot == (BootImage("bios", "floppy", AT, length),)


def test_length_of_a_disk() -> None:
    table = bytes(446) + bytes(8) + struct.pack("<II", 63, 1000)
    index = _disc(
        c.catalogue(c.boot_entry(IMAGE, 1, media=4)), table.ljust(510, b"\0") + b"\x55\xaa"
    )
    assert index.boot == (BootImage("bios", "disk", AT, 1063 * 512),)


def test_what_is_not_bootable_is_left_out() -> None:
    assert _disc(c.catalogue(c.boot_entry(IMAGE, 4, bootable=False))).boot == ()


def test_a_catalogue_with_a_wrong_sum_is_not_believed() -> None:
    wrong = bytearray(c.catalogue(c.boot_entry(IMAGE, 4)))
    wrong[28] ^= 1
    index = _disc(bytes(wrong))
    assert index.boot == ()
    assert "boot catalogue is damaged" in index.notes[0]


def test_an_image_outside_is_left_out_and_said() -> None:
    index = _disc(c.catalogue(c.boot_entry(2000, 4), c.section(0xEF, 1), c.boot_entry(IMAGE, 4)))
    assert [image.platform for image in index.boot] == ["efi"]
    assert "lies outside" in index.notes[0]
