"""One miniature of every family: the names, sizes and small texts that its images have."""

from services.catalog.library.recipes.material import Container
from tests.catalog.efi_programs import SHIM, grub_of, kernel_of
from tests.catalog.images import KERNEL
from tests.catalog.recipes.trees import MIB, MemoryTree, initrd

TREEINFO = b"""[general]
family = %b
version = %b
arch = x86_64
platforms = x86_64,xen

[stage2]
mainimage = images/install.img
"""


def _tree(
    files: dict[str, bytes | int],
    volume_id: str = "",
    name: str = "image",
    *,
    container: Container = "disc",
    size: int | None = None,
) -> MemoryTree:
    return MemoryTree(files, volume_id=volume_id, name=name, container=container, size=size)


def _anaconda(
    family: bytes, version: bytes, vendor: str, *, has_packages: bool = True
) -> MemoryTree:
    files: dict[str, bytes | int] = {
        ".treeinfo": TREEINFO % (family, version),
        "images/pxeboot/vmlinuz": kernel_of(vendor),
        "images/pxeboot/initrd.img": MIB,
        "images/install.img": 800 * MIB,
        "EFI/BOOT/BOOTX64.EFI": SHIM,
        "EFI/BOOT/grubx64.efi": grub_of(vendor),
        "isolinux/vmlinuz": KERNEL,
        "isolinux/initrd.img": MIB,
    }
    if has_packages:
        files |= {"BaseOS/repodata/repomd.xml": 4000, "AppStream/repodata/repomd.xml": 4000}
    return _tree(files, "DVD-x86_64", "dvd")


def _live(disk_info: bytes = b"", **more: bytes | int) -> dict[str, bytes | int]:
    files: dict[str, bytes | int] = {
        "live/vmlinuz": KERNEL,
        "live/initrd.img": MIB,
        "live/filesystem.squashfs": 400 * MIB,
    }
    return files | ({".disk/info": disk_info} if disk_info else {}) | more


_CASPER: dict[str, bytes | int] = {
    "casper/vmlinuz": kernel_of("Canonical"),
    "casper/initrd": MIB,
    "EFI/boot/bootx64.efi": SHIM,
    "EFI/boot/grubx64.efi": grub_of("Canonical"),
}


def _casper(info: bytes, name: str) -> MemoryTree:
    return _tree({**_CASPER, ".disk/info": info}, name=name, size=2000 * MIB)


_DRACUT = initrd("init", "usr/lib/dracut/hooks/cmdline/x.sh", "usr/sbin/livenetroot")
_NETBOOT_INFO = b"Debian version:  13 (trixie)\nInstaller build: 20250803\n"
_NIXOS = (
    b"#!ipxe\nkernel bzImage-x86_64-linux init=/nix/store/"
    b"0123456789abcdfghijklmnpqrsvwxyz-nixos-system-nixos-25.11/init initrd=initrd nohibernate\n"
)
_BOOT_CFG = b"""bootstate=0
title=Loading ESXi installer
timeout=5
prefix=
kernel=/b.b00
kernelopt=runweasel cdromBoot
modules=/jumpstrt.gz --- /useropts.gz --- /k.b00
build=8.0.3-0.0.24022510
updated=0
"""
_WINDOWS: dict[str, bytes | int] = {
    "bootmgr": 400000,
    "boot/bcd": 16384,
    "boot/boot.sdi": 3 * MIB,
    "sources/boot.wim": 500 * MIB,
    "efi/boot/bootx64.efi": MIB,
}

