"""Which boot file a machine is offered, or why it gets no answer."""

from enum import StrEnum

import msgspec

from bootyard.boot.client import BootClient, ClientKind
from bootyard.model.architecture import Firmware
from bootyard.model.events import IgnoreReason, OfferStage
from bootyard.model.snapshot import Snapshot


class OfferStrategy(StrEnum):
    """How the boot file reaches the firmware (PXE 2.1 §2.2; what each firmware does differs)."""

    DIRECT = "direct"
    """In the OFFER, with option 43.6 = 8: the client loads it without asking port 4011."""
    COMPATIBLE = "compatible"
    """No option 43: the client asks the boot server on port 4011 first."""


class BootOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A boot file for a machine. `boot_file` is a name in the boot tree."""

    boot_file: str
    strategy: OfferStrategy
    stage: OfferStage


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """No answer, because of `reason`; `detail` is for people."""

    reason: IgnoreReason
    detail: str


LOADER_PREFERENCE: dict[Firmware, tuple[str, ...]] = {
    Firmware.BIOS: ("undionly.kpxe", "ipxe.pxe"),
    Firmware.UEFI_X64: ("snponly.efi", "ipxe.efi"),
    Firmware.UEFI_IA32: ("snponly.efi", "ipxe.efi"),
    Firmware.UEFI_ARM64: ("snponly.efi", "ipxe.efi"),
    Firmware.UEFI_ARM32: ("snponly.efi", "ipxe.efi"),
    Firmware.UEFI_RISCV64: ("snponly.efi", "ipxe.efi"),
    Firmware.UEFI_LOONG64: ("snponly.efi", "ipxe.efi"),
}
"""Loaders of each firmware, best first: those that use the firmware's own network driver."""


def choose(client: BootClient, snapshot: Snapshot) -> BootOffer | Silence:
    """Choose what a machine loads next."""
    refusal = _refusal(client, snapshot)
    if refusal is not None:
        return refusal
    if client.kind is ClientKind.IPXE:
        return BootOffer(
            boot_file="boot.ipxe", strategy=OfferStrategy.DIRECT, stage=OfferStage.IPXE
        )
    machine = snapshot.machine(client.mac)
    firmware = (machine and machine.firmware) or client.firmware
    loader = _loader(firmware, snapshot) if client.kind is ClientKind.ROM else None
    if loader is None:
        return Silence(
            reason=IgnoreReason.NO_LOADER,
            detail=f"there is no loader for {firmware} ({client.architecture.name})",
        )
    return BootOffer(
        boot_file=f"loaders/{loader}",
        # Some UEFI firmware ignores an offer that skips boot server discovery; old BIOS ROMs
        # report PXE-E53 when option 43 is missing.
        strategy=OfferStrategy.DIRECT if firmware is Firmware.BIOS else OfferStrategy.COMPATIBLE,
        stage=OfferStage.ROM,
    )


def _refusal(client: BootClient, snapshot: Snapshot) -> Silence | None:
    policy = snapshot.policy
    if client.mac in policy.deny or (policy.allow and client.mac not in policy.allow):
        return Silence(reason=IgnoreReason.DENIED, detail="the policy denies this machine")
    if policy.unknown == "silence" and client.mac not in snapshot.machines:
        return Silence(
            reason=IgnoreReason.POLICY, detail="the policy is silent to unknown machines"
        )
    return None


def _loader(firmware: Firmware, snapshot: Snapshot) -> str | None:
    names = (f"{firmware}/{name}" for name in LOADER_PREFERENCE.get(firmware, ()))
    return next((name for name in names if name in snapshot.loaders), None)
