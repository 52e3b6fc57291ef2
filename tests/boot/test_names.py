"""The names that each loader asks for, in its order, against a library that has one of all.

Sources: shim `netboot.c` and `shim.c`; GRUB `net/net.c` (rhboot) and the prefixes that Debian's
and others' are built with; syslinux `doc/pxelinux.txt`; U-Boot `boot/pxe_utils.c`; raspberrypi
documentation `boot-net.adoc`.
"""

from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.client import RequestFacts
from bootyard.boot.names import is_normal_miss, pi_file_class, without_loader_folder
from bootyard.boot.tree import BootTree, Found, NotFound
from bootyard.model.architecture import Firmware
from bootyard.model.events import FileClass
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import (
    BootTarget,
    Image,
    Machine,
    Root,
    SignedChain,
    Slice,
    Snapshot,
    TargetKind,
    Text,
)
from tests.samples import MAC, slice_of, snapshot

FILES = {
    "bios": (
        *("undionly.kpxe", "ipxe.pxe", "pxelinux.0", "lpxelinux.0", "ldlinux.c32"),
        *("menu.c32", "libutil.c32", "libcom32.c32", "chain.c32", "pxechn.c32"),
    ),
    "uefi-x64": (
        *("snponly.efi", "ipxe.efi", "ipxe-shimx64.efi", "shimx64.efi", "grubx64.efi"),
        *("mmx64.efi", "syslinux.efi", "ldlinux.e64", "menu.c32", "libutil.c32"),
    ),
    "uefi-ia32": (*("grubia32.efi", "syslinux.efi", "ldlinux.e32", "menu.c32", "libutil.c32"),),
    "uefi-arm64": ("ipxe.efi", "shimaa64.efi", "grubaa64.efi", "mmaa64.efi"),
}
LOADERS = {
    f"{firmware}/{name}": Slice(root=Root.PACKAGED, path=f"{firmware}/{name}", extents=((0, 500),))
    for firmware, names in FILES.items()
    for name in names
}
PI_FILES = (
    *("bootcode.bin", "start.elf", "start4.elf", "fixup4.dat", "config.txt", "cmdline.txt"),
    *("bcm2711-rpi-4-b.dtb", "overlays/overlay_map.dtb", "kernel8.img", "kernel_2712.img"),
    *("initramfs8", "rootfs.img"),
)


