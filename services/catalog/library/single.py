"""Images that are one file and no disc: EFI programs, disk images, iPXE scripts, WIM files. Pure.

What they do when they run is anybody's guess: without a `kind` they count as installers.
"""

from collections.abc import Callable

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import BootTarget, Injected, Slice, TargetKind, TargetLoader
from services.catalog.library import names
from services.catalog.library.description import Description
from services.catalog.library.image import LibraryImage
from services.catalog.library.kernels import architecture_of
from services.catalog.library.names import Form
from services.catalog.library.titles import naming_of

HEADER_BYTES = 4096
"""How much of the file is looked at."""

_EFI_OF = {
    "x86_64": Firmware.UEFI_X64,
    "i386": Firmware.UEFI_IA32,
    "aarch64": Firmware.UEFI_ARM64,
    "arm": Firmware.UEFI_ARM32,
    "riscv64": Firmware.UEFI_RISCV64,
    "loongarch64": Firmware.UEFI_LOONG64,
}

MAX_SCRIPT = 64 * 1024
SECTOR = 512


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How one file is started, and by which machines."""

    recipe: str
    loader: TargetLoader
    has_kernel: bool = True
    """Whether the file is what the loader starts, by name."""
    injected: tuple[Injected, ...] = ()
    firmware: tuple[Firmware, ...] = ()
    architectures: tuple[str, ...] = ()
    evidence: str


def single_image(
    form: Form, path: str, said: Description, file: Slice, header: bytes
) -> LibraryImage:
    """Make the entry of a file, with revision 0. Raises ImageRejected."""
    last = path.rpartition("/")[2]
    start = _START[form](last, header, file.size)
    names.check_script_safe(last)
    image_id, naming = names.slug(names.stem(last)), naming_of(names.stem(last))
    title = said.title or naming.title
    kind = said.kind or TargetKind.INSTALLER
    return LibraryImage(
        id=image_id,
        path=path,
        title=title,
        family=said.family.lower() if said.family else naming.family,
        version=said.version or naming.version,
        kind=kind,
        architectures=start.architectures if said.architectures is None else said.architectures,
        size_bytes=file.size,
        recipe=start.recipe,
        evidence=(start.evidence,),
        files={last: file},
        whole=file,
        targets=(
            BootTarget(
                id=image_id,
                image=image_id,
                title=title,
                kind=kind,
                kernel=last if start.has_kernel else "",
                injected=start.injected,
                command_line=" ".join(f"{said.cmdline or ''} {said.cmdline_append}".split()),
                loader=start.loader,
                firmware=start.firmware,
            ),
        ),
        notes=said.notes,
    )


def _program(_: str, header: bytes, __: int) -> Start:
    architecture = architecture_of(header) if header[:2] == b"MZ" else None
    if architecture not in _EFI_OF:
        raise ImageRejected("it is no EFI program", "copy or download it again")
    return Start(
        recipe="efi-program",
        loader="efi",
        firmware=(_EFI_OF[architecture],),
        architectures=(architecture,),
        evidence=f"it is an EFI program for {architecture}",
    )


def _disk(_: str, header: bytes, size: int) -> Start:
    has_boot_sector = header[SECTOR - 2 : SECTOR] == b"\x55\xaa"
    if not has_boot_sector or size % SECTOR:
        raise ImageRejected(
            "it is no image of a disk: it has no boot sector, or ends within a sector",
            "unpack it if it is compressed, or download it again",
        )
    has_gpt = header[SECTOR : SECTOR + 8] == b"EFI PART"
    return Start(
        recipe="disk-image",
        loader="sanboot",
        evidence=f"it begins like a disk with {'a GPT' if has_gpt else 'an MBR'}",
    )


def _script(_: str, header: bytes, size: int) -> Start:
    if not header.startswith(b"#!ipxe"):
        raise ImageRejected("it is no iPXE script: its first line is not #!ipxe", "add that line")
    if size > MAX_SCRIPT:
        raise ImageRejected("it is too long for a script", "split it, and chain the parts")
    return Start(recipe="ipxe-script", loader="script", evidence="its first line is #!ipxe")


def _wim(last: str, header: bytes, _: int) -> Start:
    if header[:8] != b"MSWIM\0\0\0":
        raise ImageRejected("it is no WIM file", "copy sources/boot.wim of a Windows ISO again")
    return Start(
        recipe="wim",
        loader="wimboot",
        has_kernel=False,
        injected=(Injected(path="boot.wim", file=last),),
        firmware=(Firmware.BIOS, Firmware.UEFI_X64, Firmware.UEFI_ARM64),
        evidence="it is a WIM file",
    )


_START: dict[Form, Callable[[str, bytes, int], Start]] = {
    "program": _program,
    "disk": _disk,
    "script": _script,
    "wim": _wim,
}
