"""Folders with the boot files of a Raspberry Pi, whole and half-copied."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.choice import pi_target
from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import BootTree, Found
from bootyard.model.errors import ImageRejected
from bootyard.model.events import FileClass
from bootyard.model.snapshot import BootTarget, Policy, Root, Slice, TargetKind
from services.catalog.library.description import NOTHING_SAID
from services.catalog.library.image import LibraryImage
from services.catalog.library.raspberry import (
    Config,
    parse_config,
    pi_folder,
    plan_pi,
    title_of,
)
from services.catalog.publisher import build_snapshot
from tests.catalog.images import INITRD, LibraryAtHand, open_database

ARM64_KERNEL = bytes(0x38) + b"ARM\x64" + bytes(4096)
ARM_KERNEL = bytes(0x24) + struct.pack("<I", 0x016F2818) + bytes(4096)

PI_4: dict[str, bytes] = {
    "bootcode.bin": b"bootcode",
    "start.elf": b"firmware",
    "fixup.dat": b"fixup",
    "start4.elf": b"firmware",
    "fixup4.dat": b"fixup",
    "config.txt": b"arm_64bit=1\nauto_initramfs=1\n",
    "cmdline.txt": b"console=serial0,115200 root=/dev/nfs ip=dhcp rootwait\n",
    "bcm2711-rpi-4-b.dtb": b"device tree",
    "kernel8.img": ARM64_KERNEL,
    "initramfs8": INITRD,
    "overlays/vc4-kms-v3d.dtbo": b"overlay",
    "overlays/README": b"read me",
}


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[LibraryAtHand]:
    database = open_database(tmp_path)
    hand = LibraryAtHand(tmp_path, database)
    hand.images_dir.mkdir()
    yield hand
    database.close()


async def _image(
    hand: LibraryAtHand, files: dict[str, bytes], *, name: str = "raspberry-pi-4"
) -> LibraryImage:
    for path, data in files.items():
        where = hand.images_dir / name / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
    (image,) = (await hand.settle()).images
    return image


def _target(image: LibraryImage) -> BootTarget:
    assert image.problem is None
    (target,) = image.targets
    return target


async def test_a_boot_partition_is_an_image_of_all_its_files(hand: LibraryAtHand) -> None:
    image = await _image(hand, PI_4)
    assert _target(image) == BootTarget(
        id="raspberry-pi-4",
        image="raspberry-pi-4",
        title="Raspberry Pi 4",
        kind=TargetKind.LIVE,
        kernel="kernel8.img",
        initrds=("initramfs8",),
        loader="pi",
    )
    assert (image.architectures, image.recipe) == (("aarch64",), "raspberry-pi")
    assert image.files.keys() == PI_4.keys()
    assert image.notes == ()
    start = image.files["start4.elf"]
    assert (start.root, start.path, start.size) == (Root.IMAGES, "raspberry-pi-4/start4.elf", 8)


async def test_a_pi_finds_its_files_by_serial_number(hand: LibraryAtHand) -> None:
    await _image(hand, PI_4)
    snapshot = build_snapshot(
        epoch="e",
        number=1,
        http_port=8080,
        loaders={},
        images=hand.library.images,
        machines={},
        policy=Policy(),
    )
    assert pi_target(snapshot, None) is not None
    tree, address = BootTree(snapshot), IPv4Address("192.0.2.10")
    request = RequestFacts(client_ip=address, server_address=address, transport="tftp")
    for path, file, file_class in (
        ("9ffefdef/start4.elf", "start4.elf", FileClass.LOADER),
        ("dc-a6-32-01-36-c2/kernel8.img", "kernel8.img", FileClass.KERNEL),
        ("initramfs8", "initramfs8", FileClass.INITRD),
        ("9ffefdef/overlays/vc4-kms-v3d.dtbo", "overlays/vc4-kms-v3d.dtbo", FileClass.IMAGE),
    ):
        found = tree.resolve(path, request)
        assert isinstance(found, Found), path
        assert isinstance(found.content, Slice)
        assert found.content.path == f"raspberry-pi-4/{file}"
        if file_class is not FileClass.LOADER:
            assert found.file_class is file_class


async def test_it_may_lie_in_a_folder_of_the_image(hand: LibraryAtHand) -> None:
    files = {f"boot/{path}": data for path, data in PI_4.items()}
    image = await _image(hand, files, name="raspios")
    assert _target(image).title == "Raspberry Pi raspios"
    assert image.files.keys() == PI_4.keys()


async def test_a_description_wins(hand: LibraryAtHand) -> None:
    said = b"""
