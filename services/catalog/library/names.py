"""Names in IMAGES_DIR: which are looked at, what id they give, which files look like a kernel."""

import re
from typing import Literal

from bootyard.model.errors import ImageRejected

Form = Literal["folder", "tarball", "disc", "program", "disk", "script", "wim", "other"]
"""What an image is as a thing in IMAGES_DIR."""

ONE_EXTENSION = (".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2")
"""Double extensions that count as one."""

UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".download", "~")
"""How browsers and copying programs call what is not complete."""

NOT_OURS = frozenset(
    {"lost+found", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information"}
)
"""What file systems and file servers put into a shared folder."""

NOT_BOOTED = (
    *(".txt", ".md", ".html", ".toml", ".json", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".log"),
    *(".asc", ".sig", ".sign", ".gpg", ".pem", ".crt", ".md5", ".sha1", ".sha256", ".sha512"),
    *(".config", ".map", ".iso", ".deb", ".rpm", ".c32", ".sh", ".py", ".bak", ".old", ".orig"),
    *(".tar", ".tgz", ".zip", ".squashfs", *ONE_EXTENSION),
)
"""Endings of files that are named like a kernel or an initrd and are neither."""

RESERVED_IDS = frozenset({"menu", "local-disk"})
"""Words that stand where a target's id may stand."""

MAX_ID = 63
SCRIPT_SAFE = re.compile(r"[A-Za-z0-9._+@/-]+")
_RUN = re.compile(r"[^a-z0-9]+")


def stem(file_name: str) -> str:
    """Take the extension off a file's name: `netboot.tar.gz` -> `netboot`."""
    lower = file_name.lower()
    for extension in ONE_EXTENSION:
        if lower.endswith(extension) and len(lower) > len(extension):
            return file_name[: -len(extension)]
    head, dot, _ = file_name.rpartition(".")
    return head if dot and head else file_name


def slug(name: str) -> str:
    """Make an id of a name (of a folder, or of a file without its extension).

    Lower case; every run of characters other than a-z and 0-9 becomes one `-`, none at the ends;
    at most 63 characters. Empty when nothing is left.
    """
    return _RUN.sub("-", name.lower()).strip("-")[:MAX_ID].rstrip("-")


def is_skipped(name: str) -> bool:
    """Tell whether a file or folder is none of the library's business, by its name."""
    lower = name.lower()
    return lower.startswith(".") or lower in NOT_OURS or lower.endswith(UNFINISHED)


def is_kernel(name: str) -> bool:
    """Tell whether a file's name is one that distributions give kernels."""
    lower = name.lower()
    if lower.endswith(NOT_BOOTED):
        return False
    return lower in {"linux", "linux26"} or lower.startswith(("vmlinuz", "bzimage", "kernel"))


def is_initrd(name: str) -> bool:
    """Tell whether a file's name is one that distributions give initial RAM disks."""
    lower = name.lower()
    return lower.startswith(("initrd", "initramfs")) and not lower.endswith(NOT_BOOTED)


def is_script_safe(name: str) -> bool:
    """Tell whether a boot script can carry a file's name as one plain word."""
    last = name.rsplit("/", 1)[-1]
    return SCRIPT_SAFE.fullmatch(name) is not None and not last.startswith(("-", "."))


def check_script_safe(name: str) -> None:
    """Refuse a file's name that a boot script cannot carry. Raises ImageRejected."""
    if not is_script_safe(name):
        raise ImageRejected(
            f"a boot script cannot carry the file name {printable(name)!r}",
            "rename it: A-Z a-z 0-9 . _ + @ - only, not starting with - or .",
        )


def is_text(name: str) -> bool:
    """Tell whether a name on disk is text at all (UTF-8) that fits on one line."""
    return name.isprintable()


def printable(name: str) -> str:
    """Write a name for people and for JSON, whatever bytes it has on disk."""
    return "".join(c if c.isprintable() else "?" for c in name)
