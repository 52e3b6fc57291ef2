"""Names that loaders ask for: how they are spelled, and what kind of file they mean.

Sources: shim `netboot.c`, GRUB `normal/main.c` and `net/net.c`, syslinux `doc/pxelinux.txt`,
U-Boot `cmd/pxe.c`, raspberrypi documentation `boot-net.adoc`.
"""

import re

from bootyard.model.events import FileClass

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
_PXELINUX_CONFIG = re.compile(
    rf"(?:loaders/([a-z0-9-]+)/)?pxelinux\.cfg/(?:{_CANDIDATE}|default(?:-[a-z0-9_]+)*)"
)
_BESIDE_LOADER = re.compile(r"loaders/[a-z0-9-]+/(?=images/)", re.IGNORECASE)
_PI_PREFIX = re.compile(rf"(?:[0-9a-f]{{8}}|{_MAC})/")

_PI_CLASSES = (
    (re.compile(r"bootcode\.bin|start[a-z0-9_]*\.elf"), FileClass.LOADER),
    (re.compile(r"kernel[a-z0-9_]*\.img|vmlinuz.*"), FileClass.KERNEL),
    (re.compile(r"(?:initramfs|initrd).*"), FileClass.INITRD),
)

_NORMAL_MISS = re.compile(
    # shim asks for updates of its revocations and for more certificates before its second stage.
    r"(?:.*/)?(?:revocations(?:_[a-z]+)?|shim_certificate_\d+)\.efi"
    # A GRUB whose modules are built in asks for their lists, and for a font before any menu.
    r"|(?:.*/)?(?:command|fs|crypto|terminal|parttool|video|moddep|partmap)\.lst"
    r"|(?:.*/)?[a-z0-9_-]+\.pf2"
    # … and, where a menu has something for it, for a module that most of them lack.
    r"|(?:.*/)?multiboot2\.mod"
    # Raspberry Pi: signatures, updates of its EEPROM, and what few boards or setups have.
    r"|(?:.*/)?(?:bootsig\.bin|boot\.(?:sig|img)|(?:autoboot|bootcfg)\.txt|dt-blob\.bin)"
    r"|(?:.*/)?(?:recovery|recover4?)\.elf|(?:.*/)?(?:pieeprom|vl805|recovery)\.[a-z]{3}"
    r"|(?:.*/)?armstub[a-z0-9_-]*\.bin"
    # U-Boot: its script, and what it asks for when no DHCP server named a file.
    r"|boot\.scr(?:\.uimg)?|[0-9a-f]{8}\.img"
)


def normalise(path: str, limit: int = MAX_PATH) -> str | None:
    """Forgive what loaders do to names; None for one that cannot be in the tree.

    Windows loaders ask for ``\\Boot\\BCD``, others put a slash in front; some UEFI firmware leaves
    0xFF or blanks behind a name that was not terminated by NUL.
    """
    name = path.replace("\\", "/").rstrip(UNTERMINATED)
    parts = [part for part in name.split("/") if part not in {"", "."}]
    clean = "/".join(parts)
    if not clean or len(path) > limit or ".." in parts:
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


def without_loader_folder(name: str) -> str:
    """Take off the folder that pxelinux and U-Boot put before the files their menu names."""
    return _BESIDE_LOADER.sub("", name, count=1)


def is_normal_miss(name: str) -> bool:
    """Tell whether a loader only looks whether there is such a file, and goes on without."""
    return _NORMAL_MISS.fullmatch(name) is not None


def pi_file_class(file: str) -> FileClass:
    """Tell what a file of a Raspberry Pi is for: no script of ours names its kernel to it."""
    last = file.rpartition("/")[2]
    return next((c for pattern, c in _PI_CLASSES if pattern.fullmatch(last)), FileClass.IMAGE)


def without_pi_prefix(name: str) -> str:
    """Take off the serial number or MAC that a Raspberry Pi puts before its files' names."""
    return _PI_PREFIX.sub("", name, count=1)
