"""What a machine's menu does: which target starts, what is preselected, and what a timeout means.

The rule behind all of it: nothing is installed unless a person asked for that in this very boot.
"""

import msgspec

from bootyard.model.architecture import PROCESSOR_OF, Firmware
from bootyard.model.loaders import platform_of
from bootyard.model.snapshot import LOCAL_DISK, MENU, BootTarget, Machine, Snapshot, TargetKind

HARMLESS = frozenset({TargetKind.LIVE, TargetKind.TOOL})
"""Targets that may start by a timeout, with nobody at the keyboard."""


class BootNow(msgspec.Struct, frozen=True, kw_only=True):
    """Start this target at once: a boot-once was armed for this boot."""

    target: BootTarget
    firmware: Firmware | None = None
    """Of the machine; None: not known."""


class ShowMenu(msgspec.Struct, frozen=True, kw_only=True):
    """Offer the targets; without an answer the machine goes on by itself.

    A hidden menu is announced for `timeout_seconds`, then the local disk is booted; a key opens
    it, and then it waits. A menu that is not hidden takes `preselected` after the time.
    """

    targets: tuple[BootTarget, ...]
    armed_only: tuple[BootTarget, ...]
    """Unattended targets: named, so that they are not missed, but not selectable."""
    preselected: str
    timeout_seconds: int
    hidden: bool
    unfit: tuple[BootTarget, ...] = ()
    """Targets for this machine's processor, but not for its firmware: named, not selectable."""
    firmware: Firmware | None = None
    """Of the machine; None: not known."""


Plan = BootNow | ShowMenu

_BIOS_ONLY = frozenset({"memdisk"})
_UEFI_ONLY = frozenset({"efi"})
"""Loaders that know one kind of firmware, whatever starts them."""


def make_plan(
    snapshot: Snapshot,
    machine: Machine | None,
    firmware: Firmware | None,
    armed: BootTarget | None = None,
) -> Plan:
    """Plan the boot of a machine (None: unknown, or not proven to be the one it says it is).

    `armed` is the target of a boot-once that is bound to this boot: only the catalog knows it.
    """
    if armed is not None:
        return BootNow(target=armed, firmware=firmware)
    policy = snapshot.policy
    in_menus = (t for t in snapshot.targets.values() if t.loader != "pi")
    of_processor = [t for t in in_menus if fits(t, snapshot, firmware)]
    fitting = [t for t in of_processor if suits(t, firmware)]
    selectable = {t.id: t for t in fitting if t.kind is not TargetKind.UNATTENDED}
    wanted = _wanted(snapshot, machine)
    target = selectable.get(wanted)
    # An interactive installer is one Enter away, but only for whoever interrupts the local disk.
    hidden = target.kind not in HARMLESS if target is not None else wanted != MENU
    return ShowMenu(
        targets=tuple(selectable.values()),
        armed_only=tuple(t for t in fitting if t.kind is TargetKind.UNATTENDED),
        preselected=target.id if target is not None else LOCAL_DISK,
        timeout_seconds=policy.timeout_seconds,
        hidden=hidden,
        unfit=tuple(t for t in of_processor if not suits(t, firmware)),
        firmware=firmware,
    )


def _wanted(snapshot: Snapshot, machine: Machine | None) -> str:
    """Name the target, `menu` or `local-disk` that this machine's owner asked for."""
    policy = snapshot.policy
    if machine is not None:
        return machine.target or policy.default
    if policy.unknown != "menu":
        return LOCAL_DISK
    return MENU if policy.default == LOCAL_DISK else policy.default


def fits(target: BootTarget, snapshot: Snapshot, firmware: Firmware | None) -> bool:
    """Tell whether a machine with this firmware (None: not known) has a target's processor."""
    image = snapshot.images.get(target.image)
    processor = PROCESSOR_OF.get(firmware) if firmware is not None else None
    if image is None or processor is None or not image.architectures:
        return image is not None
    if firmware is Firmware.BIOS and "i386" in image.architectures:
        return True
    return processor in image.architectures


def suits(target: BootTarget, firmware: Firmware | None) -> bool:
    """Tell whether a target can start with a firmware (None: not known)."""
    if firmware is None or firmware not in PROCESSOR_OF:
        return True
    if target.firmware and not {firmware, platform_of(firmware)} & set(target.firmware):
        return False
    return target.loader not in (_UEFI_ONLY if firmware is Firmware.BIOS else _BIOS_ONLY)


def firmware_needed(target: BootTarget) -> str:
    """Say which firmware a target that does not suit a machine needs."""
    if target.loader in _BIOS_ONLY or target.firmware == (Firmware.BIOS,):
        return "starts on a BIOS only"
    if not target.firmware:
        return "starts on UEFI only"
    return f"starts on {', '.join(target.firmware)} only"
