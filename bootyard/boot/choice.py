"""Which boot file a machine is offered, or why it gets no answer."""

import msgspec

from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.architecture import ClientArchitecture, Firmware, firmware_of
from bootyard.model.events import IgnoreReason, OfferStage
from bootyard.model.loaders import (
    IPXE_LOADERS,
    LOADER_FILES,
    LoaderName,
    OfferStrategy,
    platform_of,
)
from bootyard.model.snapshot import BootTarget, Learned, Machine, Snapshot, TargetKind

TRIES = 2
"""Offers that a machine may leave before it gets the next kind of offer."""

IPXE_HTTP, IPXE_MENU = 0x13, 0x27
"""Tags of option 175 that our scripts cannot do without (ipxe/features.h)."""


_EFI_OF_UBOOT = {
    ClientArchitecture.ARM32_UBOOT: Firmware.UEFI_ARM32,
    ClientArchitecture.ARM64_UBOOT: Firmware.UEFI_ARM64,
}
"""U-Boot starts EFI programs."""


class BootOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A boot file for a machine. `boot_file` is a name in the boot tree."""

    boot_file: str
    strategy: OfferStrategy
    stage: OfferStage


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """No answer, because of `reason`; `detail` is for people."""

    reason: IgnoreReason
    detail: str


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a choice is made from."""

    client: BootClient
    recent: RecentBoot
    snapshot: Snapshot
    machine: Machine
    learned: Learned
    platform: Firmware
    """Whose loaders it runs."""

    @property
    def wants_signed(self) -> bool:
        if self.machine.secure_boot is not None:
            return self.machine.secure_boot
        if self.snapshot.policy.secure_boot != "auto":
            return self.snapshot.policy.secure_boot == "always"
        return self.learned.secure_boot is not None


def choose(client: BootClient, recent: RecentBoot, snapshot: Snapshot) -> BootOffer | Silence:
    """Choose what a machine loads next."""
    refusal = _refusal(client, snapshot)
    if refusal is not None:
        return refusal
    machine = snapshot.machine(client.mac) or Machine(mac=client.mac)
    firmware = machine.firmware or client.firmware
    facts = _Facts(
        client=client,
        recent=recent,
        snapshot=snapshot,
        machine=machine,
        learned=snapshot.learned_of(client.mac),
        platform=_platform(firmware, client),
    )
    match client.kind:
        case ClientKind.IPXE:
            return _for_ipxe(facts)
        case ClientKind.PI:
            return _for_pi(facts)
        case ClientKind.UBOOT:
            return _for_uboot(facts)
        case ClientKind.ROM | ClientKind.HTTP:
            return _for_firmware(facts)


def _platform(firmware: Firmware, client: BootClient) -> Firmware:
    if firmware is Firmware.UBOOT:
        processor = client.architecture
        return _EFI_OF_UBOOT.get(processor, platform_of(firmware_of(processor)))
    return platform_of(firmware)


def _refusal(client: BootClient, snapshot: Snapshot) -> Silence | None:
    policy = snapshot.policy
    if client.mac in policy.deny or (policy.allow and client.mac not in policy.allow):
        return Silence(reason=IgnoreReason.DENIED, detail="the policy denies this machine")
    if policy.unknown == "silence" and client.mac not in snapshot.machines:
        return Silence(
            reason=IgnoreReason.POLICY, detail="the policy is silent to unknown machines"
        )
    return None


def _for_ipxe(facts: _Facts) -> BootOffer:
    """Give iPXE its script, or a loader: a pinned one, or one that can do what scripts need.

    A chainloaded iPXE asks exactly as the ROM's did: what the machine was given just now tells
    them apart, and ends every loop.
    """
    script = BootOffer(boot_file="boot.ipxe", strategy=OfferStrategy.DIRECT, stage=OfferStage.IPXE)
    features = facts.client.ipxe_features
    pinned = _pinned(facts)
    if pinned is not None:
        wanted: tuple[LoaderName, ...] = (pinned,)
    elif features and not {IPXE_HTTP, IPXE_MENU} <= features:
        wanted = tuple(name for name in _tried_unasked(facts) if name in IPXE_LOADERS)
    else:
        return script
    loader = next((file for name in wanted if (file := _file(facts, name)) is not None), None)
    if loader is None or facts.recent.given == f"loaders/{loader}":
        return script
    return msgspec.structs.replace(script, boot_file=f"loaders/{loader}")


def _for_firmware(facts: _Facts) -> BootOffer | Silence:
    """Give firmware the best loader that did not lead it nowhere before."""
    stage = OfferStage.HTTP if facts.client.kind is ClientKind.HTTP else OfferStage.ROM
    boot_file = _vendor_shim(facts)
    if boot_file is None:
        loader = _loader(facts)
        if isinstance(loader, Silence):
            return loader
        boot_file = f"loaders/{loader}"
    return BootOffer(boot_file=boot_file, strategy=_strategy(facts), stage=stage)


