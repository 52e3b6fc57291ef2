"""An image's own signed chain: the shim and GRUB of the vendor that signed its kernel. Pure.

shim trusts what its own vendor signed, and takes its second stage from the folder that it was
loaded from itself (rhboot/shim, netboot.c): so both are served from inside the image.
"""

from collections.abc import Callable, Collection, Mapping

import msgspec

from bootyard.boot.vendor import PACKAGED_VENDOR
from bootyard.model.architecture import Firmware
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import SignedChain
from services.catalog.library import names
from services.catalog.library.description import Description
from services.catalog.library.kernels import HEADER_BYTES
from services.catalog.library.signature import (
    MICROSOFT,
    certificate_table,
    pe_machine,
    vendors,
)

MAX_BOOT_FILE = 127
"""Characters of the header field that names a boot file (RFC 2131 §2), without its NUL."""
MAX_EFI_PROGRAM = 32 * 1024 * 1024
"""No shim and no GRUB is larger; what is taken out of a tarball is limited by it."""

_SHIMS = {
    Firmware.UEFI_X64: ("shimx64.efi", "bootnetx64.efi", "bootx64.efi"),
    Firmware.UEFI_ARM64: ("shimaa64.efi", "bootnetaa64.efi", "bootaa64.efi"),
}
"""What distributions call shim: by its own name, in Debian's netboot files, on a disc."""
_GRUBS = {Firmware.UEFI_X64: "grubx64.efi", Firmware.UEFI_ARM64: "grubaa64.efi"}

_FIRMWARE_OF_MACHINE = {
    0x8664: Firmware.UEFI_X64,
    0xAA64: Firmware.UEFI_ARM64,
    0x014C: Firmware.UEFI_IA32,
}

Read = Callable[[int, int], bytes]
"""Bytes of a file, by offset and length; fewer where it ends."""


class Signed(msgspec.Struct, frozen=True):
    """What an EFI program says of itself."""

    machine: int | None = None
    """Machine type of its PE header; None: it is no EFI program."""
    vendors: tuple[str, ...] = ()

    @property
    def vendor(self) -> str:
        """Who signed it; empty when nobody did. Microsoft signs beside a vendor, not instead."""
        own = [vendor for vendor in self.vendors if vendor != MICROSOFT]
        return next(iter((*own, *self.vendors)), "")


class ChainFiles(msgspec.Struct, frozen=True):
    """A shim and a GRUB among an image's files, by their paths in it."""

    shim: str
    grub: str
    firmware: Firmware | None
    said: bool = False
    """The description names them; otherwise their names do."""


def examine(read: Read) -> Signed:
    """Look at an EFI program: what it runs on, and who signed it."""
    header = read(0, HEADER_BYTES)
    table = certificate_table(header)
    found = () if table is None else vendors(read(*table))
    return Signed(machine=pe_machine(header), vendors=found)


def find_chains(files: Collection[str], said: Description) -> tuple[ChainFiles, ...]:
    """Find shims with a GRUB beside them, at most one for each firmware; a description's first.

    Raises ImageRejected when the description names a file that is not there.
    """
    if said.secureboot is not None:
        chain = said.secureboot
        for key, name in (("shim", chain.shim), ("grub", chain.grub)):
            if name not in files:
                raise ImageRejected(
                    f"the description names {name!r} as {key} of [secureboot], and it is not there",
                    f"copy it there, or correct {key} in the description",
                )
            names.check_script_safe(name)
        return (ChainFiles(chain.shim, chain.grub, chain.firmware, said=True),)
    by_name = {name.casefold(): name for name in files if names.is_script_safe(name)}
    folders = sorted({_folder(name) for name in by_name}, key=lambda f: (f.count("/"), f))
    found: dict[Firmware, ChainFiles] = {}
    for firmware, shims in _SHIMS.items():
        for folder in folders:
            grub = by_name.get(_join(folder, _GRUBS[firmware]))
            shim = next((n for s in shims if (n := by_name.get(_join(folder, s)))), None)
            if grub is not None and shim is not None:
                found.setdefault(firmware, ChainFiles(shim, grub, firmware))
    return tuple(found.values())


def usable_chains(
    candidates: Collection[ChainFiles],
    seen: Mapping[str, Signed],
    kernel: Signed,
    image_id: str,
    *,
    is_disc: bool = False,
) -> tuple[SignedChain, ...]:
    """Choose the chains that start this kernel; `seen` has what every file says of itself.

    One that nobody named counts only when firmware trusts its shim (Microsoft signs those) and
    its GRUB is of the vendor that signed the kernel, or nobody knows who did. One of the packaged
    loaders' vendor counts on a disc only: it is as old as the disc's kernel, and what revokes the
    one may revoke the other. Raises ImageRejected for a named one that no machine can run.
    """
    chains = []
    for files in candidates:
        shim, grub = seen[files.shim], seen[files.grub]
        firmware = files.firmware or _FIRMWARE_OF_MACHINE.get(shim.machine or 0)
        if files.said:
            _check(files, firmware, shim, grub, image_id)
        elif not _fits(files, shim, grub, kernel, image_id) or (
            grub.vendor == PACKAGED_VENDOR and not is_disc
        ):
            continue
        if firmware is not None:
            chains.append(SignedChain(shim=files.shim, grub=files.grub, firmware=firmware))
    return tuple(chains)


def _fits(files: ChainFiles, shim: Signed, grub: Signed, kernel: Signed, image_id: str) -> bool:
    same_machine = all(
        _FIRMWARE_OF_MACHINE.get(program.machine or 0) is files.firmware for program in (shim, grub)
    )
    return (
        same_machine
        and MICROSOFT in shim.vendors
        and bool(grub.vendor)
        and (not kernel.vendors or grub.vendor in kernel.vendors)
        and _boot_file_length(files, image_id) <= MAX_BOOT_FILE
    )


def _check(
    files: ChainFiles, firmware: Firmware | None, shim: Signed, grub: Signed, image_id: str
) -> None:
    for name, program in ((files.shim, shim), (files.grub, grub)):
        own = _FIRMWARE_OF_MACHINE.get(program.machine or 0)
        if own is None or own is not firmware:
            what = f"no EFI program for {firmware}" if firmware is not None else "no EFI program"
            raise ImageRejected(
                f"[secureboot] names {name!r}, which is {what}",
                "name the vendor's shim and GRUB for one processor, as its ISO has them in EFI/",
            )
    if _boot_file_length(files, image_id) > MAX_BOOT_FILE:
        raise ImageRejected(
            f"the path of {files.shim!r} is too long for a DHCP packet to name it",
            "move shim and GRUB into a folder with a shorter path",
        )


def _boot_file_length(files: ChainFiles, image_id: str) -> int:
    """Length of `images/<id>@<revision>/<shim>`, with room for a revision of six digits."""
    return len(f"images/{image_id}@123456/{files.shim}")


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
