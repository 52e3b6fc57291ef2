"""A library with an image of every loader kind, and the ways to render menus for it."""

from ipaddress import IPv4Address
from typing import Literal

import msgspec

from bootyard.boot.menus import grub, ipxe, pxelinux
from bootyard.boot.menus.server import Server
from bootyard.boot.plan import BootNow, make_plan
from bootyard.model.architecture import Firmware
from bootyard.model.loaders import KERNEL_LOADERS
from bootyard.model.snapshot import (
    BootTarget,
    Image,
    Injected,
    MenuEntry,
    Module,
    Policy,
    Root,
    Slice,
    Snapshot,
    TargetKind,
)
from tests.samples import slice_of

CATALOG = Server(address=IPv4Address("192.0.2.10"), http_port=8080, catalog_answers=True)
OFFLINE = Server(address=IPv4Address("192.0.2.10"), http_port=8080, catalog_answers=False)

LIVE, TOOL, INSTALLER = TargetKind.LIVE, TargetKind.TOOL, TargetKind.INSTALLER

MODULES = ("menu", "libutil", "libcom32", "chain", "mboot", "reboot", "poweroff")
LOADERS = {
    name: Slice(root=Root.PACKAGED, path=name, extents=((0, 500),))
    for name in (
        *KERNEL_LOADERS,
        *(f"bios/{module}.c32" for module in MODULES),
        *(f"uefi-x64/{module}.c32" for module in MODULES),
    )
}


def image(identity: str, family: str, **more: object) -> Image:
    return Image(
        id=identity,
        revision=2,
        title=identity.title(),
        architectures=("x86_64",),
        family=family,
        files={},
        **more,  # type: ignore[arg-type]
    )


def disc(identity: str, family: str) -> Image:
    return image(identity, family, whole=slice_of(f"{identity}.iso"))


IMAGES = (
    image("debian-12", "debian"),
    disc("ubuntu", "ubuntu"),
    disc("proxmox", "proxmox"),
    image("esxi", "esxi"),
    disc("windows", "windows"),
    disc("openbsd", "openbsd"),
    disc("freedos", "unknown"),
    image("xcp-ng", "xcp-ng"),
    image("nixos", "nixos"),
    image("memtest", "memtest86plus"),
    image("hdt", "syslinux"),
    image("pi", "raspios"),
    disc("odd disc", "unknown"),
)
TARGETS = (
    BootTarget(
        id="debian-12",
        image="debian-12",
        title="Debian 12 installer",
        kind=INSTALLER,
        kernel="install.amd/vmlinuz",
        initrds=("install.amd/initrd.gz",),
        command_line="vga=788 --- quiet",
        signed_by="debian",
    ),
    BootTarget(
        id="debian-12/auto",
        image="debian-12",
        title="Debian 12, unattended",
        kind=TargetKind.UNATTENDED,
        kernel="install.amd/vmlinuz",
        initrds=("install.amd/initrd.gz",),
        command_line="auto=true",
    ),
    BootTarget(
        id="ubuntu",
        image="ubuntu",
        title="Ubuntu 24.04",
        kind=LIVE,
        kernel="casper/vmlinuz",
        initrds=("casper/initrd",),
        command_line="ip=dhcp url={iso} server={host}",
        least_memory_mb=8192,
        signed_by="ubuntu",
    ),
    BootTarget(
        id="proxmox",
        image="proxmox",
        title="Proxmox VE 9",
        kind=INSTALLER,
        kernel="boot/linux26",
        initrds=("boot/ucode.img", "boot/initrd.img"),
        injected=(
            Injected(path="/proxmox.iso"),
            Injected(path="/etc/hook.sh", file="hook.sh", mode="755"),
        ),
        command_line="rw quiet",
    ),
    BootTarget(
        id="esxi",
        image="esxi",
        title="ESXi 8",
        kind=INSTALLER,
        kernel="EFI/BOOT/BOOTX64.EFI",
        command_line="-c {tree}/boot.cfg",
        loader="efi",
    ),
    BootTarget(
        id="windows",
        image="windows",
        title="Windows 11 setup",
        kind=INSTALLER,
        kernel="",
        injected=(
            Injected(path="bcd", file="boot/bcd"),
            Injected(path="boot.sdi", file="boot/boot.sdi"),
            Injected(path="boot.wim", file="sources/boot.wim"),
        ),
        command_line="gui",
        loader="wimboot",
        firmware=(Firmware.BIOS, Firmware.UEFI_X64),
    ),
    BootTarget(
        id="openbsd",
        image="openbsd",
        title="OpenBSD 7.8",
        kind=INSTALLER,
        kernel="",
        loader="sanboot",
    ),
    BootTarget(
        id="freedos", image="freedos", title="FreeDOS", kind=TOOL, kernel="", loader="memdisk"
    ),
    BootTarget(
        id="xcp-ng",
        image="xcp-ng",
        title="XCP-ng 8.3",
        kind=INSTALLER,
        kernel="boot/xen.gz",
        modules=(
            Module(file="boot/vmlinuz", command_line="console=tty0 --- x"),
            Module(file="install.img"),
        ),
        command_line="dom0_mem=2048M,max:2048M",
        loader="multiboot",
    ),
    BootTarget(
        id="nixos", image="nixos", title="NixOS", kind=LIVE, kernel="netboot.ipxe", loader="script"
    ),
    BootTarget(
        id="memtest",
        image="memtest",
        title="Memtest86+",
        kind=TOOL,
        kernel="memtest.efi",
        loader="efi",
        firmware=(Firmware.UEFI_X64,),
    ),
    BootTarget(
        id="memtest/bios",
        image="memtest",
        title="Memtest86+",
        kind=TOOL,
        kernel="memtest.bin",
        firmware=(Firmware.BIOS,),
    ),
    BootTarget(id="hdt", image="hdt", title="HDT", kind=TOOL, kernel="hdt.c32", group="Hardware"),
    BootTarget(id="pi", image="pi", title="Pi", kind=LIVE, kernel="kernel8.img", loader="pi"),
    BootTarget(
        id="odd disc",
        image="odd disc",
        title="Odd disc",
        kind=LIVE,
        kernel="a b/vmlinuz",
        initrds=("a/initrd", "b/initrd", "c d"),
        is_guess=True,
        least_memory_mb=600,
    ),
)


