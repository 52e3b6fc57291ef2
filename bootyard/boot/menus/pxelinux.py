"""Menus of pxelinux, syslinux.efi and U-Boot: `pxelinux.cfg/…`.

Files are named relative to the loader's own folder: that is the one way that all three understand
(U-Boot puts its folder before every name, `boot/pxe_utils.c`), and the tree answers there.

Text from operators and images comes in only through `words` and `label`: a line break ends a
value, U-Boot takes a `#` in front for a comment and an empty value for a mistake in the whole
file, and syslinux reads on after the 4095th character of a line as if a new one began.
"""

import re

from bootyard.boot.menus import ipxe
from bootyard.boot.plan import Plan, ShowMenu
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import LOCAL_DISK, BootTarget, Snapshot

MENU_MODULES = ("menu.c32", "libutil.c32")
"""What the text menu needs; without it there is a prompt, which needs nothing."""

CHAIN_MODULES = ("chain.c32", "libcom32.c32", "libutil.c32")

MAX_COMMAND_LINE = 2000
"""Kernel, initrds and arguments together: syslinux has 2048 bytes for them (`menu.h`)."""

MAX_TITLE = 72
"""What fits between the menu's borders; the screen has 80 columns."""

MAX_TIMEOUT = 35_990
"""In tenths of a second; syslinux allows a little less than an hour."""

BY_BOOT_ONCE = "erases without asking, by boot-once only"

_ASKABLE = re.compile(r"[A-Za-z0-9._+@/-]+")
"""Names of files that are one word, and no URL, to every reader. A comma parts two initrds."""


def render_plan(
    plan: Plan, snapshot: Snapshot, kernel_args: str = "", firmware: Firmware | None = None
) -> str:
    """Render a machine's menu. `firmware` tells whose modules it can name; None: not known.

    Nothing of a boot-once is ever in it: pxelinux cannot tell the catalog that it was started.
    """
    local_disk = (f"LABEL {LOCAL_DISK}", *_local_disk(snapshot, firmware))
    if not isinstance(plan, ShowMenu) or _goes_straight_to_disk(plan):
        return _file("PROMPT 0", f"DEFAULT {LOCAL_DISK}", *local_disk)
    started = {t.id: _start(t, snapshot, kernel_args) for t in plan.targets}
    targets = [t for t in plan.targets if started[t.id]]
    notes = [
        *(_note(t, "needs iPXE to start") for t in plan.targets if not started[t.id]),
        *(_note(t, BY_BOOT_ONCE) for t in plan.armed_only),
    ]
    has_menu = _has(MENU_MODULES, snapshot, firmware)
    preselected = plan.preselected if started.get(plan.preselected) else LOCAL_DISK
    return _file(
        *(_menu(plan) if has_menu else _prompt(plan, targets, notes)),
        f"TIMEOUT {min(plan.timeout_seconds * 10, MAX_TIMEOUT)}",
        f"DEFAULT {preselected}",
        # U-Boot takes the last of these two for what it starts after the time.
        *((f"ONTIMEOUT {LOCAL_DISK}",) if plan.hidden else ()),
        *local_disk,
        *(line for target in targets for line in started[target.id]),
        *(_notes_in_menu(notes) if has_menu else ()),
    )


def words(text: str) -> str:
    """Make `text` fit for a kernel's command line: unsafe words are left out.

    U-Boot expands ``$(…)`` as well as ``${…}``; `initrd=` is how all three name an initrd to load.
    """
    safe = ipxe.words(text).split()
    return " ".join(w for w in safe if "$(" not in w and not w.startswith("initrd="))


def label(text: str) -> str:
    """Make `text` fit for a line that people read; `^` would make a key of the menu."""
    plain = "".join(c if " " <= c <= "~" and c != "^" else "?" for c in text)
    line = " ".join(plain.split()).lstrip("# ") or "?"
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 3].rstrip()}..."


