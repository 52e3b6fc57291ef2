"""Names that loaders ask for: how they are spelled, and what kind of file they mean.

Sources: shim `netboot.c`, GRUB `normal/main.c` and `net/net.c`, syslinux `doc/pxelinux.txt`,
U-Boot `cmd/pxe.c`, raspberrypi documentation `boot-net.adoc`.
"""

import re

MAX_PATH = 255
UNTERMINATED = "\xff\ufffd\udcff "

IPXE_FIRST_SCRIPTS = frozenset({"boot.ipxe", "autoexec.ipxe"})

_MAC = r"(?:[0-9a-f]{2}-){5}[0-9a-f]{2}"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CANDIDATE = rf"{_UUID}|01-{_MAC}|[0-9a-f]{{1,8}}"
"""How loaders name a configuration of one machine: UUID, MAC with its type, IP address in hex."""

_GRUB_CONFIG = re.compile(rf"grub\.cfg(?:-(?:{_CANDIDATE}))?")
_GRUB_FOLDER = re.compile(
    r"|grub|grub/[a-z0-9_]+-efi|boot/grub|loaders/[a-z0-9-]+"
    r"|debian-installer/[a-z0-9]+/grub|efi/[a-z0-9_-]+"
)
_PXELINUX_CONFIG = re.compile(rf"(?:loaders/([a-z0-9-]+)/)?pxelinux\.cfg/(?:{_CANDIDATE}|default)")
_PI_PREFIX = re.compile(rf"(?:[0-9a-f]{{8}}|{_MAC})/")


def normalise(path: str) -> str | None:
    """Forgive what loaders do to names; None for one that cannot be in the tree.

    Windows loaders ask for ``\\Boot\\BCD``, others put a slash in front; some UEFI firmware leaves
    0xFF or blanks behind a name that was not terminated by NUL.
    """
    name = path.replace("\\", "/").rstrip(UNTERMINATED)
    parts = [part for part in name.split("/") if part not in {"", "."}]
    clean = "/".join(parts)
    if not clean or len(path) > MAX_PATH or ".." in parts:
        return None
    if any(c < " " or "\x7f" <= c <= "\x9f" for c in clean):
        return None
    return clean


def is_ipxe_first_script(name: str) -> bool:
    """Tell whether iPXE asks for its first script: at the root and beside each loader."""
    folder, _, last = name.rpartition("/")
    return last in IPXE_FIRST_SCRIPTS and (not folder or folder.startswith("loaders/"))


def is_grub_first_script(name: str) -> bool:
    """Tell whether GRUB asks for its configuration, wherever its builder put the prefix.

    GRUB asks for a file of its machine first and for `grub.cfg` last; rhboot's, behind a proxy
    offer, has lost the folder that it came from and asks at the root.
    """
    folder, _, last = name.rpartition("/")
    return _GRUB_CONFIG.fullmatch(last) is not None and _GRUB_FOLDER.fullmatch(folder) is not None


def is_grub_config(last: str) -> bool:
    """Tell whether the last part of a name is a configuration of GRUB."""
    return _GRUB_CONFIG.fullmatch(last) is not None


def pxelinux_config(name: str) -> str | None:
    """Name the firmware in whose folder pxelinux asks for its menu: "" at the root, else None."""
    found = _PXELINUX_CONFIG.fullmatch(name)
    return None if found is None else found[1] or ""


def without_pi_prefix(name: str) -> str:
    """Take off the serial number or MAC that a Raspberry Pi puts before its files' names."""
    return _PI_PREFIX.sub("", name, count=1)
