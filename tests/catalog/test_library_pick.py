"""Which files of an image boot it, and what a kernel says of itself."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.errors import ImageRejected
from services.catalog.library.description import NOTHING_SAID, Description
from services.catalog.library.kernels import HEADER_BYTES, architecture_of, complete_size_of
from services.catalog.library.pick import Picked, looks_bootable, names_in_tree, pick
from tests.catalog.images import make_bzimage


@pytest.mark.parametrize(
    ("files", "kernel", "initrd"),
    [
        (("linux", "initrd.gz"), "linux", "initrd.gz"),
        (("vmlinuz-lts", "initramfs-lts", "modloop-lts"), "vmlinuz-lts", "initramfs-lts"),
        (
            ("vmlinuz-linux", "initramfs-linux.img", "initramfs-linux-fallback.img"),
            "vmlinuz-linux",
            "initramfs-linux.img",
        ),
        (
            ("vmlinuz-6.1.0-18-amd64", "initrd.img-6.1.0-18-amd64", "initrd.img-6.5"),
            "vmlinuz-6.1.0-18-amd64",
            "initrd.img-6.1.0-18-amd64",
        ),
        (("vmlinuz", "vmlinuz-6.1", "initrd.img", "initrd-6.1"), "vmlinuz", "initrd.img"),
        (
            ("debian-installer/amd64/linux", "debian-installer/amd64/initrd.gz", "version.info"),
            "debian-installer/amd64/linux",
            "debian-installer/amd64/initrd.gz",
        ),
        (
            (
                *("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"),
                *("isolinux/vmlinuz", "isolinux/initrd.img"),
            ),
            "images/pxeboot/vmlinuz",
            "images/pxeboot/initrd.img",
        ),
        (("linux", "initrd.gz", "old/linux", "old/initrd.gz"), "linux", "initrd.gz"),
        (("boot/vmlinuz", "boot/initrd", "tools/vmlinuz"), "boot/vmlinuz", "boot/initrd"),
    ],
)
def test_picked_by_name(files: tuple[str, ...], kernel: str, initrd: str) -> None:
    assert pick(files, NOTHING_SAID) == Picked(kernel, (initrd,))


def test_what_was_said_wins() -> None:
    files = ("linux", "initrd.gz", "custom.bin", "a.cpio", "b.cpio")
    said = Description(kernel="custom.bin", initrd=("b.cpio", "a.cpio"))
    assert pick(files, said) == Picked("custom.bin", ("b.cpio", "a.cpio"))


def test_a_kernel_that_needs_no_initrd() -> None:
    assert pick(("vmlinuz",), Description(initrd=())) == Picked("vmlinuz", ())


@pytest.mark.parametrize(
    ("files", "said", "problem"),
    [
        ((), NOTHING_SAID, "there is no kernel"),
        (("README",), NOTHING_SAID, "there is no kernel"),
        (("initrd.gz",), NOTHING_SAID, "there is no kernel, only an initrd"),
        (("linux",), NOTHING_SAID, "there is no initrd beside the kernel linux"),
        (("linux", "other/initrd.gz"), NOTHING_SAID, "no initrd beside"),
        (("vmlinuz-1", "vmlinuz-2", "initrd"), NOTHING_SAID, "2 files that may be the kernel"),
        (("linux", "initrd-1", "initrd-2"), NOTHING_SAID, "2 files that may be the initrd"),
        (
            ("a/amd64/linux", "a/amd64/initrd.gz", "a/arm64/linux", "a/arm64/initrd.gz"),
            NOTHING_SAID,
            "may be the kernel: a/amd64/linux, a/arm64/linux",
        ),
        (("linux", "initrd"), Description(kernel="vmlinuz"), "'vmlinuz' as kernel"),
        (("linux", "initrd"), Description(initrd=("x",)), "'x' as initrd"),
    ],
)
def test_what_cannot_be_picked(files: tuple[str, ...], said: Description, problem: str) -> None:
    with pytest.raises(ImageRejected, match=problem) as refusal:
        pick(files, said)
    assert refusal.value.cure


def test_names_in_the_tree_start_at_the_kernels_folder() -> None:
    picked = Picked("debian-installer/amd64/linux", ("debian-installer/amd64/initrd.gz", "fw.cpio"))
    assert names_in_tree(picked) == {
        "linux": "debian-installer/amd64/linux",
        "initrd.gz": "debian-installer/amd64/initrd.gz",
        "fw.cpio": "fw.cpio",
    }


@pytest.mark.parametrize(
    ("picked", "problem"),
    [
        (Picked("lin ux", ()), "cannot carry the file name 'lin ux'"),
        (Picked("linux", ("init${x}",)), "cannot carry"),
        (Picked("linux", ("initrd\udcff",)), "cannot carry the file name 'initrd\\?'"),
        (Picked("linux", ("--name",)), "cannot carry"),
        (Picked("linux", ("a/initrd", "b/initrd")), "cannot be told apart"),
        (Picked("linux", ("a/initrd", "b/INITRD")), "cannot be told apart"),
        (Picked("linux", ("initrd", "initrd")), "cannot be told apart"),
    ],
)
def test_names_that_cannot_be_in_the_tree(picked: Picked, problem: str) -> None:
    with pytest.raises(ImageRejected, match=problem):
        names_in_tree(picked)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("debian-installer/amd64/linux", "debian-installer/amd64/initrd.gz"), True),
        (("boot/vmlinuz", "boot/initrd"), True),
        (("my/own/linux", "my/own/initrd"), False),
        (("boot/vmlinuz", "live/initrd"), False),
        ((), False),
    ],
)
def test_layouts(files: tuple[str, ...], expected: bool) -> None:
    assert looks_bootable(files) is expected


def _pe(machine: int) -> bytes:
    header = bytearray(256)
    header[:2] = b"MZ"
    struct.pack_into("<I", header, 0x3C, 128)
    header[128:132] = b"PE\0\0"
    struct.pack_into("<H", header, 132, machine)
    return bytes(header)


def _elf(machine: int, *, big_endian: bool = False) -> bytes:
    order = 2 if big_endian else 1
    return (
        b"\x7fELF"
        + bytes([2, order])
        + bytes(12)
        + struct.pack(">H" if big_endian else "<H", machine)
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (make_bzimage(), "x86_64"),
        (make_bzimage(is_64_bit=False), "i386"),
        (_pe(0xAA64), "aarch64"),
        (_pe(0x5064), "riscv64"),
        (_pe(0x6264), "loongarch64"),
        (_pe(0x8664), "x86_64"),
        (_pe(0x9999), None),
        (bytes(0x38) + b"ARM\x64", "aarch64"),
        (bytes(0x30) + b"RISCV\0\0\0RSC\x05", "riscv64"),
        (bytes(0x24) + b"\x18\x28\x6f\x01", "arm"),
        (_elf(0x3E), "x86_64"),
        (_elf(0xB7), "aarch64"),
        (_elf(0x15, big_endian=True), None),
        (b"\x1f\x8b compressed", None),
        (b"MZ", None),
        (b"", None),
    ],
)
def test_architectures(header: bytes, expected: str | None) -> None:
    assert architecture_of(header) == expected


@given(st.binary(max_size=700))
def test_any_header_says_something_or_nothing(header: bytes) -> None:
    architecture_of(header)
    complete_size_of(header)


def test_an_x86_kernel_knows_its_size() -> None:
    kernel = make_bzimage(8192)
    # Its last paragraph of 16 bytes may have one.
    assert complete_size_of(kernel[:HEADER_BYTES]) == len(kernel) - 15
    assert complete_size_of(_pe(0xAA64)) is None


_PARTS = st.sampled_from(["linux", "vmlinuz-1", "initrd", "initrd-1.gz", "boot", "a b", "\udcff"])


@given(
    st.sets(st.lists(_PARTS, min_size=1, max_size=3).map("/".join), max_size=8),
    st.none() | st.lists(_PARTS, max_size=2).map(tuple),
)
def test_any_files_are_picked_from_or_refused(
    files: set[str], initrds: tuple[str, ...] | None
) -> None:
    looks_bootable(files)
    try:
        named = names_in_tree(pick(files, Description(initrd=initrds)))
    except ImageRejected:
        return
    assert set(named.values()) <= files
    assert all(" " not in name and name.isascii() for name in named)
