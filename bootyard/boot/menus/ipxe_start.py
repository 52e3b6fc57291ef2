"""How iPXE starts a target, by the target's loader; and why it cannot.

The lines of a target load it once. What goes round them, in `ipxe.py`, tries again: every new try
frees what was loaded, because a kernel that is left in front of another try's initrd is taken for
an initrd itself, and the machine panics.
"""

import re

from bootyard.boot.menus.ipxe_words import is_safe, words
from bootyard.boot.menus.places import disk_kind, encoded, file_of, fill, unmet
from bootyard.boot.menus.reader import Reader
from bootyard.model.architecture import Firmware
from bootyard.model.loaders import MEMDISK_FILE, WIMBOOT_FILES, platform_of
from bootyard.model.snapshot import BootTarget, Image, Injected

FAILED = " || goto failed"
FETCH = "--timeout 30000"

COMBOOT = ".c32"
"""Programs for syslinux; iPXE's own builds leave them out (`config/general.h`)."""

_MODE = re.compile(r"[0-7]{1,4}")

ALL_INITRDS = "initrd.magic"
"""The name of all initrds in one. Files in cpio archives of iPXE's making are in this one only."""


def why_not(target: BootTarget, reader: Reader) -> str:
    """Say why iPXE cannot start a target; nothing: it can."""
    snapshot, firmware = reader.snapshot, reader.firmware
    if target.loader == "linux" and target.kernel.casefold().endswith(COMBOOT):
        return "needs pxelinux"
    if target.loader == "multiboot" and firmware not in {None, Firmware.BIOS}:
        return "starts on a BIOS only, or from a GRUB with multiboot2"
    if target.loader == "memdisk" and MEMDISK_FILE not in snapshot.loaders:
        return f"needs LOADERS_DIR/{MEMDISK_FILE}"
    if target.loader == "wimboot" and _wimboot(firmware) not in snapshot.loaders:
        return f"needs LOADERS_DIR/{_wimboot(firmware)}, from ipxe.org/wimboot"
    if not all(is_safe(injected.path) for injected in target.injected):
        return "has files whose names no boot script can carry"
    return unmet(target, reader)


def platform_needed(target: BootTarget) -> str:
    """Name the only `${platform}` that a target can start on; nothing: both may do."""
    platforms = {"pcbios" if name is Firmware.BIOS else "efi" for name in target.firmware}
    if target.loader in {"memdisk", "multiboot"} or platforms == {"pcbios"}:
        return "pcbios"
    return "efi" if target.loader == "efi" or platforms == {"efi"} else ""


def start(target: BootTarget, reader: Reader, back: str) -> tuple[str, ...]:
    """Load and start a target once; `failed` is where to go from a failure.

    `back` is the label to go on at after a program that ended well.
    """
    image = reader.snapshot.images[target.image]
    # What cannot do without the catalog is not tried over TFTP.
    tree = reader.server.tree if target.needs_catalog else "${tree}"
    arguments = _arguments(target, image, reader)
    boot = f"boot && goto {back}{FAILED}"
    kernel = f"{tree}/{file_of(image, target.kernel)}"
    match target.loader:
        case "sanboot":
            return (f"sanboot --no-describe --drive 0x80 {kernel} && goto {back}{FAILED}",)
        case "script":
            return (f"chain --autofree {FETCH} {kernel} && goto {back}{FAILED}",)
        case "memdisk":
            memdisk = f"{tree}/loaders/{MEMDISK_FILE}"
            return (
                _line("kernel", FETCH, memdisk, arguments or disk_kind(target, image)),
                _line("initrd", FETCH, kernel),
                boot,
            )
        case "wimboot":
            wimboot = _wimboot(reader.firmware)
            return (
                _line("kernel", FETCH, f"{tree}/loaders/{wimboot}", arguments),
                *(_named(injected, image, tree) for injected in target.injected),
                boot,
            )
        case "multiboot":
            return (
                _line("kernel", FETCH, kernel, arguments),
                *(
                    _line(
                        "module",
                        FETCH,
                        f"{tree}/{file_of(image, module.file)}",
                        fill(words(module.command_line), image, reader.server),
                    )
                    for module in target.modules
                ),
                boot,
            )
        case _:
            return (
                _line("kernel", FETCH, kernel, arguments),
                *(
                    _line("initrd", FETCH, f"--name {name} {tree}/{file_of(image, file)}")
                    for file, name in zip(target.initrds, _names(target.initrds), strict=True)
                ),
                *(_wrapped(injected, image, tree) for injected in target.injected),
                boot,
            )


def _line(*parts: str) -> str:
    return " ".join(part for part in parts if part) + FAILED


def _arguments(target: BootTarget, image: Image, reader: Reader) -> str:
    """Write a command line. A machine's own arguments are for Linux, and not for other programs."""
    own = fill(words(target.command_line), image, reader.server)
    if target.loader != "linux":
        return own
    names = (ALL_INITRDS,) if target.injected else _names(target.initrds)
    parts = (*(f"initrd={name}" for name in names), own, words(reader.kernel_args))
    return " ".join(part for part in parts if part)


def _names(files: tuple[str, ...]) -> tuple[str, ...]:
    """Name initrds for the kernel, which finds them by it: no two may be the same."""
    lasts = [file.rsplit("/", 1)[-1] for file in files]
    return tuple(
        last if last == encoded(last) and lasts.count(last) == 1 else f"initrd{number}"
        for number, last in enumerate(lasts)
    )


def _wrapped(injected: Injected, image: Image, tree: str) -> str:
    """Put a file into the initial root file system, with the folders on its way (`core/cpio.c`)."""
    path = injected.path
    mode = f"mode={injected.mode}" if _MODE.fullmatch(injected.mode) else ""
    folders = "mkdir=-1" if "/" in path.strip("/") else ""
    return _line("initrd", FETCH, f"{tree}/{file_of(image, injected.file)}", path, mode, folders)


def _named(injected: Injected, image: Image, tree: str) -> str:
    """Hand a file to wimboot: by the image's name on UEFI, by the cpio archive's on a BIOS."""
    name = encoded(injected.path.lstrip("/"))
    url = f"{tree}/{file_of(image, injected.file)}"
    return _line("initrd", FETCH, f"--name {name}", url, name)


def _wimboot(firmware: Firmware | None) -> str:
    usual = Firmware.UEFI_X64
    return WIMBOOT_FILES.get(platform_of(firmware or usual), WIMBOOT_FILES[usual])
