"""Which loaders a machine took in one boot, and where each of them led. Pure.

What firmware makes of a loader is never said on the wire: it is read from what is asked for next.
Times are seconds since 1970.
"""

from dataclasses import dataclass

from bootyard.model.architecture import Firmware
from bootyard.model.events import BootOutcome, OfferStage, Step
from bootyard.model.loaders import (
    PLATFORM_OF,
    LoaderName,
    OfferStrategy,
    loader_named,
    platform_of,
)
from bootyard.model.snapshot import LOCAL_DISK
from services.catalog.boots.boot import Boot, BootStep

UEFI = frozenset(
    {
        Firmware.UEFI_X64,
        Firmware.UEFI_IA32,
        Firmware.UEFI_ARM64,
        Firmware.UEFI_ARM32,
        Firmware.UEFI_RISCV64,
        Firmware.UEFI_LOONG64,
        *PLATFORM_OF,
    }
)
"""Firmware that may want signatures."""

SECOND_STAGE = "grub"
"""How the file begins that shim starts by default (`grubx64.efi`; rhboot/shim, DEFAULT_LOADER)."""

SETTLED_SECONDS = 2.0
"""What a firmware's next request means is concluded after this: events overtake each other."""
REFUSED_SECONDS = 15.0
"""A loader that runs asks for its first script long before: chainloaded iPXE in 0.1 s."""
SHIM_SECONDS = 60.0
"""shim takes GRUB in blocks of 512 bytes, and what is cut in the middle is told when tftp gives up:
only then is its silence a dead end."""
LOOP_SECONDS = 120.0
"""Firmware that asks again later than this was switched on anew."""
UNDECIDED_SECONDS = 180.0
"""After this long without news, nothing more is concluded from silence."""

_ASKS = frozenset({Step.SCRIPT, Step.MENU, Step.KERNEL, Step.INITRD, Step.ANSWERS})
_LEASES = frozenset({Step.DISCOVERED, Step.OFFERED, Step.ACKED, Step.ADDRESSED})


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A loader that was taken to its last byte, and what was seen after that."""

    loader: LoaderName
    path: str
    is_uefi: bool
    taken: float
    alive: float | None = None
    """When it first did something that only a running loader does."""
    second_stage: float | None = None
    """When shim had what it starts."""
    asked: float | None = None
    """When it first asked for a script, a menu or a file."""
    reached: float | None = None
    """When it came to the catalog's script, a menu, a kernel or the local disk."""
    back: float | None = None
    """When the firmware asked again."""
    was_cut: bool = False
    """A file that it loads itself did not arrive whole: the machine was switched off, or the
    network failed."""

    @property
    def is_signed(self) -> bool:
        """Whether firmware with Secure Boot starts it."""
        return self.loader is LoaderName.SHIM

    @property
    def came_back(self) -> bool:
        """Whether it led to the firmware again, soon and with nothing reached."""
        if self.reached is not None or self.back is None or self.was_cut:
            return False
        return self.back - self.taken <= LOOP_SECONDS


def attempts_of(boot: Boot) -> list[Attempt]:
    """List the loaders that a boot took, in order."""
    attempts: list[Attempt] = []
    running: Attempt | None = None
    for step in boot.steps:
        if not step.is_ours:
            continue
        if step.is_firmware_discover:
            if running is not None:
                running.back = step.at
            running = None
        elif step.step is Step.LOADER:
            before = running
            running = _after_loader(running, step, boot)
            if running is not None and running is not before:
                attempts.append(running)
            else:
                _note_whole(attempts, step, boot)
        elif running is not None:
            _note_life(running, step)
    if running is not None and boot.restarted is not None:
        running.back = boot.restarted
    return attempts


def taken_offer(boot: Boot) -> tuple[OfferStrategy, float] | None:
    """Name the strategy of the offer that firmware went on from, and when it did."""
    taken = None
    offered: BootStep | None = None
    for step in boot.own_steps:
        if step.step is Step.OFFERED and step.stage is OfferStage.ROM:
            offered = step
        elif step.step is Step.LOADER and offered is not None and offered.strategy is not None:
            # Another server may have sent it here for a file of its own choice.
            if (step.path or "").casefold() == offered.detail.casefold():
                taken = (offered.strategy, step.at)
            offered = None
    return taken


