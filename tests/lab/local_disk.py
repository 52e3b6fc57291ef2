"""A disk with an operating system of a few bytes: it says on the serial port that it runs.

UEFI starts EFI/BOOT/BOOTX64.EFI from the one partition, a BIOS starts the first sector; both hold
the same program, written out below as machine code. OVMF puts a disk into the boot order only when
it has a partition.
"""

import struct
import subprocess
from pathlib import Path

GREETING = "LAB: the system on the local disk runs"

_SECTOR = 512
_PARTITION_START = 2048
_PARTITION_SECTORS = 16 * 1024
_EFI_SYSTEM = 0xEF
_PARTITION_TABLE = 446
_BIOS_START = 0x7C00

# next: wait until the port takes a character, load one, end at NUL, send it, again
_BIOS_LOOP = "ba fd03  ec  a820  74fb  ac  84c0  7406  ba f803  ee  ebed  f4  ebfd"
_UEFI_LOOP = "66ba fd03  ec  a820  74fb  ac  84c0  7407  66ba f803  ee  ebeb  f4  ebfd"


def make_local_disk(path: Path) -> Path:
    """Write the disk image; it boots on `bios` and `uefi-x64`."""
    with path.open("wb") as file:
        file.write(_master_boot_record())
        file.truncate((_PARTITION_START + _PARTITION_SECTORS) * _SECTOR)
    program = path.with_suffix(".efi")
    program.write_bytes(_uefi_program())
    image = ("-i", f"{path}@@{_PARTITION_START * _SECTOR}")
    _mtools("mformat", *image, "-T", str(_PARTITION_SECTORS), "-h", "16", "-s", "63", "::")
    _mtools("mmd", *image, "::EFI", "::EFI/BOOT")
    _mtools("mcopy", *image, str(program), "::EFI/BOOT/BOOTX64.EFI")
    return path


def _master_boot_record() -> bytes:
    anywhere = b"\xfe\xff\xff"  # no cylinders, heads and sectors: the 32-bit numbers count
    entry = b"\x80" + anywhere + bytes((_EFI_SYSTEM,)) + anywhere
    entry += struct.pack("<II", _PARTITION_START, _PARTITION_SECTORS)
    table = entry + bytes(3 * len(entry))
    return _bios_program().ljust(_PARTITION_TABLE, b"\0") + table + b"\x55\xaa"


def _mtools(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=10)


def _text() -> bytes:
    return b"\r\n" + GREETING.encode() + b"\r\n\0"


def _bios_program() -> bytes:
    loop = bytes.fromhex(_BIOS_LOOP)
    start = bytes.fromhex("fc 31c0 8ed8 be")  # cld; ds = 0; si = the text
    text_at = _BIOS_START + len(start) + 2 + len(loop)
    return start + struct.pack("<H", text_at) + loop + _text()


def _uefi_program() -> bytes:
    """A PE32+ image with one section that begins at its entry point."""
    loop = bytes.fromhex(_UEFI_LOOP)
    code = bytes.fromhex("fc 488d35") + struct.pack("<I", len(loop)) + loop + _text()
    section, alignment, headers = 0x1000, 0x1000, 0x200
    file_size = headers
    coff = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 0xF0, 0x0022)
    optional = struct.pack("<HBBIIIII", 0x20B, 0, 0, file_size, 0, 0, section, section)
    optional += struct.pack("<QII", 0, alignment, headers)
    optional += struct.pack("<HHHHHHI", 0, 0, 0, 0, 0, 0, 0)
    optional += struct.pack("<IIIHH", section + alignment, headers, 0, 10, 0)  # EFI application
    optional += struct.pack("<QQQQII", 0, 0, 0, 0, 0, 16) + bytes(16 * 8)
    table = struct.pack(
        *("<8sIIIIIIHHI", b".text", len(code), section, file_size, headers),
        *(0, 0, 0, 0, 0x60000020),
    )
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    image = dos + b"PE\0\0" + coff + optional + table
    return image.ljust(headers, b"\0") + code.ljust(file_size, b"\0")
