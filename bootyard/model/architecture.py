"""Firmware, and the client system architecture it announces (option 93; RFC 4578 §2.1, IANA)."""

from enum import IntEnum, StrEnum
from typing import Self


class ClientArchitecture(IntEnum):
    """IANA "Processor Architecture Types". Open: an unknown value keeps its number."""

    X86_BIOS = 0x00
    NEC_PC98 = 0x01
    ITANIUM = 0x02
    DEC_ALPHA = 0x03
    ARC_X86 = 0x04
    INTEL_LEAN_CLIENT = 0x05
    IA32_UEFI = 0x06
    X64_UEFI = 0x07
    XSCALE_UEFI = 0x08
    EBC_UEFI = 0x09
    ARM32_UEFI = 0x0A
    ARM64_UEFI = 0x0B
    POWERPC_OPEN_FIRMWARE = 0x0C
    POWERPC_EPAPR = 0x0D
    POWER_OPAL = 0x0E
    IA32_HTTP = 0x0F
    X64_HTTP = 0x10
    EBC_HTTP = 0x11
    ARM32_HTTP = 0x12
    ARM64_HTTP = 0x13
    X86_BIOS_HTTP = 0x14
    ARM32_UBOOT = 0x15
    ARM64_UBOOT = 0x16
    ARM32_UBOOT_HTTP = 0x17
    ARM64_UBOOT_HTTP = 0x18
    RISCV32_UEFI = 0x19
    RISCV32_HTTP = 0x1A
    RISCV64_UEFI = 0x1B
    RISCV64_HTTP = 0x1C
    RISCV128_UEFI = 0x1D
    RISCV128_HTTP = 0x1E
    S390_BASIC = 0x1F
    S390_EXTENDED = 0x20
    MIPS32_UEFI = 0x21
    MIPS64_UEFI = 0x22
    SUNWAY32_UEFI = 0x23
    SUNWAY64_UEFI = 0x24
    LOONGARCH32_UEFI = 0x25
    LOONGARCH32_HTTP = 0x26
    LOONGARCH64_UEFI = 0x27
    LOONGARCH64_HTTP = 0x28
    ARM_RPIBOOT = 0x29

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or not 0 <= value <= 0xFFFF:
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"ARCHITECTURE_{value}"
        unknown._value_ = value
        return unknown


class Firmware(StrEnum):
    """What a machine boots with; a chainloaded iPXE keeps its platform's name."""

    BIOS = "bios"
    UEFI_X64 = "uefi-x64"
    UEFI_IA32 = "uefi-ia32"
    UEFI_ARM64 = "uefi-arm64"
    UEFI_ARM32 = "uefi-arm32"
    UEFI_RISCV64 = "uefi-riscv64"
    UEFI_LOONG64 = "uefi-loong64"
    HTTP_X64 = "http-x64"
    HTTP_IA32 = "http-ia32"
    HTTP_ARM64 = "http-arm64"
    HTTP_RISCV64 = "http-riscv64"
    HTTP_LOONG64 = "http-loong64"
    PI = "pi"
    UBOOT = "uboot"
    OTHER = "other"


FIRMWARE_OF: dict[ClientArchitecture, Firmware] = {
    ClientArchitecture.X86_BIOS: Firmware.BIOS,
    ClientArchitecture.IA32_UEFI: Firmware.UEFI_IA32,
    ClientArchitecture.X64_UEFI: Firmware.UEFI_X64,
    # RFC 4578 was first printed with 9 for x64, and firmware that believed it is still sold.
    ClientArchitecture.EBC_UEFI: Firmware.UEFI_X64,
    ClientArchitecture.ARM32_UEFI: Firmware.UEFI_ARM32,
    ClientArchitecture.ARM64_UEFI: Firmware.UEFI_ARM64,
    ClientArchitecture.RISCV64_UEFI: Firmware.UEFI_RISCV64,
    ClientArchitecture.LOONGARCH64_UEFI: Firmware.UEFI_LOONG64,
    ClientArchitecture.IA32_HTTP: Firmware.HTTP_IA32,
    ClientArchitecture.X64_HTTP: Firmware.HTTP_X64,
    ClientArchitecture.EBC_HTTP: Firmware.HTTP_X64,
    ClientArchitecture.ARM64_HTTP: Firmware.HTTP_ARM64,
    ClientArchitecture.RISCV64_HTTP: Firmware.HTTP_RISCV64,
    ClientArchitecture.LOONGARCH64_HTTP: Firmware.HTTP_LOONG64,
    ClientArchitecture.ARM32_UBOOT: Firmware.UBOOT,
    ClientArchitecture.ARM64_UBOOT: Firmware.UBOOT,
}
"""Architectures that have a firmware name of their own; every other one is ``other``."""


PROCESSOR_OF: dict[Firmware, str] = {
    Firmware.BIOS: "x86_64",
    Firmware.UEFI_X64: "x86_64",
    Firmware.UEFI_IA32: "i386",
    Firmware.UEFI_ARM64: "aarch64",
    Firmware.UEFI_ARM32: "arm",
    Firmware.UEFI_RISCV64: "riscv64",
    Firmware.UEFI_LOONG64: "loongarch64",
    Firmware.HTTP_X64: "x86_64",
    Firmware.HTTP_IA32: "i386",
    Firmware.HTTP_ARM64: "aarch64",
    Firmware.HTTP_RISCV64: "riscv64",
    Firmware.HTTP_LOONG64: "loongarch64",
}
"""The processor behind a firmware, as `uname -m` calls it and images list it.

A BIOS says nothing of its processor: x86_64 is what homelabs have.
"""


def firmware_of(architecture: ClientArchitecture) -> Firmware:
    """Name the firmware that announces an architecture."""
    return FIRMWARE_OF.get(architecture, Firmware.OTHER)


EFI_OF_PROCESSOR: dict[str, Firmware] = {
    "x86_64": Firmware.UEFI_X64,
    "i386": Firmware.UEFI_IA32,
    "arm64": Firmware.UEFI_ARM64,
    "arm32": Firmware.UEFI_ARM32,
    "arm": Firmware.UEFI_ARM32,
    "riscv64": Firmware.UEFI_RISCV64,
    "loong64": Firmware.UEFI_LOONG64,
    "loongarch64": Firmware.UEFI_LOONG64,
}
"""Processors as loaders on UEFI write them: iPXE's `${buildarch}`, GRUB's `${grub_cpu}`."""


def firmware_under(platform: str | None, processor: str | None) -> Firmware | None:
    """Name the firmware that a loader says it runs on; None: it did not say.

    `platform` is iPXE's `${platform}` or GRUB's `${grub_platform}`.
    """
    if platform in {"pcbios", "pc"}:
        return Firmware.BIOS
    return EFI_OF_PROCESSOR.get(processor or "") if platform == "efi" else None