MINIATURES: dict[str, MemoryTree] = {
    "debian-netboot": _tree(
        {
            "version.info": _NETBOOT_INFO,
            "debian-installer/amd64/linux": KERNEL,
            "debian-installer/amd64/initrd.gz": MIB,
        },
        name="netboot",
        container="tarball",
    ),
    "debian-mini-iso": _tree(
        {".disk/mini-info": 40, "linux": KERNEL, "initrd.gz": MIB}, "ISOIMAGE", "mini"
    ),
    "debian-installer-disc": _tree(
        {
            ".disk/info": b'Debian GNU/Linux 12.9.0 "Bookworm" - Official amd64 NETINST with'
            b" firmware 20250111-10:54",
            "install.amd/vmlinuz": KERNEL,
            "install.amd/initrd.gz": MIB,
            "install.amd/gtk/initrd.gz": MIB,
        },
        "Debian 12.9.0 amd64 n",
        "debian-12.9.0-amd64-netinst",
    ),
    "kali-installer-disc": _tree(
        {
            ".disk/info": b'Kali GNU/Linux 2025.1a "Kali-last-snapshot" - Official amd64',
            "install.amd/vmlinuz": KERNEL,
            "install.amd/initrd.gz": MIB,
        },
        "Kali Linux amd64 1",
    ),
    "debian-live": _tree(
        _live(b'Debian GNU/Linux 13.0.0 "Trixie" - Official amd64 live GNOME'),
        "d-live 13.0.0 gn amd64",
        "debian-live-13.0.0-amd64-gnome",
    ),
    "debian-live-versions": _tree(
        {
            "live/vmlinuz-6.1.0-9-amd64": KERNEL,
            "live/vmlinuz-6.12.0-10-amd64": KERNEL,
            "live/initrd.img-6.1.0-9-amd64": MIB,
            "live/initrd.img-6.12.0-10-amd64": MIB,
            "live/filesystem.squashfs": 137 * MIB,
        },
        "d-live mini trixie",
        "debian-live-trixie",
    ),
    "lmde": _tree(_live(b"LMDE 6 Faye - Release 64-bit 20240101"), "LMDE 6 Cinnamon 64-bit"),
    "kali-live": _tree(
        {
            **_live(b'Kali GNU/Linux 2025.1a "Kali-last-snapshot" - Official amd64 LIVE'),
            "install.amd/vmlinuz": KERNEL,
            "install.amd/initrd.gz": MIB,
        },
        "Kali Live",
    ),
    "parrot": _tree(_live(), "Parrot security 6.3"),
    "grml": _tree(
        {
            "boot/grml64full/vmlinuz": KERNEL,
            "boot/grml64full/initrd.img": MIB,
            "live/grml64-full/grml64-full.squashfs": 800 * MIB,
        },
        "grml64-full 2025.05",
    ),
    "gparted": _tree(
        {**_live(), "GParted-Live-Version": b"gparted-live-1.7.0-8-amd64\n"},
        "GParted-live",
    ),
    "clonezilla": _tree(
        {**_live(), "Clonezilla-Live-Version": b"clonezilla-live-3.2.2-15-amd64\n"},
        "3.2.2-15-amd64",
    ),
    "vyos": _tree({**_live(), "version.json": b'{"version": "1.5-rolling-202501010007"}'}, "VyOS"),
    "tails": _tree(_live(), "TAILS 6.11 - 20250101"),
    "ubuntu-server": _tree(
        {
            **_CASPER,
            "casper/hwe-vmlinuz": kernel_of("Canonical"),
            "casper/hwe-initrd": MIB,
            ".disk/info": b'Ubuntu-Server 24.04.1 LTS "Noble Numbat" - Release amd64 (20240827)',
        },
        "Ubuntu-Server 24.04.1 LTS amd64",
        "ubuntu-24.04.1-live-server-amd64",
        size=2600 * MIB,
    ),
    "ubuntu-desktop": _casper(
        b'Ubuntu 24.04.1 LTS "Noble Numbat" - Release amd64 (20240827.1)', "ubuntu-desktop"
    ),
    "kubuntu": _casper(b'Kubuntu 24.04 "Noble Numbat" - Release amd64 (20240424)', "kubuntu"),
    "xubuntu": _casper(b'Xubuntu 24.04 "Noble Numbat" - Release amd64 (20240424)', "xubuntu"),
    "lubuntu": _casper(b'Lubuntu 24.04 "Noble Numbat" - Release amd64 (20240424)', "lubuntu"),
    "ubuntu-mate": _casper(b'Ubuntu-MATE 24.04 "Noble Numbat" - Release amd64', "mate"),
    "linuxmint": _tree(
        {
            "casper/vmlinuz": KERNEL,
            "casper/initrd.lz": MIB,
            ".disk/info": b'Linux Mint 22 "Wilma" - Release amd64 20240722',
        },
        "Linux Mint 22 Cinnamon 64-bit",
        "linuxmint-22-cinnamon-64bit",
        size=2900 * MIB,
    ),
    "pop-os": _casper(b'Pop_OS 22.04 LTS "Jammy Jellyfish" - Release amd64', "pop-os_22.04"),
    "zorin": _casper(b'Zorin OS 17.2 "Core" - Release amd64', "Zorin-OS-17.2"),
    "elementary": _casper(b'elementary OS 8.0 "Circe" - Stable amd64 (20241126)', "elementary"),
    "neon": _casper(b"neon user 20250101 - Release amd64", "neon-user"),
    "fedora-server": _anaconda(b"Fedora", b"42", "Fedora Project"),
    "rocky": _anaconda(b"Rocky Linux", b"9.4", "Rocky Enterprise Software Foundation"),
    "almalinux": _anaconda(b"AlmaLinux", b"10.0", "AlmaLinux OS Foundation"),
    "rhel": _anaconda(b"Red Hat Enterprise Linux", b"9.5", "Red Hat Inc."),
    "centos-stream-boot": _anaconda(b"CentOS Stream", b"10", "CentOS", has_packages=False),
    "oracle": _anaconda(b"Oracle Linux Server", b"9.5", "Oracle America Inc."),
    "openeuler": _anaconda(b"openEuler", b"24.03-LTS", "openEuler"),
    "fedora-pxeboot-folder": MemoryTree(
        {
            ".treeinfo": TREEINFO % (b"Fedora", b"43"),
            "images/pxeboot/vmlinuz": KERNEL,
            "images/pxeboot/initrd.img": MIB,
            "images/install.img": 800 * MIB,
        },
        container="folder",
        name="fedora-43",
    ),
    "fedora-live": _tree(
        {
            "LiveOS/squashfs.img": 2000 * MIB,
            "boot/x86_64/loader/linux": kernel_of("Fedora Project"),
            "boot/x86_64/loader/initrd": MIB,
            "EFI/BOOT/BOOTX64.EFI": SHIM,
            "EFI/BOOT/grubx64.efi": grub_of("Fedora Project"),
        },
        "Fedora-WS-Live-42",
        "Fedora-Workstation-Live-42-1.1.x86_64",
    ),
    "dracut-live": _tree(
        {
            "LiveOS/squashfs.img": 140 * MIB,
            "boot/vmlinuz": KERNEL,
            "boot/initrd.img": _DRACUT,
            "boot/grub/grub.cfg": b"menuentry x {\n linux /boot/vmlinuz\n}\n",
        },
        "DRACUTLIVE",
        "debian-dracut-live",
    ),
    "void": _tree(
        {"LiveOS/squashfs.img": 900 * MIB, "boot/vmlinuz": KERNEL, "boot/initrd": MIB}, "VOID_LIVE"
    ),
    "agama": _tree(
        {
            "LiveOS/squashfs.img": 1200 * MIB,
            "boot/x86_64/loader/linux": kernel_of("openSUSE"),
            "boot/x86_64/loader/initrd": MIB,
        },
        "Install-Leap-16.0-x86_64",
        "Leap-16.0-online-installer-x86_64.install",
    ),
    "sles-agama": _tree(
        {
            "LiveOS/squashfs.img": 1200 * MIB,
            "boot/x86_64/loader/linux": KERNEL,
            "boot/x86_64/loader/initrd": MIB,
        },
        "Install-SLES-16.0-x86_64",
    ),
    "opensuse-leap": _tree(
        {
            "boot/x86_64/loader/linux": kernel_of("openSUSE"),
            "boot/x86_64/loader/initrd": MIB,
            "boot/x86_64/root": 60 * MIB,
            "media.1/media": 100,
            "CHECKSUMS": 4000,
        },
        "openSUSE-Leap-15.6-DVD-x86_64710",
    ),
    "opensuse-tumbleweed": _tree(
        {
            "boot/aarch64/linux": KERNEL,
            "boot/aarch64/initrd": MIB,
            "boot/aarch64/root": 60 * MIB,
        },
        "openSUSE-Tumbleweed-DVD-aarch64",
    ),
    "sles": _tree(
        {
            "boot/x86_64/loader/linux": KERNEL,
            "boot/x86_64/loader/initrd": MIB,
            "boot/x86_64/root": 60 * MIB,
        },
        "SLE-15-SP6-Full-x86_64",
    ),
    "arch": _tree(
        {
            "arch/boot/x86_64/vmlinuz-linux": KERNEL,
            "arch/boot/x86_64/initramfs-linux.img": MIB,
            "arch/boot/amd-ucode.img": MIB,
            "arch/boot/intel-ucode.img": MIB,
            "arch/x86_64/airootfs.sfs": 800 * MIB,
            "EFI/BOOT/BOOTx64.EFI": MIB,
        },
        "ARCH_202605",
        "archlinux-2026.05.01-x86_64",
    ),
    "endeavouros": _tree(
        {
            "arch/boot/x86_64/vmlinuz-linux": KERNEL,
            "arch/boot/x86_64/initramfs-linux.img": initrd(
                "hooks/archiso", "hooks/archiso_pxe_http"
            ),
            "arch/x86_64/airootfs.sfs": 2500 * MIB,
        },
        "EOS_202505",
    ),
    "cachyos": _tree(
        {
            "arch/boot/x86_64/vmlinuz-linux-cachyos": KERNEL,
            "arch/boot/x86_64/initramfs-linux-cachyos.img": MIB,
            "arch/x86_64/airootfs.erofs": 2500 * MIB,
        },
        "CACHYOS_202505",
    ),
    "blackarch": _tree(
        {
            "blackarch/boot/x86_64/vmlinuz-linux": KERNEL,
            "blackarch/boot/x86_64/initramfs-linux.img": MIB,
            "blackarch/x86_64/airootfs.sfs": 9000 * MIB,
        },
        "BLACKARCH_202505",
    ),
    "parabola": _tree(
        {
            "parabola/boot/x86_64/vmlinuz-linux-libre": KERNEL,
            "parabola/boot/x86_64/initramfs-linux-libre.img": MIB,
            "parabola/x86_64/airootfs.sfs": 900 * MIB,
        },
        "PARA_202204",
    ),
    "systemrescue": _tree(
        {
            "sysresccd/VERSION": b"12.00\n",
            "sysresccd/boot/x86_64/vmlinuz": KERNEL,
            "sysresccd/boot/x86_64/sysresccd.img": MIB,
            "sysresccd/boot/intel_ucode.img": MIB,
            "sysresccd/boot/amd_ucode.img": MIB,
            "sysresccd/x86_64/airootfs.sfs": 800 * MIB,
        },
        "RESCUE1200",
    ),
    "manjaro": _tree(
        {
            "boot/vmlinuz-x86_64": KERNEL,
            "boot/initramfs-x86_64.img": MIB,
            "boot/intel_ucode.img": MIB,
            "boot/amd_ucode.img": MIB,
            "manjaro/x86_64/rootfs.sfs": 900 * MIB,
        },
        "MANJARO_KDE_2501",
    ),
    "alpine-disc": _tree(
        {
            ".alpine-release": b"alpine-std-3.21.0 241205",
            "apks/.boot_repository": b"",
            "apks/x86_64/APKINDEX.tar.gz": 4000,
            "boot/vmlinuz-lts": KERNEL,
            "boot/initramfs-lts": MIB,
            "boot/modloop-lts": 60 * MIB,
            "boot/syslinux/isolinux.bin": 24576,
        },
        "alpine-std 3.21.0 x86_64",
    ),
    "alpine-netboot": _tree(
        {
            "boot/vmlinuz-lts": KERNEL,
            "boot/initramfs-lts": MIB,
            "boot/modloop-lts": 60 * MIB,
            "boot/vmlinuz-virt": KERNEL,
            "boot/initramfs-virt": MIB,
            "boot/modloop-virt": 20 * MIB,
        },
        name="alpine-netboot-3.21.0-x86_64",
        container="tarball",
    ),
    "alpine-netboot-apks": _tree(
        {
            "boot/vmlinuz-lts": KERNEL,
            "boot/initramfs-lts": MIB,
            "boot/modloop-lts": 60 * MIB,
            "apks/x86_64/APKINDEX.tar.gz": 4000,
        },
        name="alpine-3.21",
        container="folder",
    ),
    "alpine-flat": _tree(
        {"vmlinuz-virt": KERNEL, "initramfs-virt": MIB, "modloop-virt": 20 * MIB},
        name="alpine-virt",
        container="folder",
    ),
    "proxmox": _tree(
        {
            ".cd-info": b"PRODUCT='pve'\nPRODUCTLONG='Proxmox VE'\nRELEASE='9.0'\nISORELEASE='1'\n",
            "boot/linux26": KERNEL,
            "boot/initrd.img": MIB,
            "pve-base.squashfs": 300 * MIB,
        },
        "PVE",
        size=1600 * MIB,
    ),
    "proxmox-backup": _tree(
        {
            ".cd-info": b"PRODUCT='pbs'\nRELEASE='4.0'\n",
            "boot/linux26": KERNEL,
            "boot/initrd.img": MIB,
        },
        "PBS",
        size=1300 * MIB,
    ),
    "proxmox-mail": _tree(
        {
            ".cd-info": b"PRODUCT='pmg'\nRELEASE='9.0'\n",
            "boot/linux26": KERNEL,
            "boot/initrd.img": MIB,
        },
        "PMG",
        size=1300 * MIB,
    ),
    "proxmox-datacenter": _tree(
        {
            ".cd-info": b"PRODUCT='pdm'\nRELEASE='1.0'\n",
            "boot/linux26": KERNEL,
            "boot/initrd.img": MIB,
        },
        "PDM",
        size=1300 * MIB,
    ),
    "xcp-ng": _tree(
        {
            ".treeinfo": b"[platform]\nname = XCP\n[branding]\nname = XCP-ng\nversion = 8.3.0\n"
            b"[general]\nfamily = XCP-ng\nversion = 8.3.0\n",
            "boot/xen.gz": MIB,
            "boot/vmlinuz": KERNEL,
            "install.img": 50 * MIB,
            "images/pxeboot/vmlinuz": KERNEL,
            "images/pxeboot/initrd.img": MIB,
        },
        "XCP-ng 8.3.0",
    ),
    "esxi": _tree(
        {
            "BOOT.CFG": _BOOT_CFG,
            "EFI/BOOT/BOOTX64.EFI": MIB,
            "EFI/BOOT/BOOT.CFG": _BOOT_CFG,
            "MBOOT.C32": 100000,
            "B.B00": MIB,
        },
        "ESXI-8.0U3-24022510-STANDARD",
    ),
    "windows-setup": _tree(
        {**_WINDOWS, "sources/install.wim": 4000 * MIB}, "CCCOMA_X64FRE_EN-US_DV9", "Win11"
    ),
    "windows-pe": _tree(_WINDOWS, "WINPE_AMD64"),
    "fedora-coreos": _tree(
        {
            "images/pxeboot/vmlinuz": kernel_of("Fedora Project"),
            "images/pxeboot/initrd.img": MIB,
            "images/pxeboot/rootfs.img": 700 * MIB,
        },
        "fedora-coreos-42.20250526.3.0",
    ),
    "rhcos": _tree(
        {
            "images/pxeboot/vmlinuz": KERNEL,
            "images/pxeboot/initrd.img": MIB,
            "images/pxeboot/rootfs.img": 700 * MIB,
        },
        "rhcos-418.94.202501221327-0",
    ),
    "scos": _tree(
        {
            "images/pxeboot/vmlinuz": KERNEL,
            "images/pxeboot/initrd.img": MIB,
            "images/pxeboot/rootfs.img": 700 * MIB,
        },
        "scos-9.0.20250411-0",
    ),
    "coreos-netboot": _tree(
        {
            "fedora-coreos-42.20250526.3.0-live-kernel.x86_64": KERNEL,
            "fedora-coreos-42.20250526.3.0-live-initramfs.x86_64.img": MIB,
            "fedora-coreos-42.20250526.3.0-live-rootfs.x86_64.img": 700 * MIB,
        },
        name="coreos",
        container="folder",
    ),
    "flatcar": _tree(
        {
            "flatcar_production_pxe.vmlinuz": KERNEL,
            "flatcar_production_pxe_image.cpio.gz": 400 * MIB,
            "version.txt": b"FLATCAR_BUILD=4230\nFLATCAR_VERSION=4230.2.0\n",
        },
        name="flatcar",
        container="folder",
    ),
    "talos": _tree(
        {
            "boot/vmlinuz": KERNEL,
            "boot/initramfs.xz": 80 * MIB,
            "boot/grub/grub.cfg": b'menuentry "Talos ISO" {\n\tlinux /boot/vmlinuz'
            b" talos.platform=metal slab_nomerge\n\tinitrd /boot/initramfs.xz\n}\n",
        },
        "ISOIMAGE",
        "talos-v1.10.3-metal-amd64",
    ),
    "talos-netboot": _tree(
        {"vmlinuz-amd64": KERNEL, "initramfs-amd64.xz": 80 * MIB},
        name="talos-1.10.3",
        container="folder",
    ),
    "harvester": _tree(
        {
            "harvester-release.yaml": b"harvester: v1.5.0\nos: SLE Micro\n",
            "boot/kernel": KERNEL,
            "boot/initrd": MIB,
            "rootfs.squashfs": 900 * MIB,
        },
        "COS_LIVE",
    ),
    "kairos": _tree(
        {"boot/kernel": KERNEL, "boot/initrd": MIB, "rootfs.squashfs": 900 * MIB},
        "COS_LIVE",
        "kairos-ubuntu-24.04-v3.4.2",
    ),
    "nixos-disc": _tree(
        {"nix-store.squashfs": 900 * MIB, "boot/bzImage": KERNEL, "boot/initrd": MIB},
        "nixos-25.11-x86_64",
    ),
    "nixos-netboot": _tree(
        {
            "bzImage-x86_64-linux": KERNEL,
            "initrd-x86_64-linux": 600 * MIB,
            "netboot-x86_64-linux.ipxe": _NIXOS,
        },
        name="nixos-25.11",
        container="folder",
    ),
    "gentoo": _tree(
        {
            "boot/gentoo": KERNEL,
            "boot/gentoo.igz": MIB,
            "boot/genkernel": KERNEL,
            "boot/genkernel.igz": MIB,
            "image.squashfs": 500 * MIB,
        },
        "Gentoo-amd64-20250601",
    ),
    "memtest86plus-disc": _tree(
        {"EFI/BOOT/bootx64.efi": 140000, "boot/floppy.img": 1474560},
        "MT86PLUS_64",
        "memtest86plus-6.10",
        size=4 * MIB,
    ),
    "memtest86plus-disc-32": _tree(
        {"EFI/BOOT/bootia32.efi": 140000, "boot/floppy.img": 1474560},
        "MT86PLUS_32",
        "memtest86+ia32",
        size=4 * MIB,
    ),
    "memtest86plus-folder": _tree(
        {"memtest86+x64.efi": 140000, "memtest86+x64.bin": KERNEL},
        name="memtest86plus-7.20",
        container="folder",
    ),
    "memtest86plus-8": _tree(
        {"mt86p_8.00_x86_64": KERNEL}, name="memtest86plus-8.00", container="folder"
    ),
    "ipxe": _tree(
        {"ipxe.krn": KERNEL, "efi.img": MIB, "isolinux.cfg": 80, "isolinux.bin": 24576},
        "ISOIMAGE",
        "ipxe",
    ),
    "ipxe-folder": _tree({"ipxe.lkrn": KERNEL, "ipxe.efi": MIB}, name="ipxe", container="folder"),
    "grub-rescue": _tree(
        {"boot/grub/i386-pc/normal.mod": 150000, "boot/grub/i386-pc/eltorito.img": 30000},
        "ISOIMAGE",
        "grub-rescue-cdrom",
        size=5 * MIB,
    ),
    "tinycore": _tree(
        {
            "boot/vmlinuz64": KERNEL,
            "boot/corepure64.gz": 14 * MIB,
            "boot/isolinux/isolinux.bin": 24576,
        },
        "CorePure64",
        "CorePure64-16.0",
    ),
    "openbsd": _tree(
        {"7.8/amd64/bsd.rd": 4 * MIB, "7.8/amd64/cdboot": 80000, "etc/boot.conf": 30},
        "OpenBSD/amd64   7.8 Install CD",
        "cd78",
        size=11 * MIB,
    ),
    "freebsd-disc": _tree(
        {"boot/kernel/kernel": 30 * MIB, "bin/freebsd-version": 4000}, "14_3_RELEASE_AMD64_CD"
    ),
    "mfsbsd": _tree(
        {"boot/kernel/kernel.gz": 12 * MIB, "mfsroot.gz": 60 * MIB}, "mfsBSD 14.2", "mfsbsd-14.2"
    ),
    "efi-shell": _tree({"efi/boot/bootx64.efi": MIB}, "UEFI_SHELL", "UEFI-Shell-25H1"),
    "efi-program": _tree({"shellx64.efi": MIB}, name="uefi-shell", container="folder"),
    "raw-disk": _tree({"haos.img": 2000 * MIB}, name="home-assistant", container="folder"),
}
