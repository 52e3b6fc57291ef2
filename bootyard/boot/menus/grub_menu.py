"""The entries of GRUB's menu. It has none that cannot be chosen: some only tell something.

Its command line is a key away in every menu (`c`), so no entry leads there.
"""

from collections.abc import Iterable

from bootyard.boot.menus.grub_start import (
    LOCKED,
    MULTIBOOT,
    how_to_arm,
    is_trusted,
    refusal,
    start,
    wait,
    why_locked,
)
from bootyard.boot.menus.grub_words import indented, label, quote, say
from bootyard.boot.menus.places import encoded
from bootyard.boot.menus.reader import Reader
from bootyard.boot.menus.sections import BY_BOOT_ONCE, Entry, Section, is_long
from bootyard.model.snapshot import BootTarget, Snapshot

DID_NOT_START = "bootyard_did_not_start"
QUESTION_SECONDS = 30


def entry_id(target: BootTarget) -> str:
    """Name an entry: a plain number would be taken for a position."""
    return f"start {encoded(target.id)}"


def did_not_start_function() -> tuple[str, ...]:
    """Lead back to the menu, or, with nobody there, to the local disk."""
    return (
        f"function {DID_NOT_START} {{",
        *indented(
            say("Bootyard: press Esc for the menu, or the local disk starts"),
            f"if sleep --interruptible --verbose {QUESTION_SECONDS}; then",
            "  bootyard_local_disk",
            "fi",
        ),
        "}",
    )


def entries(
    sections: tuple[Section, ...], preselected: BootTarget | None, reader: Reader
) -> tuple[str, ...]:
    """List the targets, or the menus that they are in, after the preselected one."""

    def lines_of(listed: Iterable[Entry]) -> tuple[str, ...]:
        return tuple(line for entry in listed for line in _entry(entry, reader))

    if not is_long(sections):
        return lines_of(entry for section in sections for entry in section.entries)
    every = (entry for section in sections for entry in section.entries)
    return (
        # A menu in the menu has only those variables of it that are exported.
        "export net_default_mac",
        *lines_of(e for e in every if e.target == preselected and not e.why_not),
        *(
            line
            for section in sections
            for line in (
                f"submenu {quote(f'{label(section.heading)} ({section.count})')} {{",
                *indented(*lines_of(section.entries)),
                "}",
            )
        ),
    )


def own_entries(snapshot: Snapshot) -> tuple[str, ...]:
    """Name the operator's own entries, which are written in iPXE's commands."""
    return tuple(
        line for entry in snapshot.menus for line in _telling(f"{label(entry.title)}: needs iPXE")
    )


def machine_entries() -> tuple[str, ...]:
    """List what is no target."""
    commands = {"Restart": "reboot", "Power off": "halt", "Firmware setup": "fwsetup"}
    return tuple(
        line
        for title, command in commands.items()
        for line in (f"menuentry {quote(title)} {{", f"  {command}", "}")
    )


def _entry(entry: Entry, reader: Reader) -> tuple[str, ...]:
    target = entry.target
    if entry.why_not == BY_BOOT_ONCE:
        return _armed_only(target)
    if entry.why_not:
        return _telling(f"{label(entry.title)}: {entry.why_not}")
    title, identity = f"{label(entry.title)}{entry.remark}", quote(entry_id(target))
    lines = (
        f"menuentry {quote(title)} --id {identity} {{",
        *indented(*start(target, reader), DID_NOT_START),
        "}",
    )
    if target.loader == "multiboot":
        reason = f"{label(entry.title)}: needs a GRUB with {MULTIBOOT}, or iPXE on a BIOS"
        lines = _either(f"insmod {MULTIBOOT}", lines, _telling(reason))
    if is_trusted(target, reader.vendor):
        return lines
    locked = (
        f"menuentry {quote(f'{label(entry.title)}: {why_locked(target)}')} --id {identity} {{",
        *indented(*refusal(target, reader.vendor), *wait("go back")),
        "}",
    )
    return _either(LOCKED, locked, lines)


def _either(condition: str, then: tuple[str, ...], otherwise: tuple[str, ...]) -> tuple[str, ...]:
    return (f"if {condition}; then", *indented(*then), "else", *indented(*otherwise), "fi")


def _telling(title: str) -> tuple[str, ...]:
    return (f"menuentry {quote(title)} {{", *indented(say(title), *wait("go back")), "}")


def _armed_only(target: BootTarget) -> tuple[str, ...]:
    title = label(target.title)
    return (
        f"menuentry {quote(f'{title}: {BY_BOOT_ONCE}')} --id {quote(entry_id(target))} {{",
        *indented(
            say(f"Bootyard: {title} erases without asking. To start it once:"),
            *how_to_arm(target),
            *wait("go back"),
        ),
        "}",
    )