title = "Kitchen radio"
kind = "tool"
version = 3
architectures = ["arm64", "arm"]
kernel = "u-boot.bin"
initrd = []
cmdline = "quiet"
[secureboot]
shim = "a"
grub = "b"
"""
    image = await _image(hand, PI_4 | {"image.toml": said, "u-boot.bin": ARM64_KERNEL})
    target = _target(image)
    assert (target.title, target.kind, target.kernel) == (
        *("Kitchen radio", TargetKind.TOOL),
        "u-boot.bin",
    )
    assert (target.initrds, image.version) == ((), "3")
    assert image.architectures == ("aarch64", "arm")
    assert "image.toml" not in image.files
    assert sum("is not used" in note for note in image.notes) == 2


async def test_answers_in_its_command_line_make_it_unattended(hand: LibraryAtHand) -> None:
    answers = {"cmdline.txt": b"auto=true preseed/url=http://192.0.2.10/x\n"}
    live = {"image.toml": b'kind = "live"'}
    image = await _image(hand, PI_4 | answers | live)
    assert _target(image).kind is TargetKind.UNATTENDED
    assert any("listed as unattended, not live" in note for note in image.notes)


async def test_a_pi_5_has_its_firmware_in_its_eeprom(hand: LibraryAtHand) -> None:
    files = {
        "config.txt": b"auto_initramfs=1\n",
        "kernel_2712.img": ARM64_KERNEL,
        "initramfs_2712": INITRD,
        "bcm2712-rpi-5-b.dtb": b"device tree",
        "cmdline.txt": b"",
    }
    target = _target(await _image(hand, files, name="pi5"))
    assert (target.kernel, target.initrds) == ("kernel_2712.img", ("initramfs_2712",))


async def test_only_32_bit_kernels(hand: LibraryAtHand) -> None:
    files = {n: d for n, d in PI_4.items() if not n.endswith("8.img") and n != "initramfs8"}
    config = {"config.txt": b"", "kernel7l.img": ARM_KERNEL, "kernel.img": ARM_KERNEL}
    image = await _image(hand, files | config)
    assert _target(image).kernel == "kernel7l.img"
    assert image.architectures == ("arm",)


async def test_a_compressed_kernel_says_nothing_and_its_name_all(hand: LibraryAtHand) -> None:
    image = await _image(hand, PI_4 | {"kernel8.img": b"\x1f\x8b" + bytes(100)})
    assert image.architectures == ("aarch64",)


async def test_a_new_overlay_is_a_new_revision(hand: LibraryAtHand) -> None:
    assert (await _image(hand, PI_4)).revision == 1
    assert (await _image(hand, {"overlays/new.dtbo": b"overlay"})).revision == 2


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"kernel8.img": None}, "firmware files of a Raspberry Pi and no kernel"),
        ({"kernel8.img": b""}, "kernel8.img is empty"),
        ({"initramfs8": b""}, "initramfs8 is empty"),
        ({"start4.elf": b""}, "start4.elf is empty"),
        ({"config.txt": b"kernel=vmlinuz\n"}, "config.txt names 'vmlinuz' as kernel"),
        (
            {"config.txt": b"initramfs initrd.img followkernel\n"},
            "config.txt names 'initrd.img' as initramfs",
        ),
        ({"start4.elf": None, "bootcode.bin": None}, "firmware is not complete"),
        ({"image.toml": b'kernel = "linux"'}, "the description names 'linux' as kernel"),
        ({"image.toml": b'initrd = ["i.gz"]'}, "the description names 'i.gz' as initramfs"),
    ],
)
async def test_half_a_copy_has_a_problem_and_a_cure(
    hand: LibraryAtHand, changed: dict[str, bytes | None], problem: str
) -> None:
    files = {name: data for name, data in (PI_4 | changed).items() if data is not None}
    image = await _image(hand, files)
    assert problem in (image.problem or "")
    assert "/boot/firmware" in (image.cure or "")
    assert image.targets == ()


async def test_what_only_weakens_a_boot_is_a_note(hand: LibraryAtHand) -> None:
    files = {n: d for n, d in PI_4.items() if n not in {"fixup4.dat", "bcm2711-rpi-4-b.dtb"}}
    notes = (await _image(hand, files)).notes
    assert any("no fixup4.dat beside it" in note for note in notes)
    assert any("no device tree" in note for note in notes)


async def test_a_kernel_that_leads_out_of_the_folder(hand: LibraryAtHand, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(ARM64_KERNEL)
    folder = hand.images_dir / "raspberry-pi-4"
    folder.mkdir()
    (folder / "kernel8.img").symlink_to(tmp_path / "outside")
    image = await _image(hand, {n: d for n, d in PI_4.items() if n != "kernel8.img"})
    assert "leads out of the images folder" in (image.problem or "")


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        (["start4.elf"], ""),
        (["START.ELF", "x/y"], ""),
        (["config.txt", "kernel8.img"], ""),
        (["config.txt", "bcm2712-rpi-5-b.dtb"], ""),
        (["firmware/start4.elf", "image.toml"], "firmware"),
        (["boot/bootcode.bin", "root.squashfs"], "boot"),
        # Firmware that a distribution brings along for some of its machines.
        (["vmlinuz", "initrd", "firmware/start4.elf"], None),
        (["a/start4.elf", "b/start4.elf"], None),
        (["config.txt", "vmlinuz", "initrd"], None),
        (["kernel8.img", "initramfs8"], None),
        (["restart.elf", "start5.elf", "bootcode.bin.gz"], None),
        ([], None),
    ],
)
def test_which_folder_is_a_pi_s(files: list[str], folder: str | None) -> None:
    assert pi_folder(files) == folder


CONFIG = """\
# kernel=comment.img
[pi4]
kernel=only4.img
[all]
  Kernel = vmlinuz
