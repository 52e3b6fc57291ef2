"""Images that no recipe knows."""

import re
from collections.abc import Mapping

import pytest

from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import TargetKind
from services.catalog.library.description import Description
from services.catalog.library.recipes.disc_words import without_disc_words
from services.catalog.library.recipes.fallback import MAX_STARTS
from tests.catalog.images import KERNEL
from tests.catalog.recipes.trees import MIB, MemoryTree, initrd, recognise

ZSTD = b"\x28\xb5\x2f\xfd" + bytes(100)


def _disc(
    ramdisk: bytes,
    line: str,
    more: Mapping[str, bytes | int] = {},
    size: int = 2000 * MIB,
) -> MemoryTree:
    files: dict[str, bytes | int] = {
        "sys/vmlinuz": KERNEL,
        "sys/initrd.img": ramdisk,
        "boot/grub/grub.cfg": (
            f"menuentry 'Unknown OS' {{\nlinux /sys/vmlinuz {line}\ninitrd /sys/initrd.img\n}}\n"
            f"menuentry 'Unknown OS, safe' {{\nlinux /sys/vmlinuz {line} nomodeset\n"
            "initrd /sys/initrd.img\n}\n"
        ).encode(),
    }
    return MemoryTree({**files, **more}, size=size, name="unknown-os-3.1")


@pytest.mark.parametrize(
    ("ramdisk", "line", "more", "expected"),
    [
        (
            initrd("scripts/casper"),
            "file=/cdrom/preseed/x.seed boot=casper quiet ---",
            {},
            "quiet boot=casper netboot=url ip=dhcp url={iso}",
        ),
        (
            ZSTD,
            "boot=casper quiet",
            {},
            "quiet boot=casper netboot=url ip=dhcp url={iso}",
        ),
        (
            initrd("lib/live/boot/0010-x"),
            "boot=live findiso=/x.iso quiet",
            {"live/filesystem.squashfs": MIB},
            "quiet boot=live components fetch={tree}/live/filesystem.squashfs ip=dhcp",
        ),
        (
            initrd("hooks/archiso", "hooks/archiso_pxe_http"),
            "archisobasedir=odd archisolabel=ODD_1 quiet",
            {},
            "quiet archisobasedir=odd archiso_http_srv={tree}/ ip=dhcp",
        ),
        (
            initrd("usr/lib/dracut/hooks/x", "usr/sbin/livenetroot"),
            "root=live:CDLABEL=ODD rd.live.image quiet",
            {"odd/root.squashfs": MIB},
            "quiet root=live:{tree}/odd/root.squashfs rd.live.image ip=dhcp rd.neednet=1",
        ),
        (
            initrd("usr/lib/dracut/hooks/x", "usr/sbin/livenetroot"),
            "root=live:CDLABEL=ODD quiet",
            {},
            "quiet root=live:{iso} rd.live.image ip=dhcp rd.neednet=1",
        ),
        (
            initrd("usr/lib/anaconda-lib.sh", "usr/lib/dracut/hooks/x"),
            "inst.stage2=hd:LABEL=ODD quiet",
            {},
            "quiet inst.stage2={tree} ip=dhcp",
        ),
    ],
)
def test_a_known_kind_of_initrd_fetches_the_rest(
    ramdisk: bytes, line: str, more: dict[str, bytes | int], expected: str
) -> None:
    found = recognise(_disc(ramdisk, line, more))
    assert (found.recipe, found.status) == ("own-menu", "guess")
    assert found.targets[0].command_line == expected
    assert found.targets[0].is_guess
    assert [target.id for target in found.targets] == ["img", "img/unknown-os-safe"]
    assert found.targets[1].title == f"{found.title} (Unknown OS, safe)"
    assert "nomodeset" in found.targets[1].command_line.split()
    assert found.evidence[0] == "boot/grub/grub.cfg offers 'Unknown OS'"


@pytest.mark.parametrize(
    ("ramdisk", "line", "reason"),
    [
        (initrd("hooks/archiso"), "archisobasedir=x", "archiso without its HTTP hook"),
        (initrd("usr/lib/dracut/hooks/x"), "root=live:CDLABEL=X", "dracut without livenet"),
        (initrd("usr/lib/debian-installer/retriever/cdrom-retriever"), "", "installer's for discs"),
        (initrd("init"), "boot=live", "not known how its initrd finds the rest"),
        (initrd("lib/live/boot/a"), "boot=live", "no live/.*squashfs"),
        (ZSTD, "quiet", "not looked into: it is packed with zstd"),
    ],
)
def test_an_initrd_that_cannot_fetch_is_said_with_the_cure(
    ramdisk: bytes, line: str, reason: str
) -> None:
    found = recognise(_disc(ramdisk, line))
    (target,) = found.targets
    assert (found.recipe, target.loader, target.kernel) == ("whole-disc", "sanboot", "")
    assert target.is_guess
    assert target.kind is TargetKind.INSTALLER
    assert any(re.search(reason, note) for note in found.notes)


