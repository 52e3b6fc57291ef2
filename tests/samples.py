"""A small library of images and machines that tests of several rooms decide over."""

import msgspec

from bootyard.model.document import encode
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import (
    BootTarget,
    Fingerprint,
    Image,
    Machine,
    Policy,
    Root,
    Slice,
    Snapshot,
    TargetKind,
)

MAC = MACAddress.parse("52:54:00:12:34:56")
OTHER_MAC = MACAddress.parse("52:54:00:00:00:02")


def slice_of(path: str, size: int = 1000) -> Slice:
    return Slice(
        root=Root.IMAGES,
        path=path,
        extents=((0, size),),
        fingerprint=Fingerprint(size=size, mtime_ns=1, inode=2),
    )


def image(
    identity: str, *, revision: int = 4, architectures: tuple[str, ...] = ("x86_64",)
) -> Image:
    return Image(
        id=identity,
        revision=revision,
        title=identity.title(),
        architectures=architectures,
        files={name: slice_of(f"{identity}/{name}") for name in ("linux", "initrd.gz")},
    )


def target(identity: str, kind: TargetKind, command_line: str = "console=ttyS0") -> BootTarget:
    return BootTarget(
        id=identity,
        image=identity,
        title=identity.title(),
        kind=kind,
        kernel="linux",
        initrds=("initrd.gz",),
        command_line=command_line,
    )


LOADERS = {
    name: Slice(root=Root.PACKAGED, path=name, extents=((0, 500),))
    for name in ("bios/undionly.kpxe", "uefi-x64/snponly.efi", "uefi-arm64/ipxe.efi")
}


def snapshot(*machines: Machine, policy: Policy | None = None, number: int = 7) -> Snapshot:
    return Snapshot(
        epoch="e1",
        number=number,
        http_port=8080,
        loaders=LOADERS,
        images={
            "debian": image("debian"),
            "live": image("live"),
            "wipe": image("wipe"),
            "arm": image("arm", architectures=("aarch64",)),
        },
        targets={
            "debian": target("debian", TargetKind.INSTALLER),
            "live": target("live", TargetKind.LIVE),
            "wipe": target("wipe", TargetKind.UNATTENDED, "auto=true"),
            "arm": target("arm", TargetKind.TOOL),
        },
        machines={machine.mac: msgspec.Raw(encode(machine)) for machine in machines},
        policy=policy or Policy(),
    )
