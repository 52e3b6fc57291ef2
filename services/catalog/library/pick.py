"""Which of an image's files boot it: kernel and initial RAM disks, by their names. Pure."""

import re
from collections.abc import Collection, Iterable

import msgspec

from bootyard.model.errors import ImageRejected
from services.catalog.library import names
from services.catalog.library.description import Description

PREFERRED_KERNELS = ("linux", "vmlinuz", "bzimage", "kernel", "linux26")
PREFERRED_INITRDS = ("initrd", "initramfs")
LAYOUT_FOLDERS = frozenset(
    {
        *("boot", "install", "installer", "isolinux", "casper", "live", "images", "pxeboot"),
        *("netboot", "gtk", "text", "debian-installer", "loader", "arch", "efi"),
        *("amd64", "x86_64", "i386", "i686", "arm64", "aarch64", "armhf", "riscv64", "loongarch64"),
        *("install.amd", "install.a64", "install.386", "loong64", "x86"),
    }
)
"""Folders that distributions lay kernels in; the image is what holds them."""

_COMPRESSION = re.compile(r"\.(gz|xz|zst|lz4|lzma|lz|bz2|img|cpio|cgz)$")
_VERSION_STEMS = re.compile(r"^(linux|vmlinuz|bzimage|kernel|initrd|initramfs)(\.img)?[-._]?")


class Picked(msgspec.Struct, frozen=True):
    """Files of an image by their paths inside it."""

    kernel: str
    initrds: tuple[str, ...]


def pick(files: Collection[str], said: Description) -> Picked:
    """Choose kernel and initrds among an image's files (paths with `/`).

    Raises ImageRejected when there is none, or when names alone do not tell which.
    """
    kernel = said.kernel
    if kernel is None:
        kernel = _pick_kernel(files, needs_initrd=said.initrd is None)
    elif kernel not in files:
        raise _not_there("kernel", kernel)
    if said.initrd is None:
        return Picked(kernel=kernel, initrds=(_pick_initrd(files, kernel),))
    for initrd in said.initrd:
        if initrd not in files:
            raise _not_there("initrd", initrd)
    return Picked(kernel=kernel, initrds=said.initrd)


def names_in_tree(picked: Picked) -> dict[str, str]:
    """Name the picked files in the boot tree (name -> path inside the image).

    Files beside or below the kernel are named from its folder. Raises ImageRejected for names
    that a boot script cannot carry or that cannot be told apart.
    """
    folder = _folder(picked.kernel)
    named: dict[str, str] = {}
    for path in (picked.kernel, *picked.initrds):
        name = path.removeprefix(f"{folder}/") if folder else path
        names.check_script_safe(name)
        named[name] = path
    lasts = [name.rsplit("/", 1)[-1].casefold() for name in named]
    if len(set(lasts)) < 1 + len(picked.initrds):
        raise ImageRejected(
            f"kernel and initrds cannot be told apart by name: {', '.join(sorted(named))}",
            "give each a file name of its own",
        )
    return named


def looks_bootable(files: Iterable[str]) -> bool:
    """Tell whether files are laid out like an image: a kernel and an initrd in one known place."""
    kernels = {_folder(file) for file in files if names.is_kernel(_last(file))}
    initrds = {_folder(file) for file in files if names.is_initrd(_last(file))}
    return any(
        all(part.lower() in LAYOUT_FOLDERS for part in folder.split("/") if part)
        for folder in kernels & initrds
    )


def _pick_kernel(files: Collection[str], *, needs_initrd: bool) -> str:
    kernels = [file for file in files if names.is_kernel(_last(file))]
    folders = {_folder(file) for file in kernels}
    with_initrd = {_folder(file) for file in files if names.is_initrd(_last(file))}
    if not kernels:
        raise ImageRejected(
            "there is no kernel" + (", only an initrd" if with_initrd else ""),
            "put a kernel (linux, vmlinuz…, bzImage, kernel…) with its initrd there,"
            ' or name it in image.toml: kernel = "…"',
        )
    if needs_initrd and folders & with_initrd:
        folders &= with_initrd
    if len(folders) > 1:
        # ISO layouts repeat the kernel for their own boot loader.
        folders = {f for f in folders if "isolinux" not in f.lower()} or folders
    if "" in folders:
        folders = {""}
    if len(folders) > 1:
        raise _ambiguous("kernel", [file for file in kernels if _folder(file) in folders])
    candidates = [file for file in kernels if _folder(file) in folders]
    return _one_of(candidates, PREFERRED_KERNELS, "kernel")


def _pick_initrd(files: Collection[str], kernel: str) -> str:
    folder = _folder(kernel)
    candidates = [f for f in files if _folder(f) == folder and names.is_initrd(_last(f))]
    if not candidates:
        raise ImageRejected(
            f"there is no initrd beside the kernel {_last(kernel)}",
            "copy it there (initrd…, initramfs…), or write initrd = [] into image.toml if this"
            " kernel needs none",
        )
    version = _version(kernel)
    matching = [file for file in candidates if _version(file) == version]
    if version and len(matching) == 1:
        return matching[0]
    return _one_of(candidates, PREFERRED_INITRDS, "initrd")


def _one_of(candidates: list[str], preferred: tuple[str, ...], what: str) -> str:
    if len(candidates) == 1:
        return candidates[0]
    for stem in preferred:
        exact = [c for c in candidates if _COMPRESSION.sub("", _last(c).lower()) == stem]
        if len(exact) == 1:
            return exact[0]
    raise _ambiguous(what, candidates)


def _ambiguous(what: str, candidates: list[str]) -> ImageRejected:
    shown = ", ".join(map(names.printable, sorted(candidates)[:4]))
    say = 'kernel = "…"' if what == "kernel" else 'initrd = ["…"]'
    return ImageRejected(
        f"there are {len(candidates)} files that may be the {what}: {shown}",
        f"name the right one in image.toml: {say}, or give each image a folder of its own",
    )


def _not_there(key: str, name: str) -> ImageRejected:
    return ImageRejected(
        f"the description names {name!r} as {key}, and it is not there",
        f"copy it there, or correct {key} in the description",
    )


def _version(file: str) -> str:
    """`vmlinuz-6.1.0-18-amd64` and `initrd.img-6.1.0-18-amd64` -> `6.1.0-18-amd64`."""
    name, shorter = _last(file).lower(), ""
    while shorter != name:
        shorter, name = name, _COMPRESSION.sub("", name)
    return _VERSION_STEMS.sub("", name)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _last(path: str) -> str:
    return path.rpartition("/")[2]
