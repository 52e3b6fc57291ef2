"""The boot catalogue of a disc (El Torito 1.0; platform 0xEF: UEFI 2.10 §13.3.2). Pure."""

from collections.abc import Mapping
from typing import Literal

from services.catalog.library.discs.index import BootImage
from services.catalog.library.discs.source import SECTOR, Source, u16, u32

MAX_ENTRIES = 128
_RECORD = 32
_CATALOGUE_BYTES = 2 * SECTOR

_BOOTABLE, _EXTENSION, _HEADER, _LAST_HEADER = 0x88, 0x44, 0x90, 0x91
_PLATFORMS: dict[int, Literal["bios", "efi"]] = {0x00: "bios", 0xEF: "efi"}
_FLOPPIES = {1: 1228800, 2: 1474560, 3: 2949120}
_DISK = 4
_FAT_SECTORS = (512, 1024, 2048, 4096)

Platform = Literal["bios", "efi", "other"]


def read_catalogue(
    source: Source, offset: int, lengths: Mapping[int, int]
) -> tuple[tuple[BootImage, ...], tuple[str, ...]]:
    """Read the bootable entries, and notes about what is wrong with others.

    `lengths` are those of the disc's files, by where they begin.
    """
    data = source.up_to(offset, _CATALOGUE_BYTES)
    if not _is_valid(data[:_RECORD]):
        return (), ("its boot catalogue is damaged: it says nothing of how to boot it",)
    images: list[BootImage] = []
    outside = 0
    for platform, entry in _entries(data):
        image = _image(source, platform, entry, lengths)
        if image is None:
            outside += 1
        else:
            images.append(image)
    notes = ("its boot catalogue names a boot image that lies outside of it",) if outside else ()
    return tuple(dict.fromkeys(images)), notes


def _is_valid(entry: bytes) -> bool:
    """Check the validation entry: header, key, and that its words add up to zero."""
    return (
        len(entry) == _RECORD
        and entry[0] == 1
        and entry[30:32] == b"\x55\xaa"
        and sum(u16(entry, at) for at in range(0, _RECORD, 2)) & 0xFFFF == 0
    )


def _entries(data: bytes) -> list[tuple[Platform, bytes]]:
    """Give the bootable entries: the default one, then section by section."""
    records = [data[at : at + _RECORD] for at in range(0, len(data) - _RECORD + 1, _RECORD)]
    platform: Platform = _PLATFORMS.get(records[0][1], "other")
    found: list[tuple[Platform, bytes]] = []
    left, is_last = 1, False
    for record in records[1 : MAX_ENTRIES + 1]:
        kind = record[0]
        if kind == _EXTENSION:
            continue
        if left:
            left -= 1
            if kind == _BOOTABLE:
                found.append((platform, record))
        elif kind in {_HEADER, _LAST_HEADER} and not is_last:
            platform = _PLATFORMS.get(record[1], "other")
            left, is_last = u16(record, 2), kind == _LAST_HEADER
        else:
            break
    return found


def _image(
    source: Source, platform: Platform, entry: bytes, lengths: Mapping[int, int]
) -> BootImage | None:
    """Read an entry; None when it lies outside of the disc."""
    media, said, offset = entry[1] & 15, u16(entry, 6) * 512, u32(entry, 8) * SECTOR
    emulation: Literal["none", "floppy", "disk"] = "none"
    length = said or lengths.get(offset, 512)
    if media in _FLOPPIES:
        emulation, length = "floppy", _FLOPPIES[media]
    elif media == _DISK:
        emulation, length = "disk", _disk_length(source.up_to(offset, 512)) or length
    elif platform == "efi":
        # The count has 16 bits: it is 0 or 1 for what is longer, and whatever its maker likes.
        length = lengths.get(offset) or _fat_length(source.up_to(offset, 512)) or length
    length = min(length, source.size - offset)
    return None if length <= 0 else BootImage(platform, emulation, offset, length)


def _disk_length(sector: bytes) -> int:
    """Tell how long a disk is by the end of its first partition; 0 when it does not say."""
    if len(sector) < 512 or sector[510:512] != b"\x55\xaa":
        return 0
    return (u32(sector, 454) + u32(sector, 458)) * 512


def _fat_length(sector: bytes) -> int:
    """Tell how long a FAT file system is (its BIOS parameter block); 0 when it is none."""
    if len(sector) < 512 or sector[510:512] != b"\x55\xaa" or u16(sector, 11) not in _FAT_SECTORS:
        return 0
    return u16(sector, 11) * (u16(sector, 19) or u32(sector, 32))
