import re
from ipaddress import IPv4Address
from typing import Literal
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.client import RequestFacts
from bootyard.boot.names import normalise
from bootyard.boot.tree import BootTree, Found, Missing, NotFound
from bootyard.model.architecture import Firmware
from bootyard.model.events import FileClass
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Machine, TargetKind, Text
from tests.boot import every_loader
from tests.samples import LOADERS, MAC, slice_of, snapshot


def facts(
    transport: Literal["tftp", "http"] = "tftp", mac: MACAddress | None = None
) -> RequestFacts:
    return RequestFacts(
        client_ip=IPv4Address("192.0.2.100"),
        server_address=IPv4Address("192.0.2.10"),
        transport=transport,
        mac=mac,
    )


TREE = BootTree(snapshot(Machine(mac=MAC, target="debian", kernel_args="quiet")))


@pytest.mark.parametrize(
    ("path", "file_class", "image"),
    [
        ("loaders/uefi-x64/snponly.efi", FileClass.LOADER, None),
        ("/loaders/uefi-x64/snponly.efi", FileClass.LOADER, None),
        ("\\Loaders\\UEFI-x64\\SNPONLY.EFI", FileClass.LOADER, None),
        ("loaders/uefi-x64/snponly.efi\xff", FileClass.LOADER, None),
        ("images/debian@4/linux", FileClass.KERNEL, "debian"),
        ("images/debian/linux", FileClass.KERNEL, "debian"),
        ("images/debian/./INITRD.gz", FileClass.INITRD, "debian"),
        ("boot.ipxe", FileClass.MENU, None),
        ("autoexec.ipxe", FileClass.MENU, None),
        ("loaders/uefi-x64/autoexec.ipxe", FileClass.MENU, None),
        ("menu.ipxe", FileClass.MENU, None),
        (".health", FileClass.OTHER, None),
    ],
)
def test_names(path: str, file_class: FileClass, image: str | None) -> None:
    found = TREE.resolve(path, facts())
    assert isinstance(found, Found), found
    assert (found.file_class, found.image) == (file_class, image)
    assert found.content.size > 0


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("images/debian@3/linux", Missing.NO_SUCH_FILE),
        ("images/debian@4", Missing.NO_SUCH_FILE),
        ("images/nothing/linux", Missing.NO_SUCH_FILE),
        ("loaders/uefi-x64/other.efi", Missing.NO_SUCH_FILE),
        ("images/debian/autoexec.ipxe", Missing.NO_SUCH_FILE),
        ("linux", Missing.NO_SUCH_FILE),
        ("", Missing.FORBIDDEN),
        ("///", Missing.FORBIDDEN),
        ("../../etc/passwd", Missing.FORBIDDEN),
        ("loaders/../../../etc/passwd", Missing.FORBIDDEN),
        ("..\\..\\etc\\passwd", Missing.FORBIDDEN),
        ("loaders/uefi-x64/snponly.efi\0.txt", Missing.FORBIDDEN),
        ("loaders/\x1b[2J", Missing.FORBIDDEN),
        ("a" * 256, Missing.FORBIDDEN),
    ],
)
def test_names_that_lead_nowhere(path: str, reason: Missing) -> None:
    found = TREE.resolve(path, facts())
    assert isinstance(found, NotFound), found
    assert found.reason is reason


@given(st.text(max_size=300))
def test_any_name_leads_to_something_of_the_snapshot_or_nowhere(path: str) -> None:
    found = TREE.resolve(path, facts())
    if isinstance(found, Found) and not isinstance(found.content, Text):
        slices = [s for i in TREE.snapshot.images.values() for s in i.files.values()]
        assert found.content in [*slices, *LOADERS.values()]


@given(st.text(max_size=60))
def test_a_normal_name_stays_as_it_is(path: str) -> None:
    name = normalise(path)
    if name is not None:
        assert normalise(name) == name


def test_the_first_script_asks_the_catalog_then_tftp() -> None:
    found = TREE.resolve("autoexec.ipxe", facts())
    assert isinstance(found, Found)
    assert isinstance(found.content, Text)
    script = found.content.data.decode()
    assert script.index("http://192.0.2.10:8080/boot.ipxe") < script.index(
        "tftp://192.0.2.10/menu.ipxe"
    )
    assert found.script == "first"


def test_the_menu_over_tftp_is_this_machines_and_names_no_other_transport() -> None:
    found = TREE.resolve("menu.ipxe", facts(mac=MAC))
    assert isinstance(found, Found)
    assert isinstance(found.content, Text)
    script = found.content.data.decode()
    assert "http://" not in script
    assert "choose --default debian" in script
    assert "console=ttyS0 quiet" in script
    assert found.script == "menu"


def test_menus_of_pxelinux_are_this_machines_at_the_root_and_beside_each_loader() -> None:
    for path in ("pxelinux.cfg/default", "loaders/bios/pxelinux.cfg/01-52-54-00-12-34-56"):
        found = TREE.resolve(path, facts(mac=MAC))
        assert isinstance(found, Found)
        assert isinstance(found.content, Text)
        assert b"\nDEFAULT debian\nONTIMEOUT local-disk\n" in found.content.data
        assert b"console=ttyS0 quiet" in found.content.data
        assert (found.script, found.language) == ("menu", "pxelinux")