def library(
    *,
    images: tuple[Image, ...] = IMAGES,
    targets: tuple[BootTarget, ...] = TARGETS,
    menus: tuple[MenuEntry, ...] = (
        MenuEntry(id="netboot-xyz", title="netboot.xyz", script="chain https://boot.example.org"),
    ),
    loaders: dict[str, Slice] | None = None,
    policy: Policy | None = None,
) -> Snapshot:
    return Snapshot(
        epoch="e1",
        number=1,
        http_port=8080,
        loaders=LOADERS if loaders is None else loaders,
        images={image.id: image for image in images},
        targets={target.id: target for target in targets},
        menus=menus,
        policy=policy or Policy(default="ubuntu"),
    )


Language = Literal["ipxe", "grub", "pxelinux"]
LANGUAGES: tuple[Language, ...] = ("ipxe", "grub", "pxelinux")


def rendered(
    language: Language,
    state: Snapshot,
    server: Server = CATALOG,
    firmware: Firmware | None = Firmware.UEFI_X64,
    *,
    armed: str | None = None,
    kernel_args: str = "",
) -> str:
    """Render a menu for a machine that nothing was said of, or a boot-once."""
    target = None if armed is None else state.targets[armed]
    plan = make_plan(state, None, firmware, target)
    assert isinstance(plan, BootNow) == (armed is not None)
    match language:
        case "ipxe":
            return ipxe.render_plan(plan, server, state, kernel_args)
        case "grub":
            return grub.render_plan(plan, server, state, kernel_args)
        case "pxelinux":
            return pxelinux.render_plan(plan, server, state, kernel_args, firmware)


def with_texts(state: Snapshot, **texts: object) -> Snapshot:
    """Change the same fields of every target."""
    targets = {
        identity: msgspec.structs.replace(target, **texts)
        for identity, target in state.targets.items()
    }
    return msgspec.structs.replace(state, targets=targets)