def loader_of(step: BootStep, firmware: Firmware | None) -> LoaderName | None:
    """Tell which loader a file is; None for what loaders load for themselves.

    Recipes for other servers name it alone, and a vendor's signed chain lies in its image.
    """
    path = (step.path or "").casefold()
    if path.startswith("images/"):
        is_second = path.rpartition("/")[2].startswith(SECOND_STAGE)
        return LoaderName.GRUB if is_second else LoaderName.SHIM
    if "/" not in path and firmware is not None:
        path = f"loaders/{platform_of(firmware)}/{path}"
    named = loader_named(path)
    return None if named is None else named[1]


def is_refused(boot: Boot) -> bool:
    """Tell whether the last loader of a UEFI machine shows no sign that it was ever started."""
    attempts = attempts_of(boot)
    return bool(attempts) and shows_no_life(attempts[-1])


def shows_no_life(attempt: Attempt) -> bool:
    """Tell whether UEFI firmware may have refused this loader's signature."""
    return attempt.is_uefi and not attempt.is_signed and attempt.alive is None


def is_refusal(attempt: Attempt, quiet: float) -> bool:
    """Conclude that firmware refused a loader, `quiet` seconds after the boot's latest news."""
    if not shows_no_life(attempt) or attempt.was_cut:
        return False
    return quiet >= (REFUSED_SECONDS if attempt.back is None else SETTLED_SECONDS)


def is_dead_end(attempt: Attempt, now: float, quiet: float) -> bool:
    """Conclude that a loader led nowhere, `quiet` seconds after the boot's latest news."""
    if attempt.is_signed and attempt.asked is None:
        since = quiet if attempt.back is None else max(quiet, now - attempt.back)
        return since >= SHIM_SECONDS and not attempt.was_cut
    return attempt.came_back and quiet >= SETTLED_SECONDS


def is_decided(boot: Boot, now: float) -> bool:
    """Tell whether time alone will not change what is concluded from a boot."""
    if boot.outcome is BootOutcome.LOCAL_DISK or now - boot.heard > UNDECIDED_SECONDS:
        return True
    return all(attempt.reached is not None for attempt in attempts_of(boot))


def _after_loader(running: Attempt | None, step: BootStep, boot: Boot) -> Attempt | None:
    """Place a loader's file: a new attempt, or something that the running loader wants."""
    name = loader_of(step, boot.firmware)
    is_of_chain = running is not None and running.is_signed and name is not LoaderName.SHIM
    if running is not None and (name is None or is_of_chain):
        running.alive = running.alive or step.at
        if is_of_chain and name is not None and step.is_complete:
            running.second_stage = step.at
        return running
    if name is None:
        return None
    if running is not None and running.alive is None:
        # The firmware took it up again, or another one, without being heard in between.
        running.back = step.at
    if not step.is_complete:
        return None
    is_uefi = boot.firmware in UEFI if boot.firmware is not None else _is_uefi_file(step)
    return Attempt(loader=name, path=step.path or "", is_uefi=is_uefi, taken=step.at)


def _is_uefi_file(step: BootStep) -> bool:
    named = loader_named(step.path or "")
    return named is not None and named[0] in UEFI


def _note_whole(attempts: list[Attempt], step: BootStep, boot: Boot) -> None:
    """Note whether a file that a loader loads itself arrived whole, by when its transfer began.

    A machine that is switched off does not say so: tftp gives up when it is long on again.
    """
    began = step.at - (step.seconds or 0.0)
    attempt = next((known for known in reversed(attempts) if known.taken <= began), None)
    if attempt is None or (attempt.back is not None and attempt.back < began):
        return
    if attempt.is_signed or loader_of(step, boot.firmware) is None:
        attempt.was_cut = not step.is_complete


def _note_life(running: Attempt, step: BootStep) -> None:
    if step.step in _LEASES:
        # The firmware may still renew its own lease; only iPXE asks as iPXE.
        if step.stage is OfferStage.IPXE:
            running.alive = running.alive or step.at
        return
    if step.step not in _ASKS:
        return
    running.was_cut = False
    running.alive = running.alive or step.at
    running.asked = running.asked or step.at
    # The first script comes over TFTP and leads on to the catalog: it is not where a boot goes.
    is_first_script = step.step is Step.SCRIPT and step.transport == "tftp"
    if not is_first_script or step.detail == LOCAL_DISK:
        running.reached = running.reached or step.at