def test_a_machine_that_its_address_does_not_prove_gets_the_plain_menu() -> None:
    """Whatever MAC is in the name that it asks for."""
    found = TREE.resolve("pxelinux.cfg/01-52-54-00-12-34-56", facts())
    assert isinstance(found, Found)
    assert isinstance(found.content, Text)
    assert b"quiet" not in found.content.data


@pytest.mark.parametrize(
    ("folder", "targets"),
    [("uefi-x64", {"debian", "live"}), ("uefi-arm64", {"arm"}), ("nothing", {"debian", "arm"})],
)
def test_the_folder_tells_what_the_machine_can_run(folder: str, targets: set[str]) -> None:
    found = TREE.resolve(f"loaders/{folder}/pxelinux.cfg/default", facts())
    assert isinstance(found, Found)
    assert isinstance(found.content, Text)
    lines = found.content.data.decode().splitlines()
    assert {f"LABEL {target}" for target in targets} <= set(lines)
    assert ("LABEL arm" in lines) == ("arm" in targets)


def bare(name: str, seen: Firmware | None, said: Firmware | None) -> Firmware | None:
    """Whose file a bare name is, by what the machine fetched and by what its operator said."""
    folders = ("bios", "uefi-x64", "uefi-ia32")
    loaders = {
        f"{folder}/{file}": next(iter(LOADERS.values()))
        for folder in folders
        for file in ("syslinux.efi", "menu.c32")
    }
    state = msgspec.structs.replace(snapshot(Machine(mac=MAC, firmware=said)), loaders=loaders)
    request = msgspec.structs.replace(facts(mac=MAC), firmware=seen)
    found = BootTree(state).resolve(name, request)
    return found.firmware if isinstance(found, Found) else None


X64, IA32, ARM64 = Firmware.UEFI_X64, Firmware.UEFI_IA32, Firmware.UEFI_ARM64


@pytest.mark.parametrize(
    ("name", "seen", "said", "whose"),
    [
        ("syslinux.efi", None, None, X64),
        ("syslinux.efi", IA32, None, IA32),
        ("syslinux.efi", X64, IA32, IA32),
        ("syslinux.efi", None, Firmware.HTTP_IA32, IA32),
        ("menu.c32", None, None, X64),
        ("menu.c32", Firmware.BIOS, None, Firmware.BIOS),
        ("menu.c32", Firmware.BIOS, IA32, Firmware.BIOS),
        ("menu.c32", None, IA32, IA32),
        ("menu.c32", ARM64, None, None),
    ],
)
def test_a_bare_name_is_of_the_machines_firmware(
    name: str, seen: Firmware | None, said: Firmware | None, whose: Firmware | None
) -> None:
    assert bare(name, seen, said) == whose


def pi_tree(*machines: Machine, kind: TargetKind = TargetKind.LIVE) -> BootTree:
    state = snapshot(*machines)
    files = {name: slice_of(f"pi/{name}") for name in ("start4.elf", "kernel8.img", "rootfs.img")}
    pi = msgspec.structs.replace(state.images["arm"], id="pi", files=files)
    target = msgspec.structs.replace(
        state.targets["arm"],
        id="pi",
        image="pi",
        kind=kind,
        loader="pi",
        kernel="kernel8.img",
        initrds=("rootfs.img",),
    )
    return BootTree(
        msgspec.structs.replace(
            state,
            images={**state.images, "pi": pi},
            targets={**state.targets, "pi": target},
        )
    )


@pytest.mark.parametrize(
    ("file", "file_class", "firmware"),
    [
        ("start4.elf", FileClass.LOADER, Firmware.PI),
        ("kernel8.img", FileClass.KERNEL, None),
        ("rootfs.img", FileClass.INITRD, None),
    ],
)
def test_a_raspberry_pis_files_are_steps_of_its_boot_without_a_script(
    file: str, file_class: FileClass, firmware: Firmware | None
) -> None:
    for prefix in ("9ffefdef/", "dc-a6-32-01-36-c2/", ""):
        found = pi_tree().resolve(f"{prefix}{file}", facts())
        assert isinstance(found, Found)
        assert (found.file_class, found.image, found.firmware) == (file_class, "pi", firmware)


@pytest.mark.parametrize("kind", [TargetKind.INSTALLER, TargetKind.UNATTENDED])
def test_a_raspberry_pi_installs_nothing_that_nobody_asked_for(kind: TargetKind) -> None:
    assert isinstance(pi_tree(kind=kind).resolve("9ffefdef/start4.elf", facts()), NotFound)


EVERY = BootTree(every_loader.library())


def found_in(tree: BootTree, path: str, transport: Literal["tftp", "http"] = "http") -> Found:
    found = tree.resolve(path, facts(transport))
    assert isinstance(found, Found), found
    return found


