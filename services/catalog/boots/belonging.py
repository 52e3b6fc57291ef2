"""Whether a step still belongs to the boot before it. Pure."""

from bootyard.model.events import BootOutcome, Step
from bootyard.model.snapshot import LOCAL_DISK
from services.catalog.boots.attempts import is_refused
from services.catalog.boots.boot import Boot, BootStep
from services.catalog.boots.outcome import passed_loader

SAME_BOOT_SECONDS = 600.0
"""How long firmware may ask again before that is another boot."""
LEAVING_SECONDS = 120.0
"""Firmware that leaves for the disk tries its other network options on the way, for this long."""

_ON_THE_WAY = frozenset(
    {Step.DISCOVERED, Step.OFFERED, Step.ACKED, Step.ADDRESSED, Step.LOADER, Step.MENU}
)
"""What firmware's other network option may do in a boot that left for the local disk."""


def begins_anew(boot: Boot, step: BootStep) -> bool:
    """Tell whether a step later than all of an open boot's shows that the machine started anew."""
    recent = step.at - boot.started <= SAME_BOOT_SECONDS
    if step.is_firmware_discover:
        # It has given its loader up: whatever is offered now is another try.
        return passed_loader(boot) or not recent or is_refused(boot)
    if step.step is Step.DISCOVERED:
        loaders = (s.at for s in boot.steps if s.step is Step.LOADER)
        chainloaded = any(step.at - at <= SAME_BOOT_SECONDS for at in loaders)
        return not chainloaded and (boot.has(Step.SCRIPT) or not recent)
    if step.step is Step.SCRIPT and step.detail != LOCAL_DISK:
        # iPXE asks for its script in its first seconds, and is gone once a kernel runs: it was
        # started again, unseen by proxydhcp. What is bound to a boot must not outlive it.
        scripts = [s.at for s in boot.steps if s.step is Step.SCRIPT]
        late = bool(scripts) and step.at - max(scripts) > SAME_BOOT_SECONDS
        return late or boot.has_kernel
    return False


def goes_on(boot: Boot, step: BootStep) -> bool:
    """Tell whether a step later than all of a closed boot's still belongs to it."""
    if step.step is Step.DONE:
        return _may_be_done(boot)
    if boot.outcome is BootOutcome.SECURE_BOOT:
        # Told late: its loader may have been started after all.
        return boot.closed is not None and step.at <= boot.closed
    return _is_on_its_way_to_disk(boot, step)


def _is_on_its_way_to_disk(boot: Boot, step: BootStep) -> bool:
    """Tell whether a closed boot still goes on: its firmware tries another option before the disk.

    UEFI goes through all its network entries, HTTP Boot after PXE or the other way round.
    """
    if boot.outcome is not BootOutcome.LOCAL_DISK or boot.closed is None:
        return False
    if step.is_firmware_discover:
        tried = {s.stage for s in boot.steps if s.is_firmware_discover and s.at <= boot.closed}
        is_other = bool(tried) and step.stage not in tried
        return is_other and step.at - boot.closed < LEAVING_SECONDS
    if step.step not in _ON_THE_WAY and not _leaves(step):
        return False
    others = [s.at for s in boot.steps if s.is_firmware_discover and s.at > boot.closed]
    return bool(others) and step.at - max(others) < LEAVING_SECONDS


def _leaves(step: BootStep) -> bool:
    """Tell whether a script leads to the local disk, or is the first one, which asks for that."""
    is_first = step.transport == "tftp"
    return step.step is Step.SCRIPT and (is_first or step.detail == LOCAL_DISK)


def _may_be_done(boot: Boot) -> bool:
    """Tell whether an install may still have been under way when its boot went silent."""
    return boot.outcome is BootOutcome.RUNNING