def _loader(facts: _Facts) -> str | Silence:
    names: tuple[LoaderName, ...]
    pinned = _pinned(facts)
    if pinned is not None:
        names = (pinned,)
    elif facts.wants_signed:
        names = (LoaderName.SHIM, *_tried_unasked(facts))
    else:
        names = _tried_unasked(facts)
    files = {name: file for name in names if (file := _file(facts, name)) is not None}
    left = [file for name, file in files.items() if name not in facts.learned.dead_ends]
    if left:
        return left[0]
    firmware = facts.client.firmware
    if not files:
        wanted = f"{pinned} " if pinned is not None else ""
        return Silence(
            reason=IgnoreReason.NO_LOADER,
            detail=f"there is no {wanted}loader for {firmware} ({facts.client.architecture.name})",
        )
    if pinned is not None:
        return files[pinned]
    return Silence(
        reason=IgnoreReason.NO_LOADER,
        detail=f"no loader led anywhere ({', '.join(files)}): left to its local disk for a while",
    )


def _tried_unasked(facts: _Facts) -> tuple[LoaderName, ...]:
    loaders = LOADER_FILES.get(facts.platform, {})
    return tuple(name for name in loaders if name is not LoaderName.SYSLINUX)


def _pinned(facts: _Facts) -> LoaderName | None:
    """The loader that this machine is to use; a boot-once needs one that asks the catalog."""
    pinned = facts.machine.loader
    cannot_ask = (LoaderName.PXELINUX, LoaderName.SYSLINUX)
    return None if pinned in cannot_ask and _armed(facts) is not None else pinned


def _file(facts: _Facts, name: LoaderName) -> str | None:
    files = LOADER_FILES.get(facts.platform, {}).get(name, ())
    names = (f"{facts.platform}/{file}" for file in files)
    return next((name for name in names if name in facts.snapshot.loaders), None)


def _armed(facts: _Facts) -> BootTarget | None:
    return facts.snapshot.targets.get(facts.snapshot.armed.get(facts.client.mac, ""))


def _vendor_shim(facts: _Facts) -> str | None:
    """Name the shim of the vendor that signed the kernel of what this machine boots next.

    shim takes its second stage from its own directory, and trusts kernels of its own vendor only:
    the chain is chosen here or not at all.
    """
    if not facts.wants_signed or facts.machine.loader not in (None, LoaderName.SHIM):
        return None
    if LoaderName.SHIM in facts.learned.dead_ends:
        return None
    wanted = facts.machine.target or facts.snapshot.policy.default
    target = _armed(facts) or facts.snapshot.targets.get(wanted)
    if target is None:
        return None
    chain = next((c for c in target.chains if c.firmware is facts.platform), None)
    if chain is None:
        return None
    return f"{facts.snapshot.images[target.image].folder}/{chain.shim}"


_NEXT = {
    OfferStrategy.COMPATIBLE: OfferStrategy.DIRECT,
    OfferStrategy.DIRECT: OfferStrategy.MENU,
    OfferStrategy.MENU: OfferStrategy.COMPATIBLE,
}


def _strategy(facts: _Facts) -> OfferStrategy:
    """Choose how the file is offered; what a machine leaves twice, it gets another way.

    Some UEFI firmware ignores an offer that skips boot server discovery, some one that does not
    (HP, Dell; pixiecore's README); old BIOS ROMs report PXE-E53 when option 43 is missing.
    """
    if facts.client.kind is ClientKind.HTTP:
        return OfferStrategy.DIRECT  # the URL is in the OFFER, there is nothing else to ask
    if facts.machine.offer is not None:
        return facts.machine.offer
    recent = facts.recent
    if recent.strategy is not None:
        return recent.strategy if recent.ignored < TRIES else _NEXT[recent.strategy]
    if facts.learned.offer is not None:
        return facts.learned.offer
    is_bios = facts.platform is Firmware.BIOS
    return OfferStrategy.DIRECT if is_bios else OfferStrategy.COMPATIBLE


def _for_pi(facts: _Facts) -> BootOffer | Silence:
    """Give a Raspberry Pi our address; the names of its files it knows itself."""
    if pi_target(facts.snapshot, facts.machine) is None:
        return Silence(
            reason=IgnoreReason.NO_LOADER,
            detail="the library has no folder with the firmware files of a Raspberry Pi",
        )
    return BootOffer(boot_file="", strategy=OfferStrategy.MENU, stage=OfferStage.PI)


def pi_target(snapshot: Snapshot, machine: Machine | None) -> BootTarget | None:
    """Tell whose files a Raspberry Pi gets: its target's, its boot-once's, or the default.

    It has no menu to ask in: what installs unattended starts by boot-once only, and what nobody
    chose starts only when it is the only one and installs nothing.
    """
    targets = {t.id: t for t in snapshot.targets.values() if t.loader == "pi"}
    if machine is not None:
        armed = targets.get(snapshot.armed.get(machine.mac, ""))
        if armed is not None:
            return armed
    harmless = {id_: t for id_, t in targets.items() if t.kind is TargetKind.LIVE}
    wanted = (machine and machine.target) or snapshot.policy.default
    if wanted in targets:
        return harmless.get(wanted)
    return next(iter(harmless.values())) if len(harmless) == 1 else None


def _for_uboot(facts: _Facts) -> BootOffer | Silence:
    """Give U-Boot an EFI loader; beside it `pxe get` finds `pxelinux.cfg/`."""
    loader = _loader(facts)
    if isinstance(loader, Silence):
        return loader
    return BootOffer(
        boot_file=f"loaders/{loader}", strategy=OfferStrategy.DIRECT, stage=OfferStage.ROM
    )
