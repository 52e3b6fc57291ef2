"""Machines that ask, what the catalog knows of them, and what they are offered."""

import msgspec

from bootyard.boot.choice import BootOffer, Silence, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.architecture import ClientArchitecture, Firmware, firmware_of
from bootyard.model.document import encode
from bootyard.model.events import IgnoreReason, OfferStage
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.snapshot import (
    BootTarget,
    Learned,
    Machine,
    Policy,
    Root,
    SignedChain,
    Slice,
    Snapshot,
    TargetKind,
)
from tests import samples
from tests.samples import MAC

ROM, IPXE, HTTP = ClientKind.ROM, ClientKind.IPXE, ClientKind.HTTP
UBOOT, PI = ClientKind.UBOOT, ClientKind.PI
SNPONLY, IPXE_BUILD, UNDIONLY, PXELINUX, SYSLINUX, GRUB, SHIM = (
    *(LoaderName.SNPONLY, LoaderName.IPXE, LoaderName.UNDIONLY, LoaderName.PXELINUX),
    *(LoaderName.SYSLINUX, LoaderName.GRUB, LoaderName.SHIM),
)
DIRECT, COMPATIBLE, MENU = OfferStrategy.DIRECT, OfferStrategy.COMPATIBLE, OfferStrategy.MENU
GOOD = frozenset({0x13, 0x27, 0xEB})
"""Features of an iPXE that knows HTTP and menus."""
OLD = frozenset({0x15, 0xEB})
"""… and of one that knows TFTP alone."""

PACKAGED = (
    *("bios/undionly.kpxe", "bios/ipxe.pxe", "bios/pxelinux.0", "bios/lpxelinux.0"),
    *("uefi-x64/snponly.efi", "uefi-x64/ipxe.efi", "uefi-x64/shimx64.efi"),
    *("uefi-x64/grubx64.efi", "uefi-x64/syslinux.efi"),
    *("uefi-ia32/grubia32.efi", "uefi-ia32/syslinux.efi"),
    *("uefi-arm64/ipxe.efi", "uefi-arm64/shimaa64.efi", "uefi-arm64/grubaa64.efi"),
    *("uefi-riscv64/ipxe.efi", "uefi-loong64/ipxe.efi"),
)
"""What Debian's packages have."""


def client(
    architecture: int, kind: ClientKind = ROM, features: frozenset[int] = frozenset()
) -> BootClient:
    number = ClientArchitecture(architecture)
    firmware = {UBOOT: Firmware.UBOOT, PI: Firmware.PI}.get(kind, firmware_of(number))
    return BootClient(
        mac=MAC, firmware=firmware, kind=kind, architecture=number, ipxe_features=features
    )


def snapshot(
    machine: Machine | None = None,
    *,
    learned: Learned | None = None,
    policy: Policy | None = None,
    armed: str | None = None,
    targets: tuple[BootTarget, ...] = (),
    loaders: tuple[str, ...] = PACKAGED,
) -> Snapshot:
    state = samples.snapshot(*([] if machine is None else [machine]), policy=policy)
    return msgspec.structs.replace(
        state,
        loaders={n: Slice(root=Root.PACKAGED, path=n, extents=((0, 1),)) for n in loaders},
        learned={} if learned is None else {MAC: msgspec.Raw(encode(learned))},
        armed={} if armed is None else {MAC: armed},
        targets={**state.targets, **{target.id: target for target in targets}},
    )


def offered(
    who: BootClient, state: Snapshot, recent: RecentBoot | None = None
) -> tuple[str, OfferStrategy, OfferStage]:
    """Tell what a machine is offered: loaders without their folder's name."""
    chosen = choose(who, recent or RecentBoot(), state)
    assert isinstance(chosen, BootOffer), chosen
    return chosen.boot_file.removeprefix("loaders/"), chosen.strategy, chosen.stage


def silent(who: BootClient, state: Snapshot) -> str:
    """Tell why a machine is offered no loader."""
    chosen = choose(who, RecentBoot(), state)
    assert isinstance(chosen, Silence), chosen
    assert chosen.reason is IgnoreReason.NO_LOADER
    return chosen.detail


def vendor(identity: str, shim: str = "EFI/BOOT/BOOTX64.EFI") -> BootTarget:
    return BootTarget(
        id=identity,
        image="live",
        title=identity,
        kind=TargetKind.LIVE,
        kernel="linux",
        signed_by="fedora",
        chains=(SignedChain(shim=shim, grub="EFI/BOOT/grubx64.efi"),),
    )


FEDORA = "images/live@4/EFI/BOOT/BOOTX64.EFI"


def pi(identity: str, kind: TargetKind = TargetKind.LIVE) -> BootTarget:
    return BootTarget(
        id=identity, image="arm", title=identity, kind=kind, kernel="kernel8.img", loader="pi"
    )


ONE = (pi("pi-os"),)
