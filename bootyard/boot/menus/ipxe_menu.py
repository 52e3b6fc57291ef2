"""iPXE's menu: what it lists, and what is no target.

iPXE cannot compare numbers, and `${memsize}` is in no build with default options
(`config/settings.h`, MEMMAP_SETTINGS; there is none on UEFI): how much memory a target needs is
written beside it, for a person to judge.
"""

from bootyard.boot.menus.ipxe_start import platform_needed
from bootyard.boot.menus.ipxe_words import label
from bootyard.boot.menus.places import encoded
from bootyard.boot.menus.reader import Reader
from bootyard.boot.menus.sections import Entry, Section, is_long
from bootyard.boot.plan import ShowMenu
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import LOCAL_DISK, MenuEntry, Snapshot

CHOSEN = "chosen"
"""Label that starts what is in `selected`."""
MENU_AGAIN = "menu_again"
"""Label of the menu for whoever was in it before: it waits."""

_SHELL, _RESTART, _SETUP, _OFF = "menu:shell", "menu:restart", "menu:setup", "menu:off"


def menu(plan: ShowMenu, sections: tuple[Section, ...], reader: Reader) -> tuple[str, ...]:
    """Show the menu, and do what is chosen in it, but for starting a target."""
    preselected = _preselected(plan, sections)
    seconds = 0 if plan.hidden else plan.timeout_seconds
    offline = "" if reader.server.catalog_answers else " (the catalog is away)"
    return (
        *_announcement(plan, preselected),
        f"set wait {seconds * 1000}",
        "goto menu",
        f":{MENU_AGAIN}",
        "set wait 0",
        ":menu",
        f"menu Bootyard{offline}",
        f"item {LOCAL_DISK} Local disk",
        *_items(sections, preselected, reader.firmware),
        *_own_items(reader.snapshot),
        *_machine_items(reader.firmware),
        f"choose --default {preselected} --timeout ${{wait}} selected || goto local_disk_chosen",
        f"iseq ${{selected}} {LOCAL_DISK} && goto local_disk_chosen ||",
        f"goto {CHOSEN}",
        *_submenus(sections, reader.firmware),
        *_own_starts(reader),
        *_machine_starts(),
    )


def _announcement(plan: ShowMenu, preselected: str) -> tuple[str, ...]:
    if not plan.hidden:
        return ()
    if not plan.timeout_seconds and preselected == LOCAL_DISK:
        return ("goto local_disk_chosen",)
    countdown = f"--timeout {plan.timeout_seconds * 1000} " if plan.timeout_seconds else ""
    return (
        f"prompt {countdown}Bootyard: press a key for the boot menu, or the local disk starts"
        " || goto local_disk_chosen",
    )


def _preselected(plan: ShowMenu, sections: tuple[Section, ...]) -> str:
    entries = (entry for section in sections for entry in section.entries if not entry.why_not)
    target = next((e.target for e in entries if e.target.id == plan.preselected), None)
    return LOCAL_DISK if target is None else encoded(target.id)


def _items(
    sections: tuple[Section, ...], preselected: str, firmware: Firmware | None
) -> tuple[str, ...]:
    """List the targets, or the menus that they are in, after the preselected one."""
    if not is_long(sections):
        return tuple(
            line
            for section in sections
            for line in (
                _gap(label(section.heading)),
                *(_item(entry, firmware) for entry in section.entries),
            )
        )
    entries = (entry for section in sections for entry in section.entries)
    return (
        *(_item(e, firmware) for e in entries if encoded(e.target.id) == preselected),
        _gap("Menus"),
        *(
            f"item {_group(number)} {label(section.heading)} ({section.count})"
            for number, section in enumerate(sections, 1)
        ),
    )


def _submenus(sections: tuple[Section, ...], firmware: Firmware | None) -> tuple[str, ...]:
    if not is_long(sections):
        return ()
    return tuple(
        line
        for number, section in enumerate(sections, 1)
        for line in (
            f":start_{_group(number)}",
            f"menu {label(section.heading)}",
            "item menu:back Back",
            *(_item(entry, firmware) for entry in section.entries),
            f"choose selected || goto {MENU_AGAIN}",
            f"iseq ${{selected}} menu:back && goto {MENU_AGAIN} ||",
            f"goto {CHOSEN}",
        )
    )


def _group(number: int) -> str:
    return f"group:{number}"


def _gap(text: str) -> str:
    return f"item --gap -- {text}"


def _item(entry: Entry, firmware: Firmware | None) -> str:
    if entry.why_not:
        return _gap(f"{label(entry.title)}: {entry.why_not}")
    line = f"item {encoded(entry.target.id)} {label(entry.title)}{entry.remark}"
    platform = platform_needed(entry.target) if firmware is None else ""
    return f"iseq ${{platform}} {platform} && {line} ||" if platform else line


def _own_items(snapshot: Snapshot) -> tuple[str, ...]:
    if not snapshot.menus:
        return ()
    items = (f"item own:{encoded(entry.id)} {label(entry.title)}" for entry in snapshot.menus)
    return (_gap("Own entries"), *items)


def _own_starts(reader: Reader) -> tuple[str, ...]:
    """Run the operator's own scripts; whatever they do, the menu comes back."""
    return tuple(
        line
        for entry in reader.snapshot.menus
        for line in (
            f":start_own:{encoded(entry.id)}",
            f"chain --autofree --timeout 10000 {reader.server.tree}/{own_script(entry)} ||",
            f"goto {MENU_AGAIN}",
        )
    )


def own_script(entry: MenuEntry) -> str:
    """Name the script of an entry of the operator's own, in the boot tree."""
    return f"menus/{encoded(entry.id)}.ipxe"


def _machine_items(firmware: Firmware | None) -> tuple[str, ...]:
    setup = f"item {_SETUP} Firmware setup"
    return (
        _gap("This machine"),
        f"item {_SHELL} iPXE shell",
        *((f"iseq ${{platform}} efi && {setup} ||",) if firmware is not Firmware.BIOS else ()),
        f"item {_RESTART} Restart",
        f"item {_OFF} Power off",
    )


def _machine_starts() -> tuple[str, ...]:
    """Do what is no target. `exit` leaves the shell; where there is no command, the menu stays."""
    commands = {_SHELL: "shell", _SETUP: "reboot --setup", _RESTART: "reboot", _OFF: "poweroff"}
    return tuple(
        line
        for name, command in commands.items()
        for line in (f":start_{name}", f"{command} ||", f"goto {MENU_AGAIN}")
    )
