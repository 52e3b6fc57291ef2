"""What a person said about an image wins over its recipe."""

import pytest

from bootyard.model.architecture import Firmware
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import SignedChain, TargetKind
from services.catalog.library.description import ChainSaid, Description
from tests.catalog.efi_programs import SHIM, grub_of, kernel_of
from tests.catalog.images import KERNEL
from tests.catalog.recipes.miniatures import MINIATURES
from tests.catalog.recipes.trees import MIB, MemoryTree, recognise


def test_names_and_kind() -> None:
    said = Description(
        title="Our Rocky",
        family="Ours",
        version="9",
        kind=TargetKind.TOOL,
        architectures=("aarch64",),
    )
    found = recognise(MINIATURES["rocky"], said)
    assert (found.title, found.family, found.version) == ("Our Rocky", "ours", "9")
    assert (found.kind, found.architectures) == (TargetKind.TOOL, ("aarch64",))
    assert [target.title for target in found.targets[:2]] == ["Our Rocky", "Our Rocky (text mode)"]
    assert {target.kind for target in found.targets} == {TargetKind.TOOL}


def test_words_are_appended_to_every_way_to_boot() -> None:
    found = recognise(MINIATURES["rocky"], Description(cmdline_append="console=ttyS0"))
    assert all(t.command_line.endswith(" console=ttyS0") for t in found.targets)
    assert found.targets[0].command_line == "inst.repo={tree} ip=dhcp console=ttyS0"


def test_a_command_line_is_the_first_ones() -> None:
    said = Description(cmdline="inst.stage2={tree} initrd=x", cmdline_append="quiet")
    found = recognise(MINIATURES["rocky"], said)
    assert found.targets[0].command_line == "inst.stage2={tree} quiet"
    assert found.targets[1].command_line == "inst.repo={tree} ip=dhcp inst.text quiet"
    assert any("'initrd=x' is left out" in note for note in found.notes)


@pytest.mark.parametrize("words", ["a || b", "${net0/mac}", "#comment", "x" * 2001])
def test_words_that_no_script_carries_are_refused(words: str) -> None:
    with pytest.raises(ImageRejected, match="command line"):
        recognise(MINIATURES["rocky"], Description(cmdline_append=words))


def test_answers_make_a_target_unattended_whatever_was_said() -> None:
    said = Description(cmdline_append="inst.ks=http://192.0.2.1/ks.cfg", kind=TargetKind.INSTALLER)
    found = recognise(MINIATURES["rocky"], said)
    assert {target.kind for target in found.targets} == {TargetKind.UNATTENDED}
    assert any("listed as unattended, not installer" in note for note in found.notes)


def test_kernel_and_initrds() -> None:
    said = Description(kernel="isolinux/vmlinuz", initrd=("ISOLINUX/initrd.img",))
    found = recognise(MINIATURES["rocky"], said)
    for target in found.targets:
        assert (target.kernel, target.initrds) == ("isolinux/vmlinuz", ("isolinux/initrd.img",))
    assert found.files[:2] == ("isolinux/vmlinuz", "isolinux/initrd.img")


def test_a_kernel_takes_only_the_place_of_the_same_one() -> None:
    tree = MINIATURES["ubuntu-server"]
    found = recognise(tree, Description(kernel="casper/hwe-vmlinuz"))
    assert [target.kernel for target in found.targets] == ["casper/hwe-vmlinuz"] * 2
    found = recognise(tree, Description(initrd=()))
    assert [target.initrds for target in found.targets] == [(), ("casper/hwe-initrd",)]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (Description(kernel="none"), "names 'none' as kernel"),
        (Description(initrd=("none",)), "names 'none' as initrd"),
        (Description(initrd=("isolinux/initrd.img", "images/pxeboot/initrd.img")), "told apart"),
        (Description(secureboot=ChainSaid("none", "x")), "names 'none' as shim"),
    ],
)
def test_files_that_are_not_there(said: Description, problem: str) -> None:
    with pytest.raises(ImageRejected, match=problem):
        recognise(MINIATURES["rocky"], said)


def test_a_named_kernel_boots_a_disc_that_its_recipe_refuses() -> None:
    said = Description(
        kernel="install.amd/vmlinuz", initrd=("install.amd/initrd.gz",), cmdline="priority=low"
    )
    found = recognise(MINIATURES["debian-installer-disc"], said)
    (target,) = found.targets
    assert (found.recipe, found.status, found.kind) == ("kernel-initrd", "unverified", "installer")
    assert (target.kernel, target.command_line) == ("install.amd/vmlinuz", "priority=low")
    assert found.title == "Debian 12.9.0 amd64 netinst installer"


def test_a_named_kernel_takes_the_initrd_beside_it() -> None:
    tree = MemoryTree({"x/vmlinuz": KERNEL, "x/initrd.img": MIB, "y/vmlinuz": KERNEL})
    found = recognise(tree, Description(kernel="x/vmlinuz"))
    assert found.targets[0].initrds == ("x/initrd.img",)


def test_a_named_chain_goes_before_the_recipes() -> None:
    tree = MemoryTree(
        {
            "images/pxeboot/vmlinuz": kernel_of("Red Hat Inc."),
            "images/pxeboot/initrd.img": MIB,
            ".treeinfo": b"[general]\nfamily = Red Hat Enterprise Linux\nversion = 9.5\n",
            "EFI/BOOT/BOOTX64.EFI": SHIM,
            "EFI/BOOT/grubx64.efi": grub_of("Red Hat Inc."),
            "own/shim.efi": SHIM,
            "own/grubx64.efi": grub_of("Somebody"),
        }
    )
    own = SignedChain(shim="EFI/BOOT/BOOTX64.EFI", grub="EFI/BOOT/grubx64.efi")
    assert recognise(tree).targets[0].chains == (own,)
    said = Description(secureboot=ChainSaid("own/shim.efi", "own/grubx64.efi", Firmware.UEFI_X64))
    found = recognise(tree, said)
    assert found.targets[0].chains == (SignedChain(shim="own/shim.efi", grub="own/grubx64.efi"),)
    assert {"own/shim.efi", "own/grubx64.efi"} <= {*found.files}


def test_a_chain_of_another_vendor_is_left_out() -> None:
    tree = MemoryTree(
        {
            "images/pxeboot/vmlinuz": kernel_of("Red Hat Inc."),
            "images/pxeboot/initrd.img": MIB,
            ".treeinfo": b"[general]\nfamily = Red Hat Enterprise Linux\nversion = 9.5\n",
            "EFI/BOOT/BOOTX64.EFI": SHIM,
            "EFI/BOOT/grubx64.efi": grub_of("Fedora Project"),
        }
    )
    found = recognise(tree)
    assert found.targets[0].chains == ()
    assert "EFI/BOOT/grubx64.efi" not in found.files


@pytest.mark.parametrize(
    ("kernel", "problem"), [(0, "vmlinuz is empty"), (KERNEL[:1000], "cut off")]
)
def test_files_that_were_copied_in_part(kernel: bytes | int, problem: str) -> None:
    files: dict[str, bytes | int] = {
        "live/vmlinuz": kernel,
        "live/initrd.img": MIB,
        "live/filesystem.squashfs": MIB,
    }
    with pytest.raises(ImageRejected, match=problem):
        recognise(MemoryTree(files))
