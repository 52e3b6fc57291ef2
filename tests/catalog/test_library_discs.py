"""ISO files in the library: listed, bootable from where they lie, replaced, and wrong ones."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bootyard.model.snapshot import Root, TargetKind
from services.catalog.library.image import LibraryImage
from services.catalog.library.library import QUIET_SECONDS
from tests.catalog.discs.builders import make_folder, noise, xorriso
from tests.catalog.http_catalog import NUC, NUC_IP, Running, running_catalog
from tests.catalog.images import INITRD, KERNEL, LibraryAtHand, make_bzimage, open_database

SQUASHFS = 300_000
DEBIAN_LIVE: dict[str, int | bytes] = {
    "live/vmlinuz": KERNEL,
    "live/initrd.img": INITRD,
    "live/filesystem.squashfs": SQUASHFS,
    ".disk/info": b'Debian GNU/Linux 13.1.0 "Trixie" - Official amd64 LIVE Binary\n',
    "pool/Names with blanks.deb": 5000,
}


def live_iso(path: Path, **changed: bytes) -> Path:
    """Make a miniature of a Debian live ISO; `changed` has other kernels and so on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.with_suffix(".folder")
    names = {"kernel": "live/vmlinuz", "squashfs": "live/filesystem.squashfs"}
    make_folder(folder, DEBIAN_LIVE | {names[key]: data for key, data in changed.items()})
    disc = xorriso(path.with_suffix(".iso.part"), folder, "-R", "-J", "-V", "d-live 13.1")
    shutil.rmtree(folder)
    return disc.rename(path)


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[LibraryAtHand]:
    database = open_database(tmp_path)
    yield LibraryAtHand(tmp_path, database)
    database.close()


async def only(hand: LibraryAtHand) -> LibraryImage:
    (image,) = (await hand.settle()).images
    return image


async def test_a_live_iso_is_bootable_from_where_it_lies(hand: LibraryAtHand) -> None:
    iso = live_iso(hand.images_dir / "sub" / "My Debian.iso")
    image = await only(hand)
    assert (image.id, image.state, image.problem) == ("my-debian", "ready", None)
    assert (image.recipe, image.kind, image.family) == ("debian-live", TargetKind.LIVE, "debian")
    assert image.architectures == ("x86_64",)
    assert image.size_bytes == iso.stat().st_size
    assert image.evidence
    (target,) = image.targets
    assert target.kernel == "live/vmlinuz"
    assert target.initrds == ("live/initrd.img",)
    assert "fetch={tree}/live/filesystem.squashfs" in target.command_line
    assert {(s.root, s.path) for s in image.files.values()} == {(Root.IMAGES, "sub/My Debian.iso")}
    [(offset, length)] = image.files["live/vmlinuz"].extents
    assert iso.read_bytes()[offset : offset + length] == KERNEL
    assert image.whole is not None
    assert image.whole.size == iso.stat().st_size
    assert not list(hand.derived_dir.glob("*"))


async def test_a_description_beside_it_wins(hand: LibraryAtHand) -> None:
    live_iso(hand.images_dir / "live.iso")
    (hand.images_dir / "live.toml").write_text(
        'title = "Rescue"\ncmdline_append = "toram"\nkind = "tool"\n'
    )
    image = await only(hand)
    assert (image.title, image.kind) == ("Rescue", TargetKind.TOOL)
    assert image.targets[0].command_line.endswith(" toram")


async def test_it_is_indexed_once_and_hashed_in_the_background(
    hand: LibraryAtHand, tmp_path: Path
) -> None:
    iso = live_iso(hand.images_dir / "live.iso")
    image = await only(hand)
    assert image.sha256 is None
    assert await hand.library.hash_next()
    assert not await hand.library.hash_next()
    hashed = await only(hand)
    assert hashed.sha256 == hashlib.sha256(iso.read_bytes()).hexdigest()
    assert hashed.revision == image.revision
    [index] = (tmp_path / "catalog" / "discs").iterdir()
    made = index.stat().st_mtime_ns
    again = LibraryAtHand(tmp_path, hand.library._database)
    assert (await only(again)) == hashed
    assert index.stat().st_mtime_ns == made


async def test_another_iso_of_the_name_is_another_revision(hand: LibraryAtHand) -> None:
    iso = live_iso(hand.images_dir / "live.iso")
    before = await only(hand)
    live_iso(iso.with_name("other.iso"), kernel=make_bzimage(8192)).replace(iso)
    after = await only(hand)
    assert (before.revision, after.revision) == (1, 2)
    assert before.files["live/vmlinuz"].fingerprint != after.files["live/vmlinuz"].fingerprint


async def test_renamed_and_removed(hand: LibraryAtHand) -> None:
    iso = live_iso(hand.images_dir / "live.iso")
    await only(hand)
    iso = iso.rename(iso.with_name("renamed.iso"))
    assert (await only(hand)).id == "renamed"
    iso.unlink()
    assert (await hand.settle()).images == ()