def test_a_small_disc_may_be_all_in_its_initrd() -> None:
    found = recognise(_disc(initrd("init", "bin/sh"), "root=/dev/ram0 quiet", size=90 * MIB))
    assert found.targets[0].command_line == "root=/dev/ram0 quiet"
    assert "start as they are" in found.evidence[1]


def test_without_menus_names_tell() -> None:
    tree = MemoryTree(
        {"x/vmlinuz": KERNEL, "x/initrd.gz": initrd("init")}, size=50 * MIB, name="tool"
    )
    found = recognise(tree)
    assert (found.recipe, found.targets[0].kernel) == ("own-menu", "x/vmlinuz")
    assert found.evidence[0] == "its files are named like a kernel and its initrd"


def test_a_disc_without_a_kernel_is_offered_as_a_disk() -> None:
    found = recognise(MemoryTree({"AUTOEXEC.BAT": 10}, size=3 * MIB, name="freedos-1.4"))
    assert (found.recipe, found.status, found.title) == ("whole-disc", "guess", "freedos-1.4")
    assert (found.targets[0].loader, found.files) == ("sanboot", ())


def test_a_folder_without_a_kernel_is_refused_with_the_cure() -> None:
    with pytest.raises(ImageRejected, match="no kernel") as refusal:
        recognise(MemoryTree({"a.txt": 10}, container="folder"))
    assert "image.toml" in refusal.value.cure


def test_answers_in_an_own_menu_make_it_unattended() -> None:
    found = recognise(_disc(initrd("scripts/casper"), "autoinstall"))
    assert found.kind is TargetKind.UNATTENDED
    assert all(target.kind is TargetKind.UNATTENDED for target in found.targets)


def test_many_entries_are_not_all_offered_and_have_ids_of_their_own() -> None:
    entry = "menuentry 'Same' {{\nlinux /sys/vmlinuz n={}\ninitrd /sys/initrd.img\n}}\n"
    config = "".join(entry.format(i) for i in range(30))
    tree = _disc(initrd("init"), "", {"boot/grub/grub.cfg": config.encode()}, MIB)
    found = recognise(tree)
    assert len(found.targets) == MAX_STARTS
    assert len({target.id for target in found.targets}) == MAX_STARTS


def test_labels_and_titles_are_made_printable() -> None:
    tree = _disc(initrd("init"), "", size=MIB)
    tree.name = "we\x1bird\n\u202ename" + "x" * 500
    found = recognise(tree)
    assert found.title.isprintable()
    assert len(found.title) <= 140
    assert all(note.isprintable() for note in (*found.notes, *found.evidence))


def test_names_that_scripts_cannot_carry() -> None:
    tree = MemoryTree(
        {"live/vmlinuz": KERNEL, "live/initrd img": MIB, "live/filesystem.squashfs": 9}
    )
    with pytest.raises(ImageRejected, match="cannot carry the file name"):
        recognise(tree)


def test_a_value_that_a_script_cannot_carry_is_refused() -> None:
    tree = MemoryTree(
        {
            "a{iso}b/boot/x86_64/vmlinuz-linux": KERNEL,
            "a{iso}b/boot/x86_64/initramfs-linux.img": MIB,
            "a{iso}b/x86_64/airootfs.sfs": MIB,
        }
    )
    with pytest.raises(ImageRejected, match="cannot carry"):
        recognise(tree)


def test_a_description_repairs_a_guess() -> None:
    said = Description(cmdline="root=live:{tree}/x.img ip=dhcp", kind=TargetKind.LIVE, title="X")
    found = recognise(_disc(initrd("init"), "quiet", size=MIB), said)
    assert (found.title, found.kind) == ("X", TargetKind.LIVE)
    assert found.targets[0].command_line == "root=live:{tree}/x.img ip=dhcp"


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("root=live:CDLABEL=X rd.live.image quiet", "quiet"),
        ("archisobasedir=arch archisosearchuuid=1 copytoram", "copytoram"),
        ("boot=casper iso-scan/filename=/x.iso quiet splash ---", "quiet splash"),
        ("quiet --- splash", "quiet --- splash"),
        ("", ""),
    ],
)
def test_words_that_name_a_disc(line: str, left: str) -> None:
    assert without_disc_words(line) == left
