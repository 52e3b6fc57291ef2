"""A disk with an operating system of a few bytes: it says on the serial port that it runs.

The disk is one FAT file system without partitions. UEFI starts its EFI/BOOT/BOOTX64.EFI, a BIOS
its first sector; both hold the same program, written out below as machine code.
"""

import struct
import subprocess
from pathlib import Path

GREETING = "LAB: the system on the local disk runs"

_MEGABYTES = 8
_BOOT_CODE = 0x3E  # behind the BIOS parameter block of FAT12 and FAT16
_BIOS_START = 0x7C00

# next: wait until the port takes a character, load one, end at NUL, send it, again
_BIOS_LOOP = "ba fd03  ec  a820  74fb  ac  84c0  7406  ba f803  ee  ebed  f4  ebfd"
_UEFI_LOOP = "66ba fd03  ec  a820  74fb  ac  84c0  7407  66ba f803  ee  ebeb  f4  ebfd"


def make_local_disk(path: Path) -> Path:
    """Write the disk image; it boots on `bios` and `uefi-x64`."""
    with path.open("wb") as file:
        file.truncate(_MEGABYTES * 1024 * 1024)
    program = path.with_suffix(".efi")
    program.write_bytes(_uefi_program())
    image = ("-i", str(path))
    _mtools("mformat", *image, "-T", str(_MEGABYTES * 2048), "-h", "16", "-s", "63", "::")
    _mtools("mmd", *image, "::EFI", "::EFI/BOOT")
    _mtools("mcopy", *image, str(program), "::EFI/BOOT/BOOTX64.EFI")
    with path.open("r+b") as file:
        file.write(b"\xeb\x3c\x90")  # jump over the parameter block
        file.seek(_BOOT_CODE)
        file.write(_bios_program())
        file.seek(510)
        file.write(b"\x55\xaa")
    return path


def _mtools(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=10)


def _text() -> bytes:
    return b"\r\n" + GREETING.encode() + b"\r\n\0"


def _bios_program() -> bytes:
    loop = bytes.fromhex(_BIOS_LOOP)
    start = bytes.fromhex("fc 31c0 8ed8 be")  # cld; ds = 0; si = the text
    text_at = _BIOS_START + _BOOT_CODE + len(start) + 2 + len(loop)
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
