"""Which boot file a machine is offered, or why it gets no answer."""

import msgspec

from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.boot.strategy import strategy_for_firmware, strategy_for_ipxe
from bootyard.model.architecture import ClientArchitecture, Firmware, firmware_of
from bootyard.model.events import IgnoreReason, OfferStage
from bootyard.model.loaders import (
    IPXE_LOADERS,
    LOADER_FILES,
    LoaderName,
    OfferStrategy,
    loader_named,
    platform_of,
)
from bootyard.model.snapshot import (
    LOCAL_DISK,
    BootTarget,
    Learned,
    Machine,
    Snapshot,
    TargetKind,
)

IPXE_HTTP, IPXE_MENU = 0x13, 0x27
"""Tags of option 175 that our scripts cannot do without (ipxe/features.h)."""

MAX_BOOT_FILE = 127
"""Bytes in the header's `file` beside its NUL (RFC 2131 §2): shim looks nowhere else."""

_EFI_OF_UBOOT = {
    ClientArchitecture.ARM32_UBOOT: Firmware.UEFI_ARM32,
    ClientArchitecture.ARM64_UBOOT: Firmware.UEFI_ARM64,
}
"""U-Boot starts EFI programs."""


class BootOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A boot file for a machine. `boot_file` is a name in the boot tree; empty for a Pi."""

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
        if self.pinned is not None:
            return self.pinned is LoaderName.SHIM
        if self.machine.secure_boot is not None:
            return self.machine.secure_boot
        if self.snapshot.policy.secure_boot != "auto":
            return self.snapshot.policy.secure_boot == "always"
        return self.learned.secure_boot is not None

    @property
    def armed(self) -> BootTarget | None:
        return self.snapshot.targets.get(self.snapshot.armed.get(self.client.mac, ""))

    @property
    def pinned(self) -> LoaderName | None:
        """The loader that this machine is to use; a boot-once needs one that asks the catalog."""
        pinned = self.machine.loader
        cannot_ask = (LoaderName.PXELINUX, LoaderName.SYSLINUX)
        return None if pinned in cannot_ask and self.armed is not None else pinned

    def path(self, name: LoaderName) -> str | None:
        """Find a loader in the boot tree."""
        files = LOADER_FILES.get(self.platform, {}).get(name, ())
        found = (f"{self.platform}/{file}" for file in files)
        return next((f"loaders/{path}" for path in found if path in self.snapshot.loaders), None)


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
        platform=_platform(firmware, client.architecture),
    )
    if client.kind is ClientKind.IPXE:
        return _for_ipxe(facts)
    if firmware is Firmware.PI:
        return _for_pi(facts)
    return _for_firmware(facts)


def _refusal(client: BootClient, snapshot: Snapshot) -> Silence | None:
    policy = snapshot.policy
    if client.mac in policy.deny or (policy.allow and client.mac not in policy.allow):
        return Silence(reason=IgnoreReason.DENIED, detail="the policy denies this machine")
    if policy.unknown == "silence" and client.mac not in snapshot.machines:
        return Silence(
            reason=IgnoreReason.POLICY, detail="the policy is silent to unknown machines"
        )
    return None


def _platform(firmware: Firmware, architecture: ClientArchitecture) -> Firmware:
    if firmware is not Firmware.UBOOT:
        return platform_of(firmware)
    efi = _EFI_OF_UBOOT.get(architecture, firmware_of(architecture))
    # On x86 U-Boot announces a BIOS, whose loaders it cannot run.
    return Firmware.OTHER if efi is Firmware.BIOS else platform_of(efi)


def _for_ipxe(facts: _Facts) -> BootOffer:
    """Give iPXE its script, or a loader: a pinned one, or one that can do what scripts need.

    A chainloaded iPXE asks exactly as the ROM's did: what the machine was given just now tells
    them apart, and ends every loop.
    """
    given = loader_named(facts.recent.given or "")
    # A shim may have started a signed iPXE.
    chainloaded = given is not None and given[1] in IPXE_LOADERS | {LoaderName.SHIM}
    loader = None if chainloaded else _before_script(facts)
    return BootOffer(
        boot_file=loader or "boot.ipxe",
        strategy=strategy_for_ipxe(facts.machine, facts.platform, chainloaded=chainloaded),
        stage=OfferStage.IPXE,
    )


def _before_script(facts: _Facts) -> str | None:
    if facts.pinned is not None:
        return facts.path(facts.pinned)
    features = facts.client.ipxe_features
    # Where only signed loaders start, an iPXE that runs is signed, and no build of ours is.
    if not features or {IPXE_HTTP, IPXE_MENU} <= features or facts.wants_signed:
        return None
    dead_ends = facts.learned.dead_ends
    names = (n for n in _tried_unasked(facts) if n in IPXE_LOADERS and n not in dead_ends)
    return next((path for name in names if (path := facts.path(name)) is not None), None)


def _for_firmware(facts: _Facts) -> BootOffer | Silence:
    """Give firmware the best loader that did not lead it nowhere before.

    U-Boot finds `pxelinux.cfg/` beside it, should it not start EFI programs.
    """
    boot_file = _vendor_shim(facts) or _loader(facts)
    if isinstance(boot_file, Silence):
        return boot_file
    by_http = facts.client.kind is ClientKind.HTTP
    return BootOffer(
        boot_file=boot_file,
        strategy=strategy_for_firmware(
            facts.client, facts.recent, facts.machine, facts.learned, facts.platform
        ),
        stage=OfferStage.HTTP if by_http else OfferStage.ROM,
    )


def _vendor_shim(facts: _Facts) -> str | None:
    """Name the shim of the vendor that signed the kernel of what this machine boots next.

    shim takes its second stage from its own directory, and trusts kernels of its own vendor only:
    the chain is chosen here or not at all.
    """
    if not facts.wants_signed:
        return None
    if facts.pinned is None and LoaderName.SHIM in facts.learned.dead_ends:
        return None
    wanted = facts.machine.target or facts.snapshot.policy.default
    target = facts.armed or facts.snapshot.targets.get(wanted)
    if target is None:
        return None
    chain = next((c for c in target.chains if c.firmware is facts.platform), None)
    image = facts.snapshot.images.get(target.image)
    if chain is None or image is None:
        return None
    path = f"{image.folder}/{chain.shim}"
    return path if len(path.encode()) <= MAX_BOOT_FILE else None


def _loader(facts: _Facts) -> str | Silence:
    """Walk down from the best loader: another build, the signed chain, and then the local disk.

    A pinned loader is all that there is, wherever it led.
    """
    names = _tried_unasked(facts)
    if facts.pinned is not None:
        names = (facts.pinned,)
    elif facts.wants_signed:
        names = (LoaderName.SHIM, *names)
    if facts.pinned is LoaderName.SYSLINUX and facts.client.kind is ClientKind.HTTP:
        detail = "syslinux.efi, pinned for this machine, needs PXE: it cannot load over HTTP"
        return Silence(reason=IgnoreReason.NO_LOADER, detail=detail)
    there = {name: path for name in names if (path := facts.path(name)) is not None}
    alive = [name for name in there if name == facts.pinned or name not in facts.learned.dead_ends]
    if alive:
        return there[alive[0]]
    if there:
        detail = f"no loader led anywhere ({', '.join(there)}): left to its local disk for a while"
    else:
        wanted = f"{facts.pinned} " if facts.pinned is not None else ""
        announced = facts.client.architecture
        detail = f"there is no {wanted}loader for {facts.platform} (architecture {announced:#04x})"
    return Silence(reason=IgnoreReason.NO_LOADER, detail=detail)


def _tried_unasked(facts: _Facts) -> tuple[LoaderName, ...]:
    loaders = LOADER_FILES.get(facts.platform, {})
    return tuple(name for name in loaders if name is not LoaderName.SYSLINUX)


def _for_pi(facts: _Facts) -> BootOffer | Silence:
    """Give a Raspberry Pi our address; the names of its files it knows itself."""
    if pi_target(facts.snapshot, facts.snapshot.machine(facts.client.mac)) is None:
        return Silence(
            reason=IgnoreReason.NO_LOADER,
            detail="no firmware files of a Raspberry Pi in the library are for this one",
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
    if wanted == LOCAL_DISK or (machine is None and snapshot.policy.unknown != "menu"):
        return None
    if wanted in targets:
        return harmless.get(wanted)
    return next(iter(harmless.values())) if len(harmless) == 1 else None
