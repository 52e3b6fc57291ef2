"""The boot files of a Raspberry Pi: which folder holds them, and what its config.txt starts. Pure.

raspberrypi documentation: config_txt/boot.adoc (kernel, initramfs, os_prefix), conditional.adoc
(the [sections]), boot-net.adoc (what the ROM and the EEPROM ask for over TFTP).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from bootyard.model.errors import ImageRejected
from services.catalog.library import names
from services.catalog.library.description import Description

CONFIG = "config.txt"
MAX_TEXT = 64 * 1024
"""Bytes of config.txt and cmdline.txt that are read."""

FIRMWARE = re.compile(r"bootcode\.bin|start(?:4?(?:cd|db|x)?|_(?:cd|db|x))\.elf")
"""Pi 1 to 3 load bootcode.bin and start.elf, Pi 4 start4.elf; Pi 5 has all of it in its EEPROM."""
_DEVICE_TREE = re.compile(r"bcm27\d\d-[\w.+-]+\.dtb")
_PI_5 = re.compile(r"bcm2712[\w.+-]*\.dtb|kernel_2712\.img")

KERNELS_64 = ("kernel8.img", "kernel_2712.img")
KERNELS_32 = ("kernel7l.img", "kernel7.img", "kernel.img")
"""What firmware starts when config.txt names no kernel, by the generation of the Pi."""

_OTHER_MODELS = frozenset({"none", "tryboot"})
"""Sections that never count here: they hold what is tried once, or never."""

_CURE = (
    "copy the whole boot partition of the Pi's system (/boot/firmware) into the folder,"
    " overlays included"
)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What config.txt says about what is started; a setting for all models goes before others."""

    kernel: str | None = None
    initramfs: tuple[str, ...] = ()
    auto_initramfs: bool = False
    is_64_bit: bool | None = None
    os_prefix: str = ""
    cmdline: str = "cmdline.txt"
    armstub: str | None = None


class PiFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What a Pi boots, by paths from the folder of its boot files on."""

    kernel: str
    initrds: tuple[str, ...]
    cmdline: str | None
    """The file that holds the kernel's command line."""
    architecture: Literal["aarch64", "arm"]
    notes: tuple[str, ...] = ()


def is_firmware(name: str) -> bool:
    """Tell whether a file's name is one of a Pi's own firmware."""
    return FIRMWARE.fullmatch(name.lower()) is not None


def pi_folder(files: Iterable[str]) -> str | None:
    """Find the folder that holds a Pi's boot files, "" for the image's own; None when none does.

    Below the image's folder it counts only where no kernel lies above: distributions for other
    machines bring the Pi's firmware along as well.
    """
    by_folder: dict[str, set[str]] = {}
    for file in files:
        folder, _, last = file.rpartition("/")
        by_folder.setdefault(folder, set()).add(last.lower())
    found = [folder for folder, lasts in by_folder.items() if _is_pi(lasts)]
    if "" in found:
        return ""
    kernel_above = any(names.is_kernel(last) for last in by_folder.get("", ()))
    return found[0] if len(found) == 1 and not kernel_above else None


def parse_config(text: str) -> Config:
    """Read config.txt: the last setting for every model, else the first for some."""
    for_all: dict[str, str] = {}
    for_some: dict[str, str] = {}
    section = "all"
    for raw in text[:MAX_TEXT].splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().lower()
            continue
        key, value = _setting(line)
        if not key or section in _OTHER_MODELS:
            continue
        if section == "all":
            for_all[key] = value
        else:
            for_some.setdefault(key, value)
    values = for_some | for_all
    return Config(
        kernel=values.get("kernel") or None,
        initramfs=_file_list(values.get("initramfs", "")),
        auto_initramfs=values.get("auto_initramfs") == "1",
        is_64_bit={"0": False, "1": True}.get(values.get("arm_64bit", "")),
        os_prefix=values.get("os_prefix", ""),
        cmdline=values.get("cmdline") or "cmdline.txt",
        armstub=values.get("armstub") or None,
    )


def plan_pi(sizes: Mapping[str, int], config: Config, said: Description) -> PiFiles:
    """Choose what a Pi boots among the files of its folder (path -> size in bytes).

    Raises ImageRejected for a folder that was copied by half: firmware stops without a word then,
    on a screen with a rainbow.
    """
    find = _Finder(sizes, config.os_prefix)
    lasts = {path.lower() for path in sizes}
    kernel = _kernel(find, config, said)
    is_64_bit = _is_64_bit(find, kernel, config)
    _check_firmware(lasts, sizes)
    initrds = _initrds(find, kernel, config, said)
    for name in (kernel, *initrds):
        if not sizes[name]:
            raise ImageRejected(f"{name} is empty", _CURE)
    return PiFiles(
        kernel=kernel,
        initrds=initrds,
        cmdline=find(config.cmdline),
        architecture="aarch64" if is_64_bit else "arm",
        notes=_notes(lasts),
    )


