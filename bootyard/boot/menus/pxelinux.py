"""Menus of pxelinux, syslinux.efi and U-Boot: `pxelinux.cfg/…`.

Files are named relative to the loader's own folder: that is the one way that all three understand
(U-Boot puts its folder before every name, `boot/pxe_utils.c`), and the tree answers there.

Text from operators and images comes in only through `words` and `label`: a line break ends a
value, U-Boot takes a `#` in front for a comment and an empty value for a mistake in the whole
file, and syslinux reads on after the 4095th character of a line as if a new one began.
"""

from collections.abc import Iterable
from functools import lru_cache, partial

from bootyard.boot.menus import ipxe_words
from bootyard.boot.menus.places import disk_kind, fill, is_plain, unmet
from bootyard.boot.menus.reader import Reader
from bootyard.boot.menus.sections import Entry, Section, is_long, sections_of
from bootyard.boot.menus.server import REMEMBERED, Server
from bootyard.boot.plan import Plan, ShowMenu
from bootyard.model.architecture import Firmware
from bootyard.model.loaders import MEMDISK_FILE
from bootyard.model.snapshot import LOCAL_DISK, BootTarget, Image, Snapshot

MENU_MODULES = ("menu.c32", "libutil.c32")
"""What the text menu needs; without it there is a prompt, which needs nothing."""

CHAIN_MODULES = ("chain.c32", "libcom32.c32", "libutil.c32")
MULTIBOOT_MODULES = ("mboot.c32", "libcom32.c32")
RESTART_MODULES = ("reboot.c32", "libcom32.c32")
POWER_OFF_MODULES = ("poweroff.c32",)

MEMDISK = MEMDISK_FILE.rpartition("/")[2]

NEXT_MODULE = "---"
"""What parts the modules of a multiboot kernel (syslinux `com32/mboot/mboot.c`)."""

MAX_COMMAND_LINE = 2000
"""Kernel, initrds and arguments together: syslinux has 2048 bytes for them (`menu.h`)."""

MAX_TITLE = 72
"""What fits between the menu's borders; the screen has 80 columns."""

MAX_TIMEOUT = 35_990
"""In tenths of a second; syslinux allows a little less than an hour."""

NEEDS_IPXE = "needs iPXE to start"


def render_plan(
    plan: Plan,
    server: Server,
    snapshot: Snapshot,
    kernel_args: str = "",
    firmware: Firmware | None = None,
) -> str:
    """Render a machine's menu. `firmware` tells whose modules it can name; None: not known.

    Nothing of a boot-once is ever in it: pxelinux cannot tell the catalog that it was started.
    """
    reader = Reader(server=server, snapshot=snapshot, kernel_args=kernel_args, firmware=firmware)
    local_disk = (f"LABEL {LOCAL_DISK}", *_local_disk(reader))
    if not isinstance(plan, ShowMenu) or _goes_straight_to_disk(plan):
        return _file("PROMPT 0", f"DEFAULT {LOCAL_DISK}", *local_disk)
    sections = sections_of(plan, snapshot, partial(_why_not, reader=reader))
    chosen = [e for section in sections for e in section.entries if not e.why_not]
    preselected = next((e for e in chosen if e.target.id == plan.preselected), None)
    has_menu = _has(MENU_MODULES, reader)
    return _file(
        *(_menu(plan) if has_menu else _prompt(plan, sections, snapshot)),
        f"TIMEOUT {min(plan.timeout_seconds * 10, MAX_TIMEOUT)}",
        f"DEFAULT {LOCAL_DISK if preselected is None else preselected.target.id}",
        # U-Boot takes the last of these two for what it starts after the time.
        *((f"ONTIMEOUT {LOCAL_DISK}",) if plan.hidden else ()),
        *local_disk,
        *(
            (*_entries(sections, preselected, reader), *_rest(reader))
            if has_menu
            else (line for entry in chosen for line in _start(entry, reader))
        ),
    )


@lru_cache(REMEMBERED)
def words(text: str) -> str:
    """Make `text` fit for a kernel's command line: unsafe words are left out.

    U-Boot expands ``$(…)`` as well as ``${…}``; `initrd=` is how all three name an initrd to load.
    """
    safe = ipxe_words.words(text).split()
    return " ".join(w for w in safe if "$(" not in w and not w.startswith("initrd="))


