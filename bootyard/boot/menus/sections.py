"""What a menu lists, by families, and what it says of each target. Pure."""

from collections.abc import Callable

import msgspec

from bootyard.boot.plan import ShowMenu, firmware_needed
from bootyard.model.snapshot import BootTarget, Snapshot, TargetKind

SUBMENUS_ABOVE = 25
"""So many entries are read at a glance; more of them go into a menu for each family."""

TOOLS = "Tools"
OTHER = "Other"
BY_BOOT_ONCE = "erases without asking, starts by boot-once only"

_SPELLINGS = (
    *("AlmaLinux", "CentOS", "CoreOS", "ESXi", "FreeBSD", "GParted", "NetBSD", "NixOS", "OpenBSD"),
    *("openSUSE", "RHEL", "SLES", "TrueNAS", "XCP-ng"),
)
_TITLES = {"unknown": OTHER, **{title.lower(): title for title in _SPELLINGS}}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A target in a menu. `title` is the image's text; `remark` and `why_not` are ours."""

    target: BootTarget
    title: str
    remark: str = ""
    """Goes behind the title."""
    why_not: str = ""
    """Why it cannot be chosen; empty: it can."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Entries under a heading, which is text from outside."""

    heading: str
    entries: tuple[Entry, ...]

    @property
    def count(self) -> int:
        """How many of them can be chosen."""
        return sum(not entry.why_not for entry in self.entries)


def sections_of(
    plan: ShowMenu, snapshot: Snapshot, why_not: Callable[[BootTarget], str]
) -> tuple[Section, ...]:
    """Sort a menu's targets under headings. `why_not` tells why a loader cannot start one.

    What cannot be started is told only where nothing else of its image can be: one more way to
    start what is there already is missed by nobody.
    """
    images = {target.image for target in plan.targets}
    entries = [
        *(_entry(target, why_not(target)) for target in plan.targets),
        *(_entry(t, firmware_needed(t)) for t in plan.unfit if t.image not in images),
        *(_entry(target, BY_BOOT_ONCE) for target in plan.armed_only),
    ]
    startable = {entry.target.image for entry in entries if not entry.why_not}
    by_heading: dict[str, list[Entry]] = {}
    for entry in entries:
        is_told = entry.why_not == BY_BOOT_ONCE or entry.target.image not in startable
        if not entry.why_not or is_told:
            by_heading.setdefault(_heading(entry.target, snapshot), []).append(entry)
    return tuple(
        Section(heading=heading, entries=tuple(by_heading[heading]))
        for heading in sorted(by_heading, key=lambda h: (h == TOOLS, h == OTHER, h.casefold(), h))
    )


def is_long(sections: tuple[Section, ...]) -> bool:
    """Tell whether a menu is to lead to one for each section."""
    return sum(len(section.entries) for section in sections) > SUBMENUS_ABOVE


def _entry(target: BootTarget, why_not: str) -> Entry:
    need = f"needs {_size(target.least_memory_mb)}" if target.least_memory_mb > 0 else ""
    remarks = ", ".join(word for word in ("untested" if target.is_guess else "", need) if word)
    return Entry(
        target=target,
        title=target.title,
        remark=f" ({remarks})" if remarks and not why_not else "",
        why_not=why_not,
    )


def _size(megabytes: int) -> str:
    gigabytes = megabytes / 1024
    return f"{gigabytes:.3g} GB of memory" if gigabytes >= 1 else f"{megabytes} MB of memory"


def _heading(target: BootTarget, snapshot: Snapshot) -> str:
    if target.kind is TargetKind.TOOL:
        return TOOLS
    if target.group:
        return target.group
    family = snapshot.images[target.image].family
    return _TITLES.get(family) or family.replace("-", " ").title() or OTHER