def title_of(name: str) -> str:
    """Make a title of the folder's name: `raspberry-pi-5` -> `Raspberry Pi 5`."""
    words = [word for word in re.split(r"[\s_-]+", name) if word]
    while words and words[0].lower() in {"raspberry", "raspberrypi", "raspi", "rpi", "pi"}:
        words.pop(0)
    return " ".join(("Raspberry Pi", *words))


class _Finder:
    """Finds a file as firmware does: below os_prefix first, whatever its case."""

    def __init__(self, files: Iterable[str], os_prefix: str) -> None:
        self._files = {file.casefold(): file for file in files}
        self._prefix = os_prefix.lstrip("/")

    def __call__(self, name: str) -> str | None:
        for wanted in (f"{self._prefix}{name}", name):
            found = self._files.get(wanted.lstrip("/").casefold())
            if found is not None:
                return found
        return None


def _is_pi(lasts: set[str]) -> bool:
    if any(is_firmware(last) for last in lasts):
        return True
    has_kernel = not lasts.isdisjoint((*KERNELS_64, *KERNELS_32))
    return CONFIG in lasts and (has_kernel or any(map(_DEVICE_TREE.fullmatch, lasts)))


def _setting(line: str) -> tuple[str, str]:
    if line.startswith("#"):
        return "", ""
    if line.lower().startswith("initramfs "):  # the one setting without "="
        return "initramfs", line[len("initramfs ") :].strip()
    key, equals, value = line.partition("=")
    return (key.strip().lower(), value.strip()) if equals else ("", "")


def _file_list(value: str) -> tuple[str, ...]:
    """`one,two followkernel` -> one, two."""
    first = next(iter(value.split()), "")
    return tuple(file for file in first.split(",") if file)


def _kernel(find: _Finder, config: Config, said: Description) -> str:
    wanted = said.kernel or config.kernel or config.armstub
    if wanted is not None:
        named = find(wanted)
        if named is None:
            by = "the description" if said.kernel else CONFIG
            raise ImageRejected(f"{by} names {wanted!r} as kernel, and it is not there", _CURE)
        return named
    only_32 = KERNELS_32 if config.is_64_bit is False else (*KERNELS_64, *KERNELS_32)
    kernel = next((file for name in only_32 if (file := find(name)) is not None), None)
    if kernel is None:
        raise ImageRejected(
            "it has firmware files of a Raspberry Pi and no kernel"
            f" ({', '.join((*KERNELS_64, *KERNELS_32))}, or what {CONFIG} names)",
            _CURE,
        )
    return kernel


def _is_64_bit(find: _Finder, kernel: str, config: Config) -> bool:
    if config.is_64_bit is not None:
        return config.is_64_bit
    last = kernel.rpartition("/")[2].lower()
    if last in KERNELS_32:
        return any(find(name) is not None for name in KERNELS_64)
    return True


def _initrds(find: _Finder, kernel: str, config: Config, said: Description) -> tuple[str, ...]:
    wanted = said.initrd if said.initrd is not None else config.initramfs
    found = []
    for name in wanted:
        file = find(name)
        if file is None:
            by = CONFIG if said.initrd is None else "the description"
            raise ImageRejected(f"{by} names {name!r} as initramfs, and it is not there", _CURE)
        found.append(file)
    if not wanted and said.initrd is None and config.auto_initramfs:
        # Firmware goes on without one: it is no fault when it is not there.
        kernels = dict.fromkeys((kernel, *KERNELS_64, *KERNELS_32))
        found = [file for name in kernels if (file := find(_initramfs_of(name))) is not None]
    return tuple(dict.fromkeys(file for file in found if file != kernel))


def _initramfs_of(kernel: str) -> str:
    """`kernel8.img` -> `initramfs8`, `kernel_2712.img` -> `initramfs_2712`."""
    folder, slash, last = kernel.rpartition("/")
    stem = last.removesuffix(".img")
    if stem.startswith("kernel"):
        stem = "initramfs" + stem.removeprefix("kernel")
    return f"{folder}{slash}{stem}"


def _check_firmware(lasts: set[str], sizes: Mapping[str, int]) -> None:
    pi_5 = any(map(_PI_5.fullmatch, lasts))
    old = {"bootcode.bin", "start.elf"} <= lasts
    if not (pi_5 or old or "start4.elf" in lasts):
        raise ImageRejected(
            "the Raspberry Pi's firmware is not complete: start4.elf (Pi 4), bootcode.bin and"
            " start.elf (Pi 3) or bcm2712-rpi-5-b.dtb (Pi 5) are missing",
            _CURE,
        )
    for path, size in sizes.items():
        if not size and is_firmware(path):
            raise ImageRejected(f"{names.printable(path)} is empty", _CURE)


def _notes(lasts: set[str]) -> tuple[str, ...]:
    notes = []
    for program, partner in (("start.elf", "fixup.dat"), ("start4.elf", "fixup4.dat")):
        if program in lasts and partner not in lasts:
            notes.append(f"{program} has no {partner} beside it: the Pi will see little memory")
    if not any(map(_DEVICE_TREE.fullmatch, lasts)):
        notes.append("there is no device tree (bcm27….dtb): most kernels do not start without one")
    return tuple(notes)