@lru_cache(REMEMBERED)
def label(text: str) -> str:
    """Make `text` fit for a line that people read; `^` would make a key of the menu."""
    plain = "".join(c if " " <= c <= "~" and c != "^" else "?" for c in text)
    line = " ".join(plain.split()).lstrip("# ") or "?"
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 3].rstrip()}..."


def _file(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _goes_straight_to_disk(plan: ShowMenu) -> bool:
    return plan.hidden and not plan.timeout_seconds and plan.preselected == LOCAL_DISK


def _has(modules: tuple[str, ...], reader: Reader) -> bool:
    return all(f"{reader.firmware}/{module}" in reader.snapshot.loaders for module in modules)


def _menu(plan: ShowMenu) -> tuple[str, ...]:
    """Show the text menu; a hidden one counts the seconds until a key opens it, and then waits."""
    hidden = ("MENU HIDDEN",) if plan.hidden else ()
    return ("UI menu.c32", "PROMPT 0", "MENU TITLE Bootyard", *hidden)


def _prompt(plan: ShowMenu, sections: tuple[Section, ...], snapshot: Snapshot) -> tuple[str, ...]:
    """Say what there is, and ask. U-Boot leaves out the lines and makes a menu of the labels."""
    seconds = plan.timeout_seconds
    return (
        "MENU TITLE Bootyard",
        "SAY Bootyard. Type a name, or press Enter for the default.",
        f"SAY   {LOCAL_DISK} - Local disk",
        *(_said(entry) for section in sections for entry in section.entries),
        *(f"SAY   ({note})" for note in _own_notes(snapshot)),
        *((f"SAY Without an answer it goes on after {seconds} s.",) if seconds else ()),
        "PROMPT 1",
    )


def _said(entry: Entry) -> str:
    if entry.why_not:
        return f"SAY   ({_with(entry.title, f': {entry.why_not}')})"
    return f"SAY   {entry.target.id} - {_with(entry.title, entry.remark)}"


def _with(title: str, remark: str) -> str:
    """Put a remark behind a title, which is cut off before it is."""
    line = label(title)
    return f"{line[: MAX_TITLE - len(remark)].rstrip()}{remark}" if remark else line


def _own_notes(snapshot: Snapshot) -> tuple[str, ...]:
    """Name the operator's own entries, which are written in iPXE's commands."""
    return tuple(_with(entry.title, f": {NEEDS_IPXE}") for entry in snapshot.menus)


def _entries(
    sections: tuple[Section, ...], preselected: Entry | None, reader: Reader
) -> tuple[str, ...]:
    """List the targets, or the menus that they are in, after the preselected one.

    A heading can be chosen like an entry: where there is only one it is left out.
    """
    if not is_long(sections):
        return tuple(
            line
            for number, section in enumerate(sections, 1)
            for line in (
                *(_heading(section, number) if len(sections) > 1 else ()),
                *_listed(section.entries, reader, number),
            )
        )
    return (
        *(_start(preselected, reader) if preselected is not None else ()),
        *(
            line
            for number, section in enumerate(sections, 1)
            for line in (
                f"MENU BEGIN group:{number}",
                f"MENU TITLE {label(section.heading)}",
                *(f"LABEL back:{number}", "  MENU LABEL Back", "  MENU EXIT"),
                *_listed([e for e in section.entries if e is not preselected], reader, number),
                "MENU END",
            )
        ),
    )


def _heading(section: Section, number: int) -> tuple[str, ...]:
    return _note(f"head:{number}", f"-- {label(section.heading)}"[:MAX_TITLE])


def _listed(entries: Iterable[Entry], reader: Reader, section: int) -> tuple[str, ...]:
    return tuple(
        line
        for number, entry in enumerate(entries, 1)
        for line in (
            _note(f"note:{section}.{number}", _with(entry.title, f": {entry.why_not}"))
            if entry.why_not
            else _start(entry, reader)
        )
    )


def _note(name: str, text: str) -> tuple[str, ...]:
    """Name what cannot be started. Choosing it leads back to the menu.

    `MENU DISABLE` would leave an entry without a label, whose null pointer syslinux reads while it
    looks for another one: UEFI firmware may stop at that.
    """
    return (f"LABEL {name}", f"  MENU LABEL {text}", "  MENU GOTO .top")


def _rest(reader: Reader) -> tuple[str, ...]:
    """List what is no target."""
    notes = (
        _note(f"own:{number}", note) for number, note in enumerate(_own_notes(reader.snapshot), 1)
    )
    machine = (
        ("LABEL machine:restart", "  MENU LABEL Restart", "  COM32 reboot.c32"),
        ("LABEL machine:off", "  MENU LABEL Power off", "  COM32 poweroff.c32"),
    )
    has = (_has(RESTART_MODULES, reader), _has(POWER_OFF_MODULES, reader))
    return (
        *(line for note in notes for line in note),
        *(line for lines, there in zip(machine, has, strict=True) if there for line in lines),
    )


def _why_not(target: BootTarget, reader: Reader) -> str:
    """Say why it cannot be started; the catalog is not asked here, it may well not be away."""
    if target.needs_catalog and not reader.server.catalog_answers:
        return NEEDS_IPXE
    return unmet(target, reader) or ("" if _lines(target, reader) else NEEDS_IPXE)


def _start(entry: Entry, reader: Reader) -> tuple[str, ...]:
    return (
        f"LABEL {entry.target.id}",
        f"  MENU LABEL {_with(entry.title, entry.remark)}",
        *_lines(entry.target, reader),
    )


def _lines(target: BootTarget, reader: Reader) -> tuple[str, ...]:
    """Name a target's files; nothing when these loaders could not ask for them or start them.

    The initrds stand before the arguments: U-Boot looks for them there when it knows none yet.
    """
    image = reader.snapshot.images[target.image]
    kernel = f"{image.folder}/{target.kernel}" if target.kernel else f"{image.folder}.iso"
    is_bios = reader.firmware is Firmware.BIOS
    initrds: list[str] = []
    match target.loader:
        case "linux" if target.kernel.casefold().endswith(".c32"):
            keyword, can_start = "COM32", is_bios
            arguments = _arguments(target.command_line, image, reader)
        case "linux":
            keyword, can_start = "LINUX", not target.injected
            initrds = [f"{image.folder}/{file}" for file in target.initrds]
            own = _arguments(target.command_line, image, reader)
            arguments = f"{own} {words(reader.kernel_args)}".strip()
        case "memdisk":
            keyword, can_start = "LINUX", is_bios and MEMDISK_FILE in reader.snapshot.loaders
            initrds, kernel = [kernel], MEMDISK
            arguments = _arguments(target.command_line, image, reader)
            arguments = arguments or disk_kind(target, image)
        case "multiboot":
            keyword, can_start = "COM32", is_bios and _has(MULTIBOOT_MODULES, reader)
            arguments, kernel = _multiboot(target, image, reader), MULTIBOOT_MODULES[0]
        case _:
            return ()
    length = sum(len(part) + 1 for part in (kernel, *initrds, arguments))
    named = (target.kernel or image.id, *(module.file for module in target.modules))
    names = (target.id, image.id, kernel, *initrds, *named)
    if not can_start or length > MAX_COMMAND_LINE or not all(map(is_plain, names)):
        return ()
    return (
        f"  {keyword} {kernel}",
        *((f"  INITRD {','.join(initrds)}",) if initrds else ()),
        *((f"  APPEND {arguments}",) if arguments else ()),
    )


def _arguments(command_line: str, image: Image, reader: Reader) -> str:
    return fill(words(command_line), image, reader.server)


def _multiboot(target: BootTarget, image: Image, reader: Reader) -> str:
    """Write what mboot.c32 is given: each file with its arguments."""
    parts = (
        (target.kernel, target.command_line),
        *((m.file, m.command_line) for m in target.modules),
    )
    lines = []
    for file, command_line in parts:
        kept = (w for w in words(command_line).split() if w != NEXT_MODULE)
        own = fill(" ".join(kept), image, reader.server)
        lines.append(f"{image.folder}/{file} {own}".strip())
    return f" {NEXT_MODULE} ".join(lines)


def _local_disk(reader: Reader) -> tuple[str, ...]:
    """Go on to the local disk.

    -1 is INT 18h to pxelinux, which the BIOS takes for the next device; some hang when the loader
    returns to them with 0. syslinux.efi fails, and the firmware goes on; so does U-Boot.
    """
    title = "  MENU LABEL Local disk"
    is_bios = reader.firmware is Firmware.BIOS
    method = reader.snapshot.policy.local_disk_method if is_bios else "exit"
    if method == "sanboot" and _has(CHAIN_MODULES, reader):
        return (title, "  COM32 chain.c32", "  APPEND hd0")
    if method == "poweroff" and _has(POWER_OFF_MODULES, reader):
        return (title, "  COM32 poweroff.c32")
    return (title, "  LOCALBOOT -1")