@pytest.mark.parametrize("path", ["images/ubuntu.iso", "images/ubuntu@2.iso", "IMAGES/Ubuntu.ISO"])
def test_a_whole_image_is_served_over_http_alone(path: str) -> None:
    found = found_in(EVERY, path)
    assert found.content == EVERY.snapshot.images["ubuntu"].whole
    assert (found.file_class, found.image, found.is_disk) == (FileClass.IMAGE, "ubuntu", False)
    assert isinstance(EVERY.resolve(path, facts("tftp")), NotFound)


@pytest.mark.parametrize(
    "path", ["images/ubuntu@3.iso", "images/debian-12.iso", "images/.iso", "images/ubuntu@2.iso/x"]
)
def test_there_is_no_whole_image_of_another_revision_or_of_a_folder(path: str) -> None:
    assert isinstance(EVERY.resolve(path, facts("http")), NotFound)


@pytest.mark.parametrize("image", ["openbsd", "freedos"])
def test_a_whole_image_that_is_started_as_a_disk_is_known_as_one(image: str) -> None:
    assert found_in(EVERY, f"images/{image}@2.iso").is_disk


def filled(**files: str) -> BootTree:
    """The tree with the files that its targets name, by image, and with templates of ESXi's."""
    state = every_loader.library()
    images = {
        image.id: msgspec.structs.replace(
            image,
            files={
                name: slice_of(name)
                for target in state.targets.values()
                if target.image == image.id
                for name in (*target.loaded_files, "BOOT.CFG")
                if name
            },
            templates=files if image.id == "esxi" else {},
        )
        for image in state.images.values()
    }
    return BootTree(msgspec.structs.replace(state, images=images))


@pytest.mark.parametrize("transport", ["tftp", "http"])
def test_a_template_names_our_address_and_hides_the_file_of_its_name(
    transport: Literal["tftp", "http"],
) -> None:
    tree = filled(**{"boot.cfg": "prefix={tree}/\nfrom={iso} {host} {other}\n"})
    content = found_in(tree, "images/esxi@2/BOOT.cfg", transport).content
    base = "http://192.0.2.10:8080/tree/images/esxi@2"
    assert content == Text(f"prefix={base}/iso/\nfrom={base}.iso 192.0.2.10 {{other}}\n".encode())


@pytest.mark.parametrize(
    ("path", "file_class"),
    [
        ("images/debian-12@2/install.amd/vmlinuz", FileClass.KERNEL),
        ("images/proxmox@2/hook.sh", FileClass.INITRD),
        ("images/proxmox@2/boot/ucode.img", FileClass.INITRD),
        ("images/esxi@2/efi/boot/bootx64.efi", FileClass.KERNEL),
        ("images/windows@2/sources/boot.wim", FileClass.KERNEL),
        ("images/windows@2/boot/bcd", FileClass.INITRD),
        ("images/xcp-ng@2/boot/xen.gz", FileClass.KERNEL),
        ("images/xcp-ng@2/install.img", FileClass.INITRD),
        ("images/nixos@2/netboot.ipxe", FileClass.KERNEL),
        ("images/hdt@2/hdt.c32", FileClass.KERNEL),
        ("images/esxi@2/boot.cfg", FileClass.IMAGE),
        # What is concluded from the loaders that firmware took is not about these.
        ("loaders/wimboot/wimboot", FileClass.OTHER),
        ("loaders/bios/memdisk", FileClass.OTHER),
        ("memdisk", FileClass.OTHER),
        ("loaders/bios/chain.c32", FileClass.LOADER),
    ],
)
def test_files_count_as_what_they_are_to_their_targets(path: str, file_class: FileClass) -> None:
    assert found_in(filled(), path).file_class is file_class


def test_every_file_that_a_menu_names_is_in_the_tree() -> None:
    """For every firmware, over both transports, and in the names' percent-encoded form."""
    tree = filled()
    named: set[tuple[str, Literal["tftp", "http"]]] = set()
    for server in (every_loader.CATALOG, every_loader.OFFLINE):
        for firmware in (Firmware.BIOS, Firmware.UEFI_X64):
            script = every_loader.rendered("ipxe", tree.snapshot, server, firmware)
            transport: Literal["tftp", "http"] = "http" if server.catalog_answers else "tftp"
            urls = re.findall(
                r"(?:\$\{tree\}|/tree|tftp://192\.0\.2\.10)(/(?:images|loaders|menus)\S*)", script
            )
            named |= {(unquote(url), transport) for url in urls}
    folders = {path for path, _ in named if "/iso/" in path}
    for path, transport in named:
        if path not in folders:
            found_in(tree, path, transport)
    assert len(named) > 30


def test_an_entry_of_the_operators_own_is_a_script_over_both_transports() -> None:
    for transport in ("tftp", "http"):
        found = found_in(EVERY, "menus/netboot-xyz.ipxe", transport)
        assert found.content == Text(b"#!ipxe\nchain https://boot.example.org\n")
        assert (found.script, found.language) == (None, "ipxe")
    assert isinstance(EVERY.resolve("menus/other.ipxe", facts()), NotFound)