arm_64bit=1
initramfs one.gz,two.gz followkernel
cmdline=line.txt
os_prefix=current/
auto_initramfs=0
[tryboot]
kernel=tried-once.img
[none]
kernel=never.img
[pi5]
kernel=only5.img
"""


def test_config_txt() -> None:
    assert parse_config(CONFIG) == Config(
        kernel="vmlinuz",
        initramfs=("one.gz", "two.gz"),
        is_64_bit=True,
        os_prefix="current/",
        cmdline="line.txt",
    )


def test_a_setting_for_some_models_counts_where_there_is_no_other() -> None:
    assert parse_config("[pi3]\nkernel=a\n[pi4]\nkernel=b\n").kernel == "a"


def test_os_prefix_is_a_folder_or_a_beginning() -> None:
    sizes = {"current/vmlinuz": 1, "current/initrd.img": 1, "start4.elf": 1, "vmlinuz": 1}
    config = parse_config("os_prefix=current/\nkernel=vmlinuz\ninitramfs INITRD.img\n")
    files = plan_pi(sizes, config, NOTHING_SAID)
    assert (files.kernel, files.initrds) == ("current/vmlinuz", ("current/initrd.img",))
    del sizes["current/vmlinuz"]
    assert plan_pi(sizes, config, NOTHING_SAID).kernel == "vmlinuz"


def test_uefi_for_the_pi_is_its_kernel() -> None:
    sizes = {"RPI_EFI.fd": 1, "start4.elf": 1, "fixup4.dat": 1, "config.txt": 1}
    files = plan_pi(sizes, parse_config("arm_64bit=1\narmstub=RPI_EFI.fd\n"), NOTHING_SAID)
    assert (files.kernel, files.architecture) == ("RPI_EFI.fd", "aarch64")


def test_kernels_of_every_model_bring_their_initramfs() -> None:
    kernels = ("kernel8.img", "kernel_2712.img", "kernel7.img")
    initrds = ("initramfs8", "initramfs_2712", "initramfs7")
    sizes = dict.fromkeys((*kernels, *initrds, "start4.elf"), 1)
    files = plan_pi(sizes, Config(auto_initramfs=True), NOTHING_SAID)
    assert (files.kernel, files.initrds) == ("kernel8.img", initrds)
    files = plan_pi(sizes, Config(auto_initramfs=True, is_64_bit=False), NOTHING_SAID)
    assert (files.kernel, files.architecture) == ("kernel7.img", "arm")


@given(st.text(max_size=200), st.lists(st.text(max_size=20), max_size=6))
def test_any_text_is_harmless(text: str, files: list[str]) -> None:
    config = parse_config(text)
    pi_folder(files)
    with suppress(ImageRejected):
        planned = plan_pi(dict.fromkeys((*files, "start4.elf"), 1), config, NOTHING_SAID)
        assert planned.kernel in {*files, "start4.elf"}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("raspberry-pi-5", "Raspberry Pi 5"),
        ("RaspberryPi_4 lite", "Raspberry Pi 4 lite"),
        ("rpi", "Raspberry Pi"),
        ("ubuntu-24.04", "Raspberry Pi ubuntu 24.04"),
    ],
)
def test_titles(name: str, title: str) -> None:
    assert title_of(name) == title