def _file(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _goes_straight_to_disk(plan: ShowMenu) -> bool:
    return plan.hidden and not plan.timeout_seconds and plan.preselected == LOCAL_DISK


def _has(modules: tuple[str, ...], snapshot: Snapshot, firmware: Firmware | None) -> bool:
    return all(f"{firmware}/{module}" in snapshot.loaders for module in modules)


def _menu(plan: ShowMenu) -> tuple[str, ...]:
    """Show the text menu; a hidden one counts the seconds until a key opens it, and then waits."""
    hidden = ("MENU HIDDEN",) if plan.hidden else ()
    return ("UI menu.c32", "PROMPT 0", "MENU TITLE Bootyard", *hidden)


def _prompt(plan: ShowMenu, targets: list[BootTarget], notes: list[str]) -> tuple[str, ...]:
    """Say what there is, and ask. U-Boot leaves out the lines and makes a menu of the labels."""
    seconds = plan.timeout_seconds
    return (
        "MENU TITLE Bootyard",
        "SAY Bootyard. Type a name, or press Enter for the default.",
        f"SAY   {LOCAL_DISK} - Local disk",
        *(f"SAY   {target.id} - {label(target.title)}" for target in targets),
        *(f"SAY   ({note})" for note in notes),
        *((f"SAY Without an answer it goes on after {seconds} s.",) if seconds else ()),
        "PROMPT 1",
    )


def _note(target: BootTarget, why: str) -> str:
    title = label(target.title)
    room = MAX_TITLE - len(why) - 2
    return f"{title[:room].rstrip()}: {why}"


def _notes_in_menu(notes: list[str]) -> tuple[str, ...]:
    """Name what cannot be started. Choosing it leads back to the menu.

    `MENU DISABLE` would leave an entry without a label, whose null pointer syslinux reads while it
    looks for another one: UEFI firmware may stop at that.
    """
    return tuple(
        line
        for number, note in enumerate(notes, 1)
        for line in (f"LABEL note:{number}", f"  MENU LABEL {note}", "  MENU GOTO .top")
    )


def _start(target: BootTarget, snapshot: Snapshot, kernel_args: str) -> tuple[str, ...]:
    """Name a target's files; nothing when these loaders could not ask for them or start them.

    The initrds stand before the arguments: U-Boot looks for them there when it knows none yet.
    """
    folder = snapshot.images[target.image].folder
    kernel, *initrds = (f"{folder}/{file}" for file in (target.kernel, *target.initrds))
    command_line = words(f"{target.command_line} {kernel_args}")
    length = sum(len(part) + 1 for part in (kernel, *initrds, command_line))
    names = (target.id, kernel, *initrds)
    if length > MAX_COMMAND_LINE or not all(_ASKABLE.fullmatch(name) for name in names):
        return ()
    return (
        f"LABEL {target.id}",
        f"  MENU LABEL {label(target.title)}",
        f"  LINUX {kernel}",
        *((f"  INITRD {','.join(initrds)}",) if initrds else ()),
        *((f"  APPEND {command_line}",) if command_line else ()),
    )


def _local_disk(snapshot: Snapshot, firmware: Firmware | None) -> tuple[str, ...]:
    """Go on to the local disk.

    -1 is INT 18h to pxelinux, which the BIOS takes for the next device; some hang when the loader
    returns to them with 0. syslinux.efi fails, and the firmware goes on; so does U-Boot.
    """
    title = "  MENU LABEL Local disk"
    method = snapshot.policy.local_disk_method if firmware is Firmware.BIOS else "exit"
    if method == "sanboot" and _has(CHAIN_MODULES, snapshot, firmware):
        return (title, "  COM32 chain.c32", "  APPEND hd0")
    if method == "poweroff" and _has(("poweroff.c32",), snapshot, firmware):
        return (title, "  COM32 poweroff.c32")
    return (title, "  LOCALBOOT -1")