async def test_a_copy_under_way_is_waited_for(hand: LibraryAtHand) -> None:
    iso = live_iso(hand.images_dir / "live.iso")
    whole = iso.read_bytes()
    iso.write_bytes(whole[: len(whole) // 2])
    library = await hand.settle()
    await library.work_next()
    await library.look()
    assert (library.images, library.waiting) == ((), ("live.iso",))
    with iso.open("ab") as copy:
        copy.write(whole[len(whole) // 2 :])
    await library.look()
    assert library.waiting == ("live.iso",)
    hand.clock.now += QUIET_SECONDS
    assert (await only(hand)).is_ready


async def test_a_truncated_iso_is_said(hand: LibraryAtHand) -> None:
    iso = live_iso(hand.images_dir / "live.iso")
    os.truncate(iso, iso.stat().st_size // 2)
    old = iso.stat().st_mtime - 3600
    os.utime(iso, (old, old))
    image = await only(hand)
    assert image.state == "problem"
    assert "not complete" in (image.problem or "")
    assert "copy" in (image.cure or "")


async def test_a_kernel_that_is_cut_off_inside_is_said(hand: LibraryAtHand) -> None:
    live_iso(hand.images_dir / "live.iso", kernel=KERNEL[:2000])
    image = await only(hand)
    assert "cut off" in (image.problem or "")


@pytest.mark.parametrize(
    ("name", "header", "loader", "recipe"),
    [
        ("shell.efi", b"MZ" + bytes(0x3A) + b"\x40\0\0\0PE\0\0\x64\x86", "efi", "efi-program"),
        ("disk.img", bytes(510) + b"\x55\xaa" + b"EFI PART".ljust(512), "sanboot", "disk-image"),
        ("own.ipxe", b"#!ipxe\nshell\n", "script", "ipxe-script"),
        ("boot.wim", b"MSWIM\0\0\0", "wimboot", "wim"),
    ],
)
async def test_other_single_files(
    hand: LibraryAtHand, name: str, header: bytes, loader: str, recipe: str
) -> None:
    hand.images_dir.mkdir()
    (hand.images_dir / name).write_bytes(header)
    image = await only(hand)
    (target,) = image.targets
    assert (image.state, image.recipe, target.loader) == ("ready", recipe, loader)
    assert image.kind is TargetKind.INSTALLER
    assert name in image.files


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Running]:
    live_iso(tmp_path / "images" / "live.iso")
    os.utime(tmp_path / "images" / "live.iso", (0, 0))
    async with running_catalog(tmp_path) as running:
        await running.catalog.library.work_next()
        await running.look()
        yield running


async def status_of(running: Running, path: str) -> int:
    async with running.client(NUC_IP) as client, client.get(f"/tree/{path}") as got:
        return got.status


async def test_the_whole_iso_and_every_file_inside(catalog: Running) -> None:
    iso = (catalog.images_dir / "live.iso").read_bytes()
    assert await catalog.take(NUC_IP, "images/live.iso") == iso
    assert await catalog.take(NUC_IP, "images/live@1.iso") == iso
    squashfs = noise("live/filesystem.squashfs", SQUASHFS)
    for path in (
        "images/live/iso/live/filesystem.squashfs",
        "images/live@1/iso/live/filesystem.squashfs",
        "images/live@1/iso/LIVE/FILESYSTEM.SQUASHFS",
    ):
        assert await catalog.take(NUC_IP, path) == squashfs
    assert b"Trixie" in await catalog.take(NUC_IP, "images/live/iso/.disk/info")
    blanks = await catalog.take(NUC_IP, "images/live/iso/pool/Names%20with%20blanks.deb")
    assert blanks == noise("pool/Names with blanks.deb", 5000)
    assert await catalog.take(NUC_IP, "images/live/live/vmlinuz") == KERNEL


async def test_what_is_not_there_is_a_plain_404(catalog: Running) -> None:
    for path in (
        "images/live@2.iso",
        "images/other.iso",
        "images/live/iso/.treeinfo",
        "images/live/iso",
        "images/live/iso/",
        "images/live/iso/live",
        "images/live@2/iso/live/vmlinuz",
        "images/live/iso/../live.iso",
        "images/live/iso/%ff",
        f"images/live/iso/{'x/' * 1500}x",
    ):
        assert await status_of(catalog, path) == 404, path


async def test_a_script_names_the_address_of_the_tree(catalog: Running) -> None:
    script = await catalog.script(NUC_IP, NUC)
    address = f"{catalog.url}/tree/images/live@1/iso/live/filesystem.squashfs"
    port = catalog.settings.http_port
    wanted = f"fetch=http://127.0.0.1:{port}{address.removeprefix(catalog.url)}"
    assert wanted in script
    assert "{tree}" not in script


async def test_an_iso_that_is_replaced_is_never_mixed(catalog: Running) -> None:
    iso = catalog.images_dir / "live.iso"
    live_iso(iso.with_name("other.iso"), squashfs=b"other" * 1000).replace(iso)
    assert await status_of(catalog, "images/live@1/iso/live/filesystem.squashfs") == 404
    await asyncio.sleep(0)
