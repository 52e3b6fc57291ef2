"""Discs as programs make them: every file is where the index says, byte for byte."""

import os
from pathlib import Path

import pytest

from bootyard.model.errors import ImageRejected
from services.catalog.library.discs.index import DiscIndex
from services.catalog.library.discs.source import Source
from services.catalog.library.discs.udf import read_udf
from tests.catalog.discs.builders import (
    MIB,
    content,
    contents,
    extracted,
    files_of,
    genisoimage,
    make_folder,
    noise,
    read,
    run,
    xorriso,
)

LONG_NAME = "n" * 236 + ".txt"
LATIN_1 = b"latin1-\xe4.txt"
FILES: dict[str, int | bytes] = {
    "boot/vmlinuz-6.1": 300_000,
    "boot/initrd.img": 2_000_001,
    "live/filesystem.squashfs": 5 * MIB,
    ".disk/info": b"Debian GNU/Linux 12\n",
    "empty": b"",
    "also-empty": b"",
    "Case.txt": b"upper",
    "case.txt": b"lower",
    "a b & %41 + c.txt": b"blanks",
    "\u00fcml\u00e4ut/\u4f60\u597d.txt": b"names",
    LONG_NAME: b"long",
    "one/two/three/four/five/six/seven/eight/nine/ten/deep.txt": b"deep",
    "one/two/three/four/five/six/seven/eight/nine/other.txt": b"not so deep",
}
WINDOWS: dict[str, int | bytes] = {
    "README.TXT": b"This disc contains a UDF file system.\n",
    "bootmgr": 400_000,
    "bootmgr.efi": 1_500_000,
    "boot/bcd": 16_384,
    "efi/boot/bootx64.efi": 1_400_000,
    "sources/boot.wim": 20 * MIB + 77,
}


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders and discs of this module, made once."""
    return tmp_path_factory.mktemp("discs")


@pytest.fixture(scope="session")
def system(work: Path) -> Path:
    """A folder with every kind of name and entry."""
    folder = make_folder(work / "system", FILES)
    (folder / "vmlinuz").symlink_to("boot/vmlinuz-6.1")
    (folder / "debian").symlink_to(".")
    (folder / "boot/up").symlink_to("../live/filesystem.squashfs")
    (folder / "absolute").symlink_to("/boot/initrd.img")
    (folder / "kernels").symlink_to("boot")
    (folder / "dangling").symlink_to("nowhere/at/all")
    (folder / "outside").symlink_to("../../../etc/passwd")
    (folder / "circle").symlink_to("circle")
    os.link(folder / "boot/initrd.img", folder / "hardlink.img")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture(scope="session")
def windows(work: Path) -> Path:
    return make_folder(work / "windows", WINDOWS)


LINKS = {
    "vmlinuz": "boot/vmlinuz-6.1",
    "debian": "",
    "boot/up": "live/filesystem.squashfs",
    "absolute": "boot/initrd.img",
    "kernels": "boot",
}


def _check(disc: Path, index: DiscIndex, expected: dict[str, str]) -> None:
    assert contents(disc, index) == expected
    assert index.size == disc.stat().st_size


def test_rock_ridge_of_xorriso(work: Path, system: Path) -> None:
    disc = xorriso(work / "rr.iso", system, "-R", "-J", "-joliet-long", "-V", "Debian 12 n")
    index = read(disc)
    _check(disc, index, files_of(system))
    assert (index.tree, index.volume_id) == ("rock-ridge", "Debian 12 n")
    assert index.links == LINKS
    assert index.files["empty"] == ()
    assert contents(disc, index) == extracted(disc, work / "rr-extracted")
    assert sorted(index.notes) == [
        "1 of its entries is left out: neither a file nor a folder (devices, pipes)",
        "3 of its links are left out: they lead nowhere on it",
    ]


def test_rock_ridge_of_genisoimage_with_folders_that_it_moved(work: Path, system: Path) -> None:
    disc = genisoimage(work / "moved.iso", system, "-R", "-allow-limited-size")
    assert "RR_MOVED" in run("isoinfo", "-f", "-i", disc)
    index = read(disc)
    _check(disc, index, files_of(system))
    assert index.links == LINKS
    assert not [path for path in index.files if "rr_moved" in path.lower()]


def test_a_name_that_is_not_utf_8(work: Path) -> None:
    folder = make_folder(work / "latin1", {"boot/linux": 5000})
    Path(os.fsdecode(os.fsencode(folder) + b"/" + LATIN_1)).write_bytes(b"latin")
    disc = xorriso(work / "latin1.iso", folder, "-R", "-J")
    index = read(disc)
    assert content(disc, index, "latin1-\ufffd.txt") == b"latin"
    assert content(disc, index, "boot/linux") == noise("boot/linux", 5000)


def test_joliet(work: Path) -> None:
    names: dict[str, int | bytes] = {
        "boot/Long Name of a Kernel.img": 9000,
        "\u4f60\u597d.txt": b"you",
        "dot.": b"dot",
        "empty": b"",
    }
    folder = make_folder(work / "names", names)
    disc = genisoimage(work / "joliet.iso", folder, "-J", "-input-charset", "utf-8")
    index = read(disc)
    assert index.tree == "joliet"
    _check(disc, index, files_of(folder))


def test_plain_names(work: Path) -> None:
    folder = make_folder(work / "plain", {"boot/linux.bin": 5000, "readme": b"r", "x/y/z.txt": 10})
    disc = xorriso(work / "plain.iso", folder, "--norock")
    index = read(disc)
    assert index.tree == "iso9660"
    expected = {path.upper(): digest for path, digest in files_of(folder).items()}
    _check(disc, index, expected)


def test_udf_bridge(work: Path, windows: Path) -> None:
    disc = genisoimage(work / "bridge.iso", windows, "-udf", "-allow-limited-size", "-J")
    _check(disc, read(disc), files_of(windows))


def test_names_of_udf_go_before_plain_ones(work: Path) -> None:
    folder = make_folder(work / "long-names", {"boot/A long name of a kernel.img": 9000})
    disc = genisoimage(work / "long-names.iso", folder, "-udf", "-allow-limited-size")
    index = read(disc)
    assert index.tree == "udf"
    _check(disc, index, files_of(folder))


def test_a_tree_that_is_in_udf_only(work: Path, windows: Path) -> None:
    hidden = [w for name in ("sources", "boot", "efi", "bootmgr*") for w in ("-hide", name)]
    disc = genisoimage(work / "windows.iso", windows, "-udf", "-iso-level", "3", *hidden)
    index = read(disc)
    assert index.tree == "udf"
    _check(disc, index, files_of(windows))


def test_udf_with_every_kind_of_name_and_entry(work: Path, system: Path) -> None:
    disc = genisoimage(
        work / "udf.iso",
        system,
        *("-R", "-udf", "-iso-level", "3", "-hide", "live", "-allow-limited-size"),
        *("-input-charset", "utf-8"),
    )
    index = read(disc)
    assert index.tree == "udf"
    found = contents(disc, index)
    assert {path: found.get(path) for path in files_of(system)} == files_of(system)


def test_links_of_rock_ridge_are_no_reason_for_udf(work: Path, system: Path) -> None:
    disc = genisoimage(work / "both.iso", system, "-udf", "-R", "-allow-limited-size")
    index = read(disc)
    assert index.tree == "rock-ridge"
    assert index.links == LINKS


def test_the_last_session_counts(work: Path) -> None:
    folder = make_folder(work / "first", {"a.txt": b"first", "b.txt": b"stays"})
    disc = xorriso(work / "sessions.iso", folder, "-R", "-J")
    (work / "second.txt").write_bytes(b"second")
    run("xorriso", "-dev", disc, "-update", work / "second.txt", "/a.txt", "-commit")
    index = read(disc)
    assert content(disc, index, "a.txt") == b"second"
    assert content(disc, index, "b.txt") == b"stays"


def test_zisofs_is_left_out_and_said(work: Path) -> None:
    folder = make_folder(work / "zisofs", {"text.txt": b"a" * 200_000, "noise.bin": 4000})
    disc = work / "zisofs.iso"
    run(
        "xorriso",
        "-outdev",
        disc,
        "-map",
        folder,
        "/",
        "-set_filter_r",
        "--zisofs",
        "/text.txt",
        "--",
    )
    index = read(disc)
    assert list(index.files) == ["noise.bin"]
    assert any("zisofs" in note for note in index.notes)


def test_zisofs_only(work: Path) -> None:
    folder = make_folder(work / "zisofs-only", {"text.txt": b"a" * 200_000})
    disc = work / "zisofs-only.iso"
    run("xorriso", "-outdev", disc, "-map", folder, "/", "-set_filter_r", "--zisofs", "/", "--")
    with pytest.raises(ImageRejected, match="zisofs"):
        read(disc)


def test_udf_without_iso9660(work: Path) -> None:
    disc = work / "pure.udf"
    disc.write_bytes(bytes(8 * MIB))
    run("mkudffs", "--blocksize=2048", "--media-type=dvdram", disc)
    with pytest.raises(ImageRejected, match="only a UDF file system"):
        read(disc)


@pytest.mark.parametrize(
    ("media", "revision"),
    [("dvd", "1.02"), ("dvdram", "2.01"), ("dvdrw", "1.50"), ("cdrw", "2.01"), ("cdr", "2.60")],
)
def test_udf_for_every_kind_of_media(tmp_path: Path, media: str, revision: str) -> None:
    disc = tmp_path / "empty.udf"
    disc.touch()
    os.truncate(disc, 40 * MIB)
    run("mkudffs", "--blocksize=2048", f"--media-type={media}", f"--udfrev={revision}", disc)
    data = disc.read_bytes()
    source = Source(lambda offset, length: data[offset : offset + length], len(data))
    if media == "cdr":
        with pytest.raises(ImageRejected, match="UDF Virtual Partition"):
            read_udf(source)
    else:
        assert set(read_udf(source).files) <= {"Non-Allocatable Space"}


def test_a_hybrid_disc_and_its_boot_images(work: Path) -> None:
    folder = make_folder(work / "hybrid", {"isolinux/isolinux.bin": 24_576, "boot/linux": 70_000})
    efi = folder / "boot/efi.img"
    efi.write_bytes(bytes(40 * MIB))
    mbr = work / "mbr.bin"
    mbr.write_bytes(noise("mbr", 432))
    disc = xorriso(
        work / "hybrid.iso",
        folder,
        *("-R", "-J", "-isohybrid-mbr", mbr, "-b", "isolinux/isolinux.bin", "-c", "boot/boot.cat"),
        *("-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-eltorito-alt-boot"),
        *("-e", "boot/efi.img", "-no-emul-boot", "-isohybrid-gpt-basdat"),
    )
    assert disc.read_bytes()[510:512] == b"\x55\xaa"
    index = read(disc)
    bios, uefi = index.boot
    assert (bios.platform, bios.emulation, bios.length) == ("bios", "none", 2048)
    assert (uefi.platform, uefi.emulation) == ("efi", "none")
    # 40 MiB are more than the catalogue can count.
    assert ((uefi.offset, uefi.length),) == index.files["boot/efi.img"]
    assert index.files["isolinux/isolinux.bin"][0][0] == bios.offset
    assert content(disc, index, "boot/linux") == noise("boot/linux", 70_000)
    cut = work / "hybrid-cut.iso"
    cut.write_bytes(disc.read_bytes()[: 20 * MIB])
    with pytest.raises(ImageRejected, match="not complete"):
        read(cut)


def test_floppy_emulation(work: Path) -> None:
    folder = make_folder(work / "floppy", {"boot/floppy.img": 1_474_560, "readme.txt": b"r"})
    disc = genisoimage(work / "floppy.iso", folder, "-b", "boot/floppy.img", "-c", "boot/boot.cat")
    (image,) = read(disc).boot
    assert (image.platform, image.emulation, image.length) == ("bios", "floppy", 1_474_560)
    assert disc.read_bytes()[image.offset :][: image.length] == noise("boot/floppy.img", 1_474_560)


@pytest.mark.parametrize("length", [400_000, 40_000, 33_000, 2_000, 0])
def test_a_disc_that_is_cut_off(work: Path, length: int) -> None:
    whole = work / "whole.iso"
    if not whole.exists():
        xorriso(whole, make_folder(work / "whole", {"a": 900_000, "b/c": 10}), "-R", "-J")
    cut = work / f"cut-{length}.iso"
    cut.write_bytes(whole.read_bytes()[:length])
    with pytest.raises(ImageRejected, match="copy or download it again"):
        read(cut)


def test_padding_that_was_not_copied_is_no_problem(work: Path) -> None:
    disc = xorriso(work / "padded.iso", make_folder(work / "padded", {"a": 900_000}), "-R", "-J")
    index = read(disc)
    last = max(offset + length for extents in index.files.values() for offset, length in extents)
    cut = work / "without-padding.iso"
    cut.write_bytes(disc.read_bytes()[:last])
    assert read(cut).files == index.files
    cut.write_bytes(disc.read_bytes()[: last - 1])
    with pytest.raises(ImageRejected, match="a lies beyond its end"):
        read(cut)
