"""A vendor's own shim and GRUB in an image: found, believed, or refused."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from bootyard.boot.choice import BootOffer, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot, RequestFacts
from bootyard.boot.tree import BootTree, Found
from bootyard.model.architecture import ClientArchitecture, Firmware
from bootyard.model.document import encode
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import BootTarget, Machine, Policy, SignedChain, Slice
from services.catalog.database import Database
from services.catalog.library.image import LibraryImage
from services.catalog.publisher import build_snapshot
from tests.catalog.efi_programs import (
    ARM64,
    SHIM,
    X64,
    efi_program,
    grub_of,
    kernel_of,
    signature,
)
from tests.catalog.images import INITRD, LibraryAtHand, make_tarball, open_database

ARM_SHIM = efi_program(ARM64, signature("UEFI Driver Publisher", "Microsoft UEFI CA 2023"))
UBUNTU = {
    "vmlinuz": kernel_of("Canonical"),
    "initrd": INITRD,
    "bootx64.efi": SHIM,
    "grubx64.efi": grub_of("Canonical"),
}


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[LibraryAtHand]:
    database: Database = open_database(tmp_path)
    hand = LibraryAtHand(tmp_path, database)
    hand.images_dir.mkdir()
    yield hand
    database.close()


async def _image(
    hand: LibraryAtHand, files: dict[str, bytes], description: str = "", name: str = "system"
) -> LibraryImage:
    for path, data in files.items():
        where = hand.images_dir / name / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
    if description:
        (hand.images_dir / name / "image.toml").write_text(description)
    (image,) = (await hand.settle()).images
    return image


def _target(image: LibraryImage) -> BootTarget:
    assert image.problem is None
    (target,) = image.targets
    return target


async def test_the_vendors_chain_beside_the_kernel(hand: LibraryAtHand) -> None:
    image = await _image(hand, UBUNTU)
    target = _target(image)
    assert target.signed_by == "ubuntu"
    assert target.chains == (SignedChain(shim="bootx64.efi", grub="grubx64.efi"),)
    assert {"bootx64.efi", "grubx64.efi"} <= image.files.keys()


async def test_a_disc_s_folders_for_both_processors(hand: LibraryAtHand) -> None:
    image = await _image(
        hand,
        {
            "images/pxeboot/vmlinuz": kernel_of("Fedora"),
            "images/pxeboot/initrd.img": INITRD,
            "EFI/BOOT/BOOTX64.EFI": SHIM,
            "EFI/BOOT/grubx64.efi": grub_of("Fedora"),
            "EFI/BOOT/BOOTAA64.EFI": ARM_SHIM,
            "EFI/BOOT/grubaa64.efi": grub_of("Fedora", ARM64),
        },
    )
    assert _target(image).chains == (
        SignedChain(shim="EFI/BOOT/BOOTX64.EFI", grub="EFI/BOOT/grubx64.efi"),
        SignedChain(
            shim="EFI/BOOT/BOOTAA64.EFI",
            grub="EFI/BOOT/grubaa64.efi",
            firmware=Firmware.UEFI_ARM64,
        ),
    )


async def test_a_chain_of_many_files_is_served(hand: LibraryAtHand) -> None:
    many = {f"modules/{count}.mod": b"x" for count in range(300)}
    efi = {"EFI/BOOT/BOOTX64.EFI": SHIM, "EFI/BOOT/grubx64.efi": grub_of("Canonical")}
    kernel = {"vmlinuz": kernel_of("Canonical"), "initrd": INITRD}
    image = await _image(hand, many | efi | kernel)
    assert len(_target(image).chains) == 1
    assert efi.keys() <= image.files.keys()
    assert "modules/1.mod" not in image.files


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"grubx64.efi": grub_of("Fedora")}, id="another-vendors-grub"),
        pytest.param({"grubx64.efi": efi_program(X64)}, id="unsigned-grub"),
        pytest.param({"bootx64.efi": efi_program(X64)}, id="unsigned-shim"),
        pytest.param({"bootx64.efi": grub_of("Canonical")}, id="shim-firmware-does-not-trust"),
        pytest.param({"bootx64.efi": ARM_SHIM}, id="shim-of-another-processor"),
        pytest.param({"grubx64.efi": b""}, id="empty-grub"),
        pytest.param({"bootx64.efi": b"MZ"}, id="half-a-shim"),
        pytest.param(
            {"vmlinuz": kernel_of("Debian"), "grubx64.efi": grub_of("Debian")}, id="debian"
        ),
    ],
)
async def test_what_no_machine_could_boot_by_is_no_chain(
    hand: LibraryAtHand, changed: dict[str, bytes]
) -> None:
    assert _target(await _image(hand, UBUNTU | changed)).chains == ()


async def test_a_kernel_that_nobody_is_known_to_have_signed(hand: LibraryAtHand) -> None:
    target = _target(await _image(hand, UBUNTU | {"vmlinuz": efi_program(X64)}))
    assert target.signed_by == ""
    assert len(target.chains) == 1


async def test_microsofts_own_signature_is_the_last_to_count(hand: LibraryAtHand) -> None:
    both = efi_program(X64, signature("Microsoft Signer"), signature("Red Hat Signing 8"))
    assert _target(await _image(hand, UBUNTU | {"vmlinuz": both})).signed_by == "redhat"


async def test_a_description_names_the_chain(hand: LibraryAtHand) -> None:
    files = {
        "vmlinuz": kernel_of("Example Works"),
        "initrd": INITRD,
        "efi/first.efi": efi_program(ARM64),
        "efi/second.efi": efi_program(ARM64),
    }
    said = '[secureboot]\nshim = "efi/first.efi"\ngrub = "./efi/second.efi"\n'
    target = _target(await _image(hand, files, said))
    assert target.signed_by == "example-works-secure-boot-signer"
    assert target.chains == (
        SignedChain(shim="efi/first.efi", grub="efi/second.efi", firmware=Firmware.UEFI_ARM64),
    )


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('shim = "shim.efi"\ngrub = "grubx64.efi"', "names 'shim.efi' as shim"),
        ('shim = "bootx64.efi"\ngrub = "grub.efi"', "names 'grub.efi' as grub"),
        ('shim = "bootx64.efi"', "names no grub"),
        ('grub = "grubx64.efi"', "names no shim"),
        ('shim = "initrd"\ngrub = "grubx64.efi"', "'initrd', which is no EFI program"),
        ('shim = "bootx64.efi"\ngrub = "initrd"', "'initrd', which is no EFI program"),
        (
            'shim = "bootx64.efi"\ngrub = "grubx64.efi"\nfirmware = "uefi-arm64"',
            "'bootx64.efi', which is no EFI program for uefi-arm64",
        ),
        ('shim = "bootx64.efi"\ngrub = "grubx64.efi"\nfirmware = "bios"', "'bios' has no shim"),
        ('shim = "../x.efi"\ngrub = "grubx64.efi"', "is no file of this image"),
        ("shim = 1\ngrub = 2", "shim = 1 is not usable"),
    ],
)
async def test_a_chain_that_cannot_be_is_refused_with_the_cure(
    hand: LibraryAtHand, table: str, problem: str
) -> None:
    image = await _image(hand, UBUNTU, f"[secureboot]\n{table}\n")
    assert problem in (image.problem or "")
    assert image.cure
    assert image.targets == ()


async def test_secureboot_is_a_table(hand: LibraryAtHand) -> None:
    image = await _image(hand, UBUNTU, "secureboot = true")
    assert "is no table" in (image.problem or "")


async def test_an_unknown_key_in_the_table_is_noted(hand: LibraryAtHand) -> None:
    said = '[secureboot]\nshim = "bootx64.efi"\ngrub = "grubx64.efi"\nfirmwre = "bios"\n'
    image = await _image(hand, UBUNTU, said)
    assert any("did you mean 'firmware'" in note for note in image.notes)


async def test_a_path_that_no_dhcp_packet_can_name(hand: LibraryAtHand) -> None:
    deep = "/".join(["efi" * 10] * 4)
    files = {"vmlinuz": kernel_of("Canonical"), "initrd": INITRD, f"{deep}/bootx64.efi": SHIM}
    files[f"{deep}/grubx64.efi"] = grub_of("Canonical")
    assert _target(await _image(hand, files)).chains == ()
    said = f'[secureboot]\nshim = "{deep}/bootx64.efi"\ngrub = "{deep}/grubx64.efi"\n'
    (hand.images_dir / "system/image.toml").write_text(said)
    (image,) = (await hand.settle()).images
    assert "too long for a DHCP packet" in (image.problem or "")


async def test_a_tarballs_chain_is_unpacked(hand: LibraryAtHand) -> None:
    members = {f"amd64/{name}": data for name, data in UBUNTU.items()}
    make_tarball(hand.images_dir / "ubuntu-24.04.tar.gz", members)
    (image,) = (await hand.settle()).images
    target = _target(image)
    assert target.signed_by == "ubuntu"
    (chain,) = target.chains
    assert (chain.shim, chain.grub) == ("amd64/bootx64.efi", "amd64/grubx64.efi")
    shim = image.files[chain.shim]
    assert (hand.derived_dir / shim.path).read_bytes() == SHIM


async def test_debians_own_chain_stays_in_its_tarball(hand: LibraryAtHand) -> None:
    members = {
        "d/linux": kernel_of("Debian"),
        "d/initrd.gz": INITRD,
        "d/bootnetx64.efi": SHIM,
        "d/grubx64.efi": grub_of("Debian"),
    }
    make_tarball(hand.images_dir / "debian-13.tar.gz", members)
    (image,) = (await hand.settle()).images
    target = _target(image)
    assert (target.signed_by, target.chains) == ("debian", ())
    assert image.files.keys() == {"linux", "initrd.gz"}


async def test_a_tarballs_description_names_the_chain(hand: LibraryAtHand) -> None:
    members = {"k": kernel_of("Example"), "i": INITRD, "x.efi": SHIM, "y.efi": grub_of("Example")}
    make_tarball(hand.images_dir / "own.tar.gz", members)
    (hand.images_dir / "own.toml").write_text(
        'kernel = "k"\ninitrd = ["i"]\n[secureboot]\nshim = "x.efi"\ngrub = "y.efi"\n'
    )
    (image,) = (await hand.settle()).images
    assert _target(image).chains == (SignedChain(shim="x.efi", grub="y.efi"),)
    assert {"x.efi", "y.efi"} <= image.files.keys()


async def test_a_machine_with_secure_boot_gets_that_shim_and_shim_its_grub(
    hand: LibraryAtHand,
) -> None:
    image = await _image(hand, UBUNTU)
    mac = MACAddress.parse("52:54:00:12:34:56")
    machine = Machine(mac=mac, target="system", secure_boot=True)
    snapshot = build_snapshot(
        epoch="e",
        number=1,
        http_port=8080,
        loaders={},
        images=(image,),
        machines={str.__str__(mac): msgspec.Raw(encode(machine))},
        policy=Policy(),
    )
    client = BootClient(
        mac=mac,
        firmware=Firmware.UEFI_X64,
        kind=ClientKind.ROM,
        architecture=ClientArchitecture.X64_UEFI,
    )
    offer = choose(client, RecentBoot(), snapshot)
    assert isinstance(offer, BootOffer)
    assert offer.boot_file == "images/system@1/bootx64.efi"
    tree, address = BootTree(snapshot), IPv4Address("192.0.2.10")
    request = RequestFacts(client_ip=address, server_address=address, transport="tftp")
    for path, file in (
        (offer.boot_file, "bootx64.efi"),
        ("images/system@1/grubx64.efi", "grubx64.efi"),
    ):
        found = tree.resolve(path, request)
        assert isinstance(found, Found)
        assert isinstance(found.content, Slice)
        assert found.content.path == f"system/{file}"
