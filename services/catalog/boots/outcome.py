"""How a boot ended, by the steps that were seen, and when that is certain. Pure."""

from collections.abc import Mapping

from bootyard.model.events import BootOutcome, IgnoreReason, MachineState, Step
from bootyard.model.snapshot import BootTarget, TargetKind
from services.catalog.boots.attempts import REFUSED_SECONDS, is_refused
from services.catalog.boots.boot import Boot

Targets = Mapping[str, BootTarget]

RANK = {step: rank for rank, step in enumerate(Step)}
"""How far a boot has come with a step: an iPXE that asks DHCP again has not gone back."""

_STOPPED_AFTER = {
    Step.LOADER: BootOutcome.STOPPED_LOADER,
    Step.SCRIPT: BootOutcome.STOPPED_SCRIPT,
    Step.MENU: BootOutcome.MENU_ONLY,
    Step.KERNEL: BootOutcome.STOPPED_KERNEL,
}
_FAILED = frozenset(o for o in BootOutcome if o.startswith("stopped_")) | {BootOutcome.SECURE_BOOT}


def passed_loader(boot: Boot) -> bool:
    """Tell whether the loader was seen to run."""
    return any(RANK[step.step] > RANK[Step.LOADER] for step in boot.own_steps)


def candidates(boot: Boot, targets: Targets) -> tuple[BootTarget, ...]:
    """List the targets that this boot may be starting, by the kernel that it took.

    An unattended target is one of them only when its boot-once was bound to this boot.
    """
    if boot.target is not None:
        known = targets.get(boot.target)
        return () if known is None else (known,)
    kernels = {(s.image, s.file) for s in boot.steps if s.step is Step.KERNEL and s.is_complete}
    return tuple(
        target
        for target in targets.values()
        if target.kind is not TargetKind.UNATTENDED
        and (target.image, target.kernel_file.casefold()) in kernels
    )


def is_loaded(boot: Boot, target: BootTarget) -> bool:
    """Tell whether every file of a target was completely taken: nothing keeps it from starting."""
    taken = {s.file for s in boot.steps if s.image == target.image and s.is_complete}
    return all(file.casefold() in taken for file in target.loaded_files)


def is_install(boot: Boot, targets: Targets) -> bool:
    """Tell whether what this boot started writes to the machine's disk."""
    kinds = {target.kind for target in candidates(boot, targets)}
    return bool(kinds & {TargetKind.INSTALLER, TargetKind.UNATTENDED})


def system_started(boot: Boot, targets: Targets) -> bool:
    """Tell whether the machine has all that it needs, or was seen to have a system running."""
    return boot.has(Step.SYSTEM_UP) or any(is_loaded(boot, t) for t in candidates(boot, targets))


def is_certain(boot: Boot, targets: Targets) -> bool:
    """Tell whether a boot that goes on can be counted as `running` now.

    What an unattended target does is only known when it reports that it is done, or never does.
    """
    started = candidates(boot, targets)
    return any(t.kind is not TargetKind.UNATTENDED and is_loaded(boot, t) for t in started)


def seems_refused(boot: Boot, now: float) -> bool:
    """Tell whether Secure Boot probably ended an open boot: nothing was heard since its loader."""
    return now - boot.heard >= REFUSED_SECONDS and is_refused(boot)


def final_outcome(boot: Boot, targets: Targets) -> BootOutcome:
    """Name how a boot ended that goes on no longer, by the furthest step that it took."""
    steps = boot.own_steps
    if not steps:
        return BootOutcome.SILENT
    if boot.has(Step.DONE):
        return BootOutcome.INSTALLED
    if is_refused(boot):
        return BootOutcome.SECURE_BOOT
    if system_started(boot, targets):
        return BootOutcome.RUNNING
    furthest = max(steps, key=lambda step: RANK[step.step]).step
    if furthest is Step.DISCOVERED:
        denied = all(s.outcome == IgnoreReason.DENIED for s in steps)
        return BootOutcome.DENIED if denied else BootOutcome.SILENT
    if furthest in {Step.OFFERED, Step.ACKED, Step.ADDRESSED}:
        acked = boot.has(Step.ACKED)
        return BootOutcome.STOPPED_4011 if acked else BootOutcome.STOPPED_OFFER
    if furthest is Step.INITRD:
        return _with_initrd(boot, targets)
    return _STOPPED_AFTER.get(furthest, BootOutcome.RUNNING)


def _with_initrd(boot: Boot, targets: Targets) -> BootOutcome:
    """Judge a boot that came to its initrds and is not known to have all of them."""
    last = max((s for s in boot.steps if s.step is Step.INITRD), key=lambda s: s.at)
    # Without the target (its image is gone meanwhile) a complete initrd is all there is to see.
    if last.is_complete and not candidates(boot, targets):
        return BootOutcome.RUNNING
    return BootOutcome.STOPPED_INITRD


def machine_state(boot: Boot | None, targets: Targets) -> MachineState:
    """Name what a machine is doing, by its last boot."""
    if boot is None or boot.outcome is BootOutcome.LOCAL_DISK:
        return MachineState.IDLE
    if not boot.is_open or boot.outcome is BootOutcome.SECURE_BOOT:
        return MachineState.FAILED if boot.outcome in _FAILED else MachineState.IDLE
    if system_started(boot, targets):
        if is_install(boot, targets):
            return MachineState.INSTALLING
        if boot.has(Step.SYSTEM_UP):
            return MachineState.IDLE
    return MachineState.BOOTING
