"""Boot loaders: their names, the files they are made of, and how they reach a machine.

A loader is `loaders/<firmware>/<file>` in the boot tree. HTTP Boot firmware runs the same files as
its platform's PXE firmware.
"""

from enum import StrEnum

from bootyard.model.architecture import Firmware


class LoaderName(StrEnum):
    """A kind of boot loader, as an operator pins it for a machine."""

    SNPONLY = "snponly"
    """iPXE that uses the firmware's own network driver."""
    IPXE = "ipxe"
    """iPXE with drivers of its own."""
    UNDIONLY = "undionly"
    """iPXE for BIOS that uses the card's ROM as its driver."""
    PXELINUX = "pxelinux"
    SYSLINUX = "syslinux"
    GRUB = "grub"
    SHIM = "shim"
    """The signed chain: shim, then the second stage that lies beside it."""


class OfferStrategy(StrEnum):
    """How the boot file reaches the firmware (PXE 2.1 §2.2; what each firmware does differs)."""

    DIRECT = "direct"
    """In the OFFER, with option 43.6 = 8: the client loads it without asking port 4011."""
    COMPATIBLE = "compatible"
    """No option 43: the client asks the boot server on port 4011 first."""
    MENU = "menu"
    """A boot menu with one entry (43.8, 9 and 10): the client discovers that server by 43.71."""


IPXE_LOADERS = frozenset({LoaderName.SNPONLY, LoaderName.IPXE, LoaderName.UNDIONLY})

SIGNED_IPXE_FILES = {
    "ipxe-shimx64.efi": "ipxe.efi",
    "ipxe-shimaa64.efi": "ipxe.efi",
    "ipxe-shim.efi": "ipxe.efi",
    "snponly-shimx64.efi": "snponly.efi",
    "snponly-shimaa64.efi": "snponly.efi",
    "snponly-shim.efi": "snponly.efi",
}
"""Shims of iPXE's own, if the operator put one into LOADERS_DIR, and the signed iPXE they start.

They take the name of it from their own: without `-shim` and the processor (ipxe/shim, shim.c).
"""

_SIGNED_IPXE_X64 = tuple(file for file in SIGNED_IPXE_FILES if not file.endswith("aa64.efi"))
_SIGNED_IPXE_ARM64 = tuple(file for file in SIGNED_IPXE_FILES if not file.endswith("x64.efi"))

LOADER_FILES: dict[Firmware, dict[LoaderName, tuple[str, ...]]] = {
    Firmware.BIOS: {
        LoaderName.UNDIONLY: ("undionly.kpxe",),
        LoaderName.IPXE: ("ipxe.pxe",),
        LoaderName.PXELINUX: ("lpxelinux.0", "pxelinux.0"),
    },
    Firmware.UEFI_X64: {
        LoaderName.SNPONLY: ("snponly.efi",),
        LoaderName.IPXE: ("ipxe.efi",),
        LoaderName.SHIM: (*_SIGNED_IPXE_X64, "shimx64.efi"),
        LoaderName.GRUB: ("grubx64.efi",),
        LoaderName.SYSLINUX: ("syslinux.efi",),
    },
    Firmware.UEFI_IA32: {
        LoaderName.SNPONLY: ("snponly.efi",),
        LoaderName.IPXE: ("ipxe.efi",),
        LoaderName.GRUB: ("grubia32.efi",),
        LoaderName.SYSLINUX: ("syslinux.efi",),
    },
    Firmware.UEFI_ARM64: {
        LoaderName.SNPONLY: ("snponly.efi",),
        LoaderName.IPXE: ("ipxe.efi",),
        LoaderName.SHIM: (*_SIGNED_IPXE_ARM64, "shimaa64.efi"),
        LoaderName.GRUB: ("grubaa64.efi",),
    },
    Firmware.UEFI_ARM32: {
        LoaderName.SNPONLY: ("snponly.efi",),
        LoaderName.IPXE: ("ipxe.efi",),
        LoaderName.GRUB: ("grubarm.efi",),
    },
    Firmware.UEFI_RISCV64: {
        LoaderName.SNPONLY: ("snponly.efi",),
        LoaderName.IPXE: ("ipxe.efi",),
        LoaderName.GRUB: ("grubriscv64.efi",),
    },
    Firmware.UEFI_LOONG64: {
        LoaderName.SNPONLY: ("snponly.efi",),
        LoaderName.IPXE: ("ipxe.efi",),
        LoaderName.GRUB: ("grubloongarch64.efi",),
    },
}
"""The files that each loader may be, best first; loaders in the order they are tried.

First those that use the firmware's own network driver; `syslinux` is never tried by itself.
"""

MEMDISK_FILE = "bios/memdisk"
"""The BIOS program that makes a disk of an image in memory (syslinux-common)."""

WIMBOOT_FOLDER = "wimboot"
WIMBOOT_FILES: dict[Firmware, str] = {
    Firmware.BIOS: f"{WIMBOOT_FOLDER}/wimboot",
    Firmware.UEFI_X64: f"{WIMBOOT_FOLDER}/wimboot",
    Firmware.UEFI_IA32: f"{WIMBOOT_FOLDER}/wimboot.i386",
    Firmware.UEFI_ARM64: f"{WIMBOOT_FOLDER}/wimboot.arm64",
}
"""The program that starts Windows PE from iPXE, as ipxe/wimboot publishes it; in no package."""

KERNEL_LOADERS = frozenset({MEMDISK_FILE, *WIMBOOT_FILES.values()})
"""What a boot loader starts in place of a kernel: no loader that firmware is offered."""

PLATFORM_OF: dict[Firmware, Firmware] = {
    Firmware.HTTP_X64: Firmware.UEFI_X64,
    Firmware.HTTP_IA32: Firmware.UEFI_IA32,
    Firmware.HTTP_ARM64: Firmware.UEFI_ARM64,
    Firmware.HTTP_RISCV64: Firmware.UEFI_RISCV64,
    Firmware.HTTP_LOONG64: Firmware.UEFI_LOONG64,
}
"""HTTP Boot firmware, and the PXE firmware whose loaders it runs."""


def platform_of(firmware: Firmware) -> Firmware:
    """Name the firmware whose folder of loaders a machine uses."""
    return PLATFORM_OF.get(firmware, firmware)


def loader_named(path: str) -> tuple[Firmware, LoaderName] | None:
    """Tell which loader a path in the boot tree is: `loaders/<firmware>/<file>`."""
    parts = path.casefold().split("/")
    if len(parts) != 3 or parts[0] != "loaders":
        return None
    for firmware, loaders in LOADER_FILES.items():
        if firmware == parts[1]:
            for name, files in loaders.items():
                if parts[2] in files:
                    return firmware, name
    return None
