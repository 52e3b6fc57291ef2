"""What a kernel's first bytes say about it. Pure.

x86 boot protocol: Documentation/arch/x86/boot.rst of Linux; arm64: Documentation/arch/arm64/
booting.rst; riscv: Documentation/arch/riscv/boot-image-header.rst; PE/COFF §3.3.1; ELF `e_machine`.
"""

import struct

HEADER_BYTES = 4096
"""How much of the file `architecture_of` and `complete_size_of` want to see."""

_PARAGRAPH = 16
_PE_MACHINE = {
    0x8664: "x86_64",
    0x014C: "i386",
    0xAA64: "aarch64",
    0x01C0: "arm",
    0x01C2: "arm",
    0x01C4: "arm",
    0x5064: "riscv64",
    0x6264: "loongarch64",
}
_ELF_MACHINE = {
    0x3E: "x86_64",
    0x03: "i386",
    0xB7: "aarch64",
    0x28: "arm",
    0xF3: "riscv64",
    0x102: "loongarch64",
}


def architecture_of(header: bytes) -> str | None:
    """Name the processor a kernel is for, as `uname -m` does; None when the bytes do not say."""
    if _is_bzimage(header):
        protocol, load_flags = _u16(header, 0x206), _u16(header, 0x236)
        return "x86_64" if protocol >= 0x020C and load_flags & 1 else "i386"
    if header[0x38:0x3C] == b"ARM\x64":
        return "aarch64"
    if header[0x38:0x3C] == b"RSC\x05" or header[0x30:0x35] == b"RISCV":
        return "riscv64"
    if header[0x24:0x28] == b"\x18\x28\x6f\x01":
        return "arm"
    if header[:2] == b"MZ" and len(header) >= 0x40:
        start = struct.unpack_from("<I", header, 0x3C)[0]
        if header[start : start + 4] == b"PE\0\0":
            return _PE_MACHINE.get(_u16(header, start + 4))
    if header[:4] == b"\x7fELF" and len(header) >= 0x14:
        order = ">" if header[5] == 2 else "<"
        return _ELF_MACHINE.get(struct.unpack_from(f"{order}H", header, 0x12)[0])
    return None


def complete_size_of(header: bytes) -> int | None:
    """Tell how many bytes an x86 kernel has at least; None when the bytes do not say.

    A file that is shorter was cut off while it was copied. Signed kernels are longer. The header
    counts paragraphs of 16 bytes, the last of which need not be full: iPXE's is not.
    """
    if not _is_bzimage(header) or _u16(header, 0x206) < 0x0204:
        return None
    setup_sectors = header[0x1F1] or 4
    protected_mode_paragraphs = int(struct.unpack_from("<I", header, 0x1F4)[0])
    return (setup_sectors + 1) * 512 + protected_mode_paragraphs * _PARAGRAPH - (_PARAGRAPH - 1)


def _is_bzimage(header: bytes) -> bool:
    return len(header) >= 0x268 and header[0x202:0x206] == b"HdrS" and _u16(header, 0x1FE) == 0xAA55


def _u16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "little")