def library() -> Snapshot:
    state = snapshot(Machine(mac=MAC, target="debian"))
    fedora = Image(
        id="fedora",
        revision=2,
        title="Fedora",
        architectures=("x86_64",),
        files={
            name: slice_of(f"fedora/{name}")
            for name in ("EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "images/vmlinuz")
        },
    )
    pi = Image(
        id="pi",
        revision=1,
        title="Pi",
        architectures=("aarch64",),
        files={name: slice_of(f"pi/{name}") for name in PI_FILES},
    )
    chain = SignedChain(shim="EFI/BOOT/BOOTX64.EFI", grub="EFI/BOOT/grubx64.efi")
    targets = {
        "fedora": BootTarget(
            id="fedora",
            image="fedora",
            title="Fedora",
            kind=TargetKind.INSTALLER,
            kernel="images/vmlinuz",
            chains=(chain,),
        ),
        "pi": BootTarget(
            id="pi",
            image="pi",
            title="Pi",
            kind=TargetKind.LIVE,
            kernel="kernel8.img",
            initrds=("initramfs8",),
            loader="pi",
        ),
    }
    return msgspec.structs.replace(
        state,
        loaders=LOADERS,
        images={**state.images, "fedora": fedora, "pi": pi},
        targets={**state.targets, **targets},
    )


TREE = BootTree(library())


def facts(firmware: Firmware | None = None, mac: MACAddress | None = None) -> RequestFacts:
    return RequestFacts(
        client_ip=IPv4Address("192.0.2.100"),
        server_address=IPv4Address("192.0.2.10"),
        transport="tftp",
        mac=mac,
        firmware=firmware,
    )


def find(path: str, firmware: Firmware | None = None) -> Found | NotFound:
    return TREE.resolve(path, facts(firmware))


def file_behind(path: str, firmware: Firmware | None = None) -> str:
    """The loader or image file that a name leads to, or the language of a script, or nothing."""
    found = find(path, firmware)
    if isinstance(found, NotFound):
        return "-"
    if isinstance(found.content, Text):
        return f"<{found.language} {found.script}>"
    return found.content.path


UUID = "564dabf5-6f13-4c17-a8a8-0123456789ab"
PXELINUX_MENUS = (
    f"pxelinux.cfg/{UUID}",
    "pxelinux.cfg/01-52-54-00-12-34-56",
    *(f"pxelinux.cfg/{'C0000264'[:digits]}" for digits in range(8, 0, -1)),
    "pxelinux.cfg/default",
)
MENU = "<pxelinux menu>"

SEARCHES = {
    "shim, then its second stage": (
        "loaders/uefi-x64/",
        None,
        {
            "revocations_sku.efi": "-",
            "revocations_sbat.efi": "-",
            "revocations.efi": "-",
            "shim_certificate_0.efi": "-",
            "grubx64.efi": "uefi-x64/grubx64.efi",
            "mmx64.efi": "uefi-x64/mmx64.efi",
        },
    ),
    "shim of an ARM64 machine, by absolute names": (
        "/loaders/uefi-arm64/",
        Firmware.UEFI_ARM64,
        {"grubaa64.efi": "uefi-arm64/grubaa64.efi", "mmaa64.efi": "uefi-arm64/mmaa64.efi"},
    ),
    "shim that another server named, at the root": (
        "",
        None,
        {
            "shimx64.efi": "uefi-x64/shimx64.efi",
            "revocations_sku.efi": "-",
            "grubx64.efi": "uefi-x64/grubx64.efi",
        },
    ),
    "a vendor's shim, in its image": (
        "images/fedora@2/EFI/BOOT/",
        Firmware.UEFI_X64,
        {
            "BOOTX64.EFI": "fedora/EFI/BOOT/BOOTX64.EFI",
            "revocations_sbat.efi": "-",
            "shim_certificate_0.efi": "-",
            "grubx64.efi": "fedora/EFI/BOOT/grubx64.efi",
        },
    ),
    "a signed iPXE": (
        "loaders/uefi-x64/",
        None,
        {
            "ipxe-shimx64.efi": "uefi-x64/ipxe-shimx64.efi",
            "ipxe.efi": "uefi-x64/ipxe.efi",
            "autoexec.ipxe": "<ipxe first>",
        },
    ),
    "a signed iPXE that looks at the root": (
        "/",
        Firmware.UEFI_ARM64,
        {"ipxe.efi": "uefi-arm64/ipxe.efi", "autoexec.ipxe": "<ipxe first>"},
    ),
    "pxelinux, pinned": (
        "loaders/bios/",
        None,
        {
            "lpxelinux.0": "bios/lpxelinux.0",
            "ldlinux.c32": "bios/ldlinux.c32",
            **dict.fromkeys(PXELINUX_MENUS, MENU),
            "menu.c32": "bios/menu.c32",
            "libutil.c32": "bios/libutil.c32",
            "images/debian@4/linux": "debian/linux",
            "images/debian@4/initrd.gz": "debian/initrd.gz",
        },
    ),
    "pxelinux that another server named": (
        "",
        Firmware.BIOS,
        {
            "pxelinux.0": "bios/pxelinux.0",
            "ldlinux.c32": "bios/ldlinux.c32",
            **dict.fromkeys(PXELINUX_MENUS, MENU),
            "menu.c32": "bios/menu.c32",
            "libcom32.c32": "bios/libcom32.c32",
            "images/debian@4/linux": "debian/linux",
        },
    ),
    "syslinux.efi, pinned": (
        "loaders/uefi-x64/",
        None,
        {
            "syslinux.efi": "uefi-x64/syslinux.efi",
            "ldlinux.e64": "uefi-x64/ldlinux.e64",
            **dict.fromkeys(PXELINUX_MENUS, MENU),
            "menu.c32": "uefi-x64/menu.c32",
            "images/debian@4/initrd.gz": "debian/initrd.gz",
        },
    ),
    "syslinux.efi of an IA32 machine, that another server named": (
        "/",
        Firmware.UEFI_IA32,
        {
            "syslinux.efi": "uefi-ia32/syslinux.efi",
            "ldlinux.e32": "uefi-ia32/ldlinux.e32",
            "menu.c32": "uefi-ia32/menu.c32",
        },
    ),
    "U-Boot without a boot file": (
        "",
        None,
        {
            **dict.fromkeys(PXELINUX_MENUS, MENU),
            "pxelinux.cfg/default-arm-bcm283x-rpi": MENU,
            "pxelinux.cfg/default-arm-bcm283x": MENU,
            "pxelinux.cfg/default-arm": MENU,
            "images/arm@4/linux": "arm/linux",
        },
    ),
    "U-Boot that was offered an EFI loader": (
        "loaders/uefi-arm64/",
        Firmware.UEFI_ARM64,
        {
            "pxelinux.cfg/01-52-54-00-12-34-56": MENU,
            "images/arm@4/linux": "arm/linux",
            "images/arm@4/initrd.gz": "arm/initrd.gz",
        },
    ),
    "the ROM of a Raspberry Pi 3": (
        "",
        None,
        {
            "bootcode.bin": "pi/bootcode.bin",
            "bootsig.bin": "-",
            "9ffefdef/start.elf": "pi/start.elf",
            "9ffefdef/config.txt": "pi/config.txt",
        },
    ),
    "the EEPROM of a Raspberry Pi 4": (
        "9ffefdef/",
        None,
        {
            "start4.elf": "pi/start4.elf",
            "config.txt": "pi/config.txt",
            "recovery.elf": "-",
            "pieeprom.sig": "-",
            "fixup4.dat": "pi/fixup4.dat",
            "dt-blob.bin": "-",
            "bcm2711-rpi-4-b.dtb": "pi/bcm2711-rpi-4-b.dtb",
            "overlays/overlay_map.dtb": "pi/overlays/overlay_map.dtb",
            "cmdline.txt": "pi/cmdline.txt",
            "armstub8-gic.bin": "-",
            "kernel8.img": "pi/kernel8.img",
        },
    ),
    "a Raspberry Pi that asks by its MAC": (
        "/dc-a6-32-01-36-c2/",
        None,
        {"start4.elf": "pi/start4.elf", "kernel8.img": "pi/kernel8.img"},
    ),
    "a Raspberry Pi without a prefix": (
        "",
        None,
        {"start4.elf": "pi/start4.elf", "kernel_2712.img": "pi/kernel_2712.img", "boot.img": "-"},
    ),
}


@pytest.mark.parametrize("search", SEARCHES)
def test_what_a_loader_asks_for(search: str) -> None:
    folder, firmware, names = SEARCHES[search]
    found = {name: file_behind(f"{folder}{name}", firmware) for name in names}
    assert found == names


@pytest.mark.parametrize("search", SEARCHES)
def test_what_a_loader_may_miss_is_known_as_such(search: str) -> None:
    folder, firmware, names = SEARCHES[search]
    for name, file in names.items():
        if file == "-":
            answer = find(f"{folder}{name}", firmware)
            assert isinstance(answer, NotFound)
            assert is_normal_miss(answer.path.casefold()), name


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    "spell", [str.upper, "/{}".format, lambda path: path.replace("/", "\\"), "{}\xff".format]
)
def test_spelling_is_forgiven(search: str, spell: object) -> None:
    assert callable(spell)
    folder, firmware, names = SEARCHES[search]
    found = {name: file_behind(spell(f"{folder}{name}"), firmware) for name in names}
    assert found == names


GRUB_CONFIGS = (
    f"grub.cfg-{UUID}",
    "grub.cfg-01-52-54-00-12-34-56",
    *(f"grub.cfg-{'C0000264'[:digits]}" for digits in range(8, 0, -1)),
    "grub.cfg",
)


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param("", id="rhboot, which has lost its folder"),
        pytest.param("grub/", id="debian and ubuntu"),
        pytest.param("grub/x86_64-efi/", id="debian, beside its modules"),
        pytest.param("boot/grub/", id="grub-mknetdir"),
        pytest.param("debian-installer/amd64/grub/", id="the installer's archive"),
        pytest.param("EFI/fedora/", id="fedora"),
        pytest.param("loaders/uefi-x64/", id="beside the loader"),
        pytest.param("images/fedora@2/EFI/BOOT/", id="beside a vendor's"),
    ],
)
def test_grub_finds_its_configuration_under_its_first_name(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootyard.boot.menus.grub.render_first_script", lambda *_: "script")
    names = [f"{folder}{name}" for name in GRUB_CONFIGS]
    assert {file_behind(name) for name in names} == {"<grub first>"}


@pytest.mark.parametrize(
    "name",
    [
        "grub/x86_64-efi/command.lst",
        "grub/x86_64-efi/fs.lst",
        "/grub/x86_64-efi/crypto.lst",
        "grub/arm64-efi/terminal.lst",
        "grub/fonts/unicode.pf2",
        "grub/x86_64-efi/multiboot2.mod",
        "boot.scr.uimg",
        "C0000264.img",
    ],
)
def test_what_only_may_be_there_is_a_normal_miss(name: str) -> None:
    answer = find(name)
    assert isinstance(answer, NotFound)
    assert is_normal_miss(answer.path.casefold())


@pytest.mark.parametrize(
    "name",
    [
        "snponly.efi",
        "loaders/uefi-x64/grubx64.efi",
        "mmx64.efi",
        "start4.elf",
        "9ffefdef/kernel8.img",
        "config.txt",
        "images/debian@4/linux",
        "ldlinux.c32",
        "menu.c32",
        "pxelinux.cfg/default",
        "grub/grub.cfg",
    ],
)
def test_what_a_boot_needs_is_no_normal_miss(name: str) -> None:
    assert not is_normal_miss(name)


@given(
    st.text(max_size=300) | st.text("loadersimg/-", max_size=40).map("loaders/x/images/{}".format)
)
def test_a_loaders_folder_is_taken_off_the_files_of_images_only(name: str) -> None:
    assert is_normal_miss(name) in {True, False}
    shorter = without_loader_folder(name)
    if shorter != name:
        assert shorter.lower().startswith("images/")
        assert name.endswith(shorter)
        assert name.lower().startswith("loaders/")


@pytest.mark.parametrize(
    ("file", "file_class"),
    [
        ("bootcode.bin", FileClass.LOADER),
        ("start4cd.elf", FileClass.LOADER),
        ("kernel8.img", FileClass.KERNEL),
        ("current/vmlinuz", FileClass.KERNEL),
        ("initramfs_2712", FileClass.INITRD),
        ("initrd.img", FileClass.INITRD),
        ("config.txt", FileClass.IMAGE),
        ("overlays/disable-bt.dtbo", FileClass.IMAGE),
    ],
)
def test_what_a_file_of_a_raspberry_pi_is_for(file: str, file_class: FileClass) -> None:
    assert pi_file_class(file) is file_class


@pytest.mark.parametrize("file", ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi"])
def test_a_vendors_chain_is_made_of_loaders(file: str) -> None:
    found = find(f"images/fedora@2/{file}")
    assert isinstance(found, Found)
    assert found.file_class is FileClass.LOADER
