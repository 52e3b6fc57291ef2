"""The library: what is listed of what lies in IMAGES_DIR, good and bad."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootyard.model.errors import RequestRefused
from bootyard.model.snapshot import Fingerprint, Root, TargetKind
from services.catalog.database import Database
from services.catalog.library import library as library_module
from services.catalog.library.derived import DerivedStore
from services.catalog.library.image import LibraryImage
from services.catalog.library.library import QUIET_SECONDS, Library
from services.catalog.library.look import MAX_DEPTH, Unreachable
from services.catalog.library.recipes.schema import Recipes
from services.catalog.library.recognise import Material, recognise
from tests.catalog.images import (
    INITRD,
    KERNEL,
    LibraryAtHand,
    make_bzimage,
    make_folder,
    make_tarball,
    open_database,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path)
    yield database
    database.close()


@pytest.fixture
async def hand(tmp_path: Path, database: Database) -> LibraryAtHand:
    return LibraryAtHand(tmp_path, database)


async def _only(hand: LibraryAtHand) -> LibraryImage:
    (image,) = (await hand.settle()).images
    assert image.is_ready == (image.problem is None) == (image.cure is None)
    assert image.is_ready == bool(image.targets) == bool(image.files) == bool(image.revision)
    return image


async def test_a_directory_that_does_not_exist_or_is_empty(hand: LibraryAtHand) -> None:
    assert (await hand.settle()).images == ()
    hand.images_dir.mkdir()
    (hand.images_dir / ".gitkeep").touch()
    assert (await hand.settle()).images == ()
    assert hand.library.looked.is_set()


async def test_a_plain_folder(hand: LibraryAtHand) -> None:
    folder = make_folder(hand.images_dir)
    image = await _only(hand)
    assert (image.id, image.title, image.family, image.version) == (
        *("debian-12", "Debian 12 installer"),
        *("debian", "12"),
    )
    assert (image.kind, image.architectures, image.recipe) == (
        *(TargetKind.INSTALLER, ("x86_64",)),
        "debian-netboot",
    )
    assert image.size_bytes == len(KERNEL) + len(INITRD)
    status = (folder / "linux").stat()
    kernel = image.files["linux"]
    assert (kernel.root, kernel.path) == (Root.IMAGES, "debian-12/linux")
    assert kernel.extents == ((0, len(KERNEL)),)
    assert kernel.fingerprint == Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino)
    (target,) = image.targets
    assert (target.id, target.kernel, target.initrds) == ("debian-12", "linux", ("initrd.gz",))
    assert hand.library.targets == {"debian-12": target}


async def test_a_described_folder(hand: LibraryAtHand) -> None:
    make_folder(
        hand.images_dir,
        "My Rescue",
        'title = "Rescue"\nkind = "live"\ncmdline = "quiet"\ncmdline_append = "console=ttyS0"\n'
        'kernel = "k"\ninitrd = ["b", "a"]\narchitectures = ["arm64"]\nfamily = "Mine"',
        k=b"kernel",
        a=b"a",
        b=b"b",
    )
    image = await _only(hand)
    (target,) = image.targets
    assert (image.id, image.title, image.family) == ("my-rescue", "Rescue", "mine")
    assert image.architectures == ("aarch64",)
    assert (target.kind, target.command_line) == (TargetKind.LIVE, "quiet console=ttyS0")
    assert (target.kernel, target.initrds) == ("k", ("b", "a"))
    assert "image.toml" not in image.files


async def test_what_lies_beside_is_served_too(hand: LibraryAtHand) -> None:
    folder = make_folder(hand.images_dir)
    (folder / "live").mkdir()
    (folder / "live" / "filesystem.squashfs").write_bytes(b"root")
    (folder / ".secret").write_bytes(b"")
    assert set((await _only(hand)).files) == {"linux", "initrd.gz", "live/filesystem.squashfs"}


async def test_too_many_files_beside(hand: LibraryAtHand) -> None:
    folder = make_folder(hand.images_dir)
    (folder / "pool").mkdir()
    for number in range(300):
        (folder / "pool" / f"{number}.deb").touch()
    image = await _only(hand)
    assert set(image.files) == {"linux", "initrd.gz"}
    assert "300 files" in image.notes[0]


async def test_a_tarball(hand: LibraryAtHand) -> None:
    path = make_tarball(hand.images_dir / "netboot.tar.gz")
    image = await _only(hand)
    assert (image.id, image.title, image.version) == ("netboot", "Debian 12 installer", "12")
    assert image.size_bytes == path.stat().st_size
    assert image.sha256 is not None
    assert image.files["linux"].root is Root.DERIVED
    assert (hand.derived_dir / image.files["linux"].path).read_bytes() == KERNEL


async def test_a_described_tarball(hand: LibraryAtHand) -> None:
    make_tarball(hand.images_dir / "deb.tar.gz")
    (hand.images_dir / "deb.toml").write_text('title = "Mine"\ncmdline_append = "auto=true"')
    image = await _only(hand)
    assert (image.title, image.kind) == ("Mine", TargetKind.UNATTENDED)


async def test_sub_folders(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir / "installers" / "old", "debian-11")
    make_tarball(hand.images_dir / "installers" / "netboot.tar.gz")
    images = (await hand.settle()).images
    assert {image.id: image.path for image in images} == {
        "netboot": "installers/netboot.tar.gz",
        "debian-11": "installers/old/debian-11",
    }


async def test_an_unpacked_tarball_is_one_image(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir / "debian-12" / "debian-installer", "amd64")
    image = await _only(hand)
    assert (image.id, image.recipe) == ("debian-12", "debian-netboot")
    assert image.files["linux"].path == "debian-12/debian-installer/amd64/linux"


async def test_the_architecture_by_path_when_the_kernel_does_not_say(hand: LibraryAtHand) -> None:
    make_folder(
        hand.images_dir / "debian-12" / "debian-installer", "arm64", linux=b"?", initrd__gz=b"?"
    )
    assert (await _only(hand)).architectures == ("aarch64",)


@pytest.mark.parametrize("said", ["", 'kind = "live"', 'kind = "tool"', 'kind = "installer"'])
async def test_answers_make_it_unattended_whatever_was_said(hand: LibraryAtHand, said: str) -> None:
    make_folder(hand.images_dir, description=f'{said}\ncmdline = "preseed/url=http://x/"')
    image = await _only(hand)
    assert image.kind is image.targets[0].kind is TargetKind.UNATTENDED
    assert bool(image.notes) == bool(said)


async def test_words_that_scripts_write_themselves_are_left_out(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir, description='cmdline = "vga=788 initrd=d/initrd.gz --- quiet"')
    image = await _only(hand)
    assert image.targets[0].command_line == "vga=788 --- quiet"
    assert "initrd=d/initrd.gz" in image.notes[0]


BAD_FOLDERS = {
    "empty folder": ({}, "the folder is empty"),
    "no kernel": ({"README": b"x"}, "there is no kernel"),
    "initrd only": ({"initrd.gz": INITRD}, "there is no kernel, only an initrd"),
    "kernel only": ({"linux": KERNEL}, "no initrd beside the kernel"),
    "empty kernel": ({"linux": b"", "initrd": INITRD}, "the kernel linux is empty"),
    "empty initrd": ({"linux": KERNEL, "initrd": b""}, "the initrd initrd is empty"),
    "kernel cut off": ({"linux": KERNEL[:3000], "initrd": INITRD}, "is cut off"),
    "two kernels": ({"vmlinuz-1": KERNEL, "vmlinuz-2": KERNEL, "initrd": INITRD}, "2 files"),
    "toml off": (
        {"linux": KERNEL, "initrd": INITRD, "image.toml": b'title = "x"\nkind ='},
        "image.toml does not parse: .*line 2",
    ),
    "toml not text": (
        {"linux": KERNEL, "initrd": INITRD, "image.toml": b"\xff"},
        "image.toml is not UTF-8",
    ),
    "toml names what is not there": (
        {"linux": KERNEL, "initrd": INITRD, "image.toml": b'kernel = "vmlinuz"'},
        "names 'vmlinuz' as kernel",
    ),
    "toml names itself": (
        {"linux": KERNEL, "initrd": INITRD, "image.toml": b'kernel = "image.toml"'},
        "names 'image.toml' as kernel",
    ),
    "unsafe command line": (
        {"linux": KERNEL, "initrd": INITRD, "image.toml": b'cmdline = "quiet ${net0/mac} ; x"'},
        r"cannot carry '\$\{net0/mac\}' ';'",
    ),
    "long command line": (
        {"linux": KERNEL, "initrd": INITRD, "image.toml": b'cmdline = "%s"' % (b"x" * 2001)},
        "2001 characters",
    ),
    "unsafe kernel name": ({"vmlinuz 6.1": KERNEL, "initrd": INITRD}, "file name 'vmlinuz 6.1'"),
    "unsafe initrd name": ({"linux": KERNEL, "initrd;x": INITRD}, "file name 'initrd;x'"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
async def test_bad_folders_are_listed(hand: LibraryAtHand, case: str) -> None:
    files, problem = BAD_FOLDERS[case]
    folder = hand.images_dir / "debian-12"
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    image = await _only(hand)
    assert (image.id, image.path, image.state) == ("debian-12", "debian-12", "problem")
    with pytest.raises(RequestRefused, match=problem):
        raise RequestRefused(image.problem or "", image.cure or "")


async def test_a_tree_that_holds_nothing_is_one_entry(hand: LibraryAtHand) -> None:
    for path in ("photos/2025/may", "photos/2026", "photos/2026/june"):
        (hand.images_dir / path).mkdir(parents=True, exist_ok=True)
    (hand.images_dir / "photos" / "2026" / "cat.jpg").write_bytes(b"cat")
    image = await _only(hand)
    assert (image.path, image.problem) == ("photos", "there is no kernel in the folder")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("broken.tar.gz", "damaged, or no gzipped tar file"),
        ("broken.tgz", "damaged, or no gzipped tar file"),
        ("ubuntu.iso", "is no disc"),
        ("netboot.tar.xz", "cannot boot a file of this kind"),
        ("shell.efi", "is no EFI program"),
        ("disk.img", "is no image of a disk"),
        ("own.ipxe", "first line is not #!ipxe"),
        ("boot.wim", "is no WIM file"),
        ("vmlinuz", "lies in no folder of an image"),
        ("initrd.gz", "lies in no folder of an image"),
    ],
)
async def test_bad_files_are_listed(hand: LibraryAtHand, name: str, problem: str) -> None:
    hand.images_dir.mkdir()
    (hand.images_dir / name).write_bytes(b"some bytes")
    image = await _only(hand)
    assert image.path == name
    assert problem in (image.problem or "")


async def test_a_tarball_with_a_broken_description(hand: LibraryAtHand) -> None:
    make_tarball(hand.images_dir / "deb.tar.gz")
    (hand.images_dir / "deb.toml").write_text("kind = ")
    assert "deb.toml does not parse" in ((await _only(hand)).problem or "")


@pytest.mark.parametrize(
    "name", ["README", "notes.txt", "lone.toml", ".hidden.tar.gz", "x.iso.part"]
)
async def test_what_is_no_image_is_not_listed(hand: LibraryAtHand, name: str) -> None:
    hand.images_dir.mkdir()
    (hand.images_dir / name).write_bytes(b"text")
    assert (await hand.settle()).images == ()


@pytest.mark.parametrize("name", ["lost+found", ".removed", "@eaDir", ".git"])
async def test_folders_of_others_are_not_entered(hand: LibraryAtHand, name: str) -> None:
    make_folder(hand.images_dir / name)
    assert (await hand.settle()).images == ()


async def test_a_toml_beside_a_folder_is_noted(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir)
    (hand.images_dir / "debian-12.toml").write_text('kind = "live"')
    image = await _only(hand)
    assert image.kind is TargetKind.INSTALLER
    assert "debian-12.toml is not read" in image.notes[0]


@pytest.mark.parametrize("name", ["menu", "Local Disk", "---", "Дебиан"])
async def test_names_that_give_no_id(hand: LibraryAtHand, name: str) -> None:
    make_folder(hand.images_dir, name)
    image = await _only(hand)
    assert image.state == "problem"
    assert image.id
    assert image.cure == "rename it"


@pytest.mark.parametrize("name", [b"debian-\xff", b"deb\nian"])
async def test_names_that_are_no_text(hand: LibraryAtHand, name: bytes) -> None:
    make_folder(hand.images_dir, os.fsdecode(name))
    image = await _only(hand)
    assert "not printable UTF-8" in (image.problem or "")
    assert image.path.encode()


async def test_a_link_to_a_name_that_is_no_text(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir, os.fsdecode(b".odd-\xff"))
    folder = make_folder(hand.images_dir)
    (folder / "linux").unlink()
    (folder / "linux").symlink_to(os.fsdecode(b"../.odd-\xff/linux"))
    (hand.images_dir / "deb.tar.gz").symlink_to(os.fsdecode(b".odd-\xff/linux"))
    images = (await hand.settle()).images
    assert [image.path for image in images] == ["deb.tar.gz", "debian-12"]
    assert all("not printable UTF-8" in (image.problem or "") for image in images)


async def test_one_that_is_misread_hides_no_other(
    hand: LibraryAtHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(hand.images_dir)
    make_folder(hand.images_dir, "other")
    right = recognise

    def wrong(material: Material) -> LibraryImage:
        if material.name == "other":
            raise ZeroDivisionError
        return right(material)

    monkeypatch.setattr("services.catalog.library.assess.recognise", wrong)
    images = {image.id: image for image in (await hand.settle()).images}
    assert images["debian-12"].is_ready
    assert "fault in Bootyard" in (images["other"].problem or "")


async def test_one_id_twice(hand: LibraryAtHand) -> None:
    make_tarball(hand.images_dir / "debian-12.tar.gz")
    await hand.settle()
    make_folder(hand.images_dir, "Debian 12")
    images = (await hand.settle()).images
    by_path = {image.path: image for image in images}
    assert by_path["debian-12.tar.gz"].is_ready
    late = by_path["Debian 12"]
    assert (late.id, late.problem) == ("debian-12", "the id debian-12 is taken by debian-12.tar.gz")
    held = hand.library.get("debian-12")
    assert held is not None
    assert held.path == "debian-12.tar.gz"
    (hand.images_dir / "debian-12.tar.gz").unlink()
    assert (await _only(hand)).path == "Debian 12"


async def test_what_does_not_boot_keeps_no_id_from_what_does(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir, linux=KERNEL)
    await hand.settle()
    make_tarball(hand.images_dir / "debian-12.tar.gz")
    await hand.settle()
    assert {i.path: i.is_ready for i in hand.library.images} == {
        "debian-12": False,
        "debian-12.tar.gz": True,
    }


async def test_links_inside_are_followed(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir)
    (hand.images_dir / "current").symlink_to("debian-12")
    linked = hand.images_dir / "by-file"
    linked.mkdir()
    (linked / "vmlinuz").symlink_to("../debian-12/linux")
    (linked / "initrd").symlink_to(hand.images_dir / "debian-12" / "initrd.gz")
    images = {image.id: image for image in (await hand.settle()).images}
    assert {image_id: image.is_ready for image_id, image in images.items()} == {
        "debian-12": True,
        "current": True,
        "by-file": True,
    }
    assert images["current"].files["linux"].path == "debian-12/linux"
    assert images["by-file"].files["vmlinuz"].path == "debian-12/linux"


@pytest.mark.parametrize("target", ["outside", "../outside", "/etc"])
async def test_folders_that_lead_out_are_refused(hand: LibraryAtHand, target: str) -> None:
    outside = make_folder(hand.images_dir.parent, "outside")
    hand.images_dir.mkdir()
    (hand.images_dir / "debian-12").symlink_to(outside if target == "outside" else target)
    image = await _only(hand)
    assert image.id == "debian-12"
    assert image.problem == "the link leads out of the images folder"


@pytest.mark.parametrize(
    ("file", "target", "problem"),
    [
        ("linux", "/etc/passwd", "linux leads out of the images folder"),
        ("initrd.gz", "../../outside", "initrd.gz leads out"),
        ("linux", "gone", "linux leads nowhere"),
        ("linux", "linux", "linux leads nowhere"),
        ("image.toml", "/etc/hostname", "image.toml leads out"),
    ],
)
async def test_files_that_lead_out_are_refused(
    hand: LibraryAtHand, file: str, target: str, problem: str
) -> None:
    folder = make_folder(hand.images_dir)
    (hand.images_dir.parent / "outside").write_bytes(INITRD)
    (folder / file).unlink(missing_ok=True)
    (folder / file).symlink_to(target)
    assert problem in ((await _only(hand)).problem or "")


async def test_a_tarball_that_leads_out_is_refused(hand: LibraryAtHand) -> None:
    outside = make_tarball(hand.images_dir.parent / "outside.tar.gz")
    hand.images_dir.mkdir()
    (hand.images_dir / "deb.tar.gz").symlink_to(outside)
    assert "leads out" in ((await _only(hand)).problem or "")


async def test_links_in_a_circle_end(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir / "a")
    (hand.images_dir / "a" / "up").symlink_to("..")
    (hand.images_dir / "b").mkdir()
    (hand.images_dir / "b" / "over").symlink_to("../c")
    (hand.images_dir / "c").mkdir()
    (hand.images_dir / "c" / "over").symlink_to("../b")
    images = (await hand.settle()).images
    assert [image.path for image in images if image.is_ready] == ["a/debian-12"]
    assert all(image.path.count("/") <= MAX_DEPTH for image in images)


async def test_special_files(hand: LibraryAtHand) -> None:
    folder = make_folder(hand.images_dir, initrd=INITRD)
    os.mkfifo(folder / "linux")
    assert "linux is not a regular file" in ((await _only(hand)).problem or "")


@pytest.mark.needs
@pytest.mark.parametrize("locked", ["debian-12", "debian-12/linux", "debian-12/image.toml"])
async def test_what_may_not_be_read(database: Database, locked: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        hand = LibraryAtHand(Path(directory), database)
        make_folder(hand.images_dir, description='title = "x"')
        (hand.images_dir / locked).chmod(0)
        os.seteuid(65534)
        try:
            image = await _only(hand)
        finally:
            os.seteuid(0)
        assert "ermission denied" in (image.problem or "")
        assert "chmod" in (image.cure or "")
        (hand.images_dir / locked).chmod(0o755)
        assert (await _only(hand)).is_ready


async def test_half_copied_things_wait(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir, linux=KERNEL)
    await hand.library.look()
    initrd = hand.images_dir / "debian-12" / "initrd.gz"
    for length in range(1, 6):
        hand.clock.now += QUIET_SECONDS * 0.9
        initrd.write_bytes(INITRD[:length])
        await hand.library.look()
        assert hand.library.images == ()
        assert hand.library.waiting == ("debian-12",)
    hand.clock.now += QUIET_SECONDS
    await hand.library.look()
    assert [image.id for image in hand.library.images] == ["debian-12"]
    assert hand.library.waiting == ()


async def test_what_copying_programs_write_into_a_folder_keeps_it_waiting(
    hand: LibraryAtHand,
) -> None:
    folder = make_folder(hand.images_dir, linux=KERNEL)
    await hand.library.look()
    for length in range(1, 6):
        hand.clock.now += QUIET_SECONDS * 0.9
        (folder / ".initrd.gz.Xy12Ab").write_bytes(INITRD[:length])
        await hand.library.look()
        assert hand.library.images == ()
    (folder / ".initrd.gz.Xy12Ab").rename(folder / "initrd.gz")
    assert (await _only(hand)).is_ready


async def test_what_is_old_at_start_does_not_wait(hand: LibraryAtHand) -> None:
    folder = make_folder(hand.images_dir)
    for path in (folder / "linux", folder / "initrd.gz"):
        os.utime(path, (1, 1))
    await hand.library.look()
    assert [image.id for image in hand.library.images] == ["debian-12"]


async def test_an_image_that_changes_stays_as_it_was_until_it_is_quiet(
    hand: LibraryAtHand,
) -> None:
    folder = make_folder(hand.images_dir)
    before = await _only(hand)
    (folder / "linux").write_bytes(make_bzimage(8192))
    await hand.library.look()
    assert hand.library.images == (before,)
    after = await _only(hand)
    assert after.revision == before.revision + 1
    assert after.files["linux"].size == len(make_bzimage(8192))


async def test_an_image_that_disappears(hand: LibraryAtHand) -> None:
    folder = make_folder(hand.images_dir)
    await hand.settle()
    shutil.rmtree(folder)
    await hand.library.look()
    assert hand.library.images == ()
    assert hand.library.targets == {}


async def test_a_file_server_that_is_away_takes_no_image_away(
    hand: LibraryAtHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(hand.images_dir)
    before = await _only(hand)

    def stale(_: Path) -> object:
        raise Unreachable("Stale file handle")

    monkeypatch.setattr(library_module, "look", stale)
    await hand.library.look()
    assert hand.library.images == (before,)
    assert hand.library.problem == "Stale file handle"
    monkeypatch.undo()
    await hand.library.look()
    assert hand.library.problem is None


async def test_listeners_hear_of_changes_only(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir)
    await hand.settle()
    assert hand.changes == 1
    await hand.settle()
    assert hand.changes == 1


async def _revision(hand: LibraryAtHand) -> int:
    return (await _only(hand)).revision


async def test_revisions(hand: LibraryAtHand, tmp_path: Path, database: Database) -> None:
    folder = make_folder(hand.images_dir)
    assert await _revision(hand) == 1
    assert await _revision(hand) == 1
    (folder / "image.toml").write_text('title = "only another title"')
    assert await _revision(hand) == 1
    (folder / "image.toml").write_text('cmdline = "quiet"')
    assert await _revision(hand) == 2
    os.utime(folder / "initrd.gz", (1, 1))
    assert await _revision(hand) == 3
    assert await _revision(LibraryAtHand(tmp_path, database)) == 3
    shutil.move(folder, hand.images_dir.parent / "away")
    assert (await hand.settle()).images == ()
    shutil.move(hand.images_dir.parent / "away", folder)
    assert await _revision(hand) == 3
    shutil.rmtree(folder)
    make_folder(hand.images_dir)
    assert await _revision(hand) == 4


async def test_a_restart_unpacks_nothing_again(
    hand: LibraryAtHand, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_tarball(hand.images_dir / "netboot.tar.gz")
    before = await _only(hand)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))

    async def never(*_: object) -> object:
        raise AssertionError("unpacked again")

    monkeypatch.setattr(library_module, "unpack_apart", never)
    again = LibraryAtHand(tmp_path, database)
    assert (await again.settle()).images == (before,)


async def test_derived_files_that_are_lost_are_made_again(
    hand: LibraryAtHand, tmp_path: Path, database: Database
) -> None:
    make_tarball(hand.images_dir / "netboot.tar.gz")
    before = await _only(hand)
    shutil.rmtree(hand.derived_dir)
    after = await _only(LibraryAtHand(tmp_path, database))
    assert after.revision == before.revision
    assert after.files.keys() == before.files.keys()
    assert (hand.derived_dir / after.files["linux"].path).exists()


async def test_a_replaced_tarball(hand: LibraryAtHand) -> None:
    path = make_tarball(hand.images_dir / "netboot.tar.gz")
    before = await _only(hand)
    replacement = make_tarball(
        hand.images_dir / ".new.tar.gz", {"boot/linux": make_bzimage(64), "boot/initrd": INITRD}
    )
    replacement.rename(path)
    after = await _only(hand)
    assert after.revision == before.revision + 1
    assert set(after.files) == {"linux", "initrd"}
    old = hand.derived_dir / before.files["linux"].path
    for minutes in (0, 2, 9):
        hand.clock.now += minutes * 60
        await hand.library.look()
        assert old.exists()
    hand.clock.now += 120
    await hand.library.look()
    assert not old.exists()
    assert (hand.derived_dir / after.files["linux"].path).exists()


async def test_a_full_disk_is_a_problem_that_is_tried_again(
    hand: LibraryAtHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tarball(hand.images_dir / "netboot.tar.gz")

    async def full(*_: object) -> object:
        raise OSError(28, "No space left on device", str(hand.derived_dir / ".tmp-x"))

    monkeypatch.setattr(library_module, "unpack_apart", full)
    image = await _only(hand)
    assert "No space left on device" in (image.problem or "")
    assert "tried again by itself" in (image.cure or "")
    monkeypatch.undo()
    assert not (await _only(hand)).is_ready
    hand.clock.now += library_module.RETRY_SECONDS
    assert (await _only(hand)).is_ready


async def test_derived_files_that_do_not_last_are_not_made_for_ever(
    hand: LibraryAtHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tarball(hand.images_dir / "netboot.tar.gz")
    monkeypatch.setattr(DerivedStore, "slice", lambda *_: None)
    image = await _only(hand)
    assert image.problem == "derived: No such file or directory"


async def test_removing_moves_aside(hand: LibraryAtHand) -> None:
    make_tarball(hand.images_dir / "netboot.tar.gz")
    (hand.images_dir / "netboot.toml").write_text('title = "x"')
    moved = await hand.library.remove(await _only(hand))
    assert hand.library.images == ()
    assert moved.parent.parent == hand.images_dir / ".removed"
    assert sorted(path.name for path in moved.parent.iterdir()) == [
        "netboot.tar.gz",
        "netboot.toml",
    ]
    assert [path.name for path in hand.images_dir.iterdir()] == [".removed"]


async def test_removing_one_name_twice(hand: LibraryAtHand) -> None:
    for _ in range(2):
        make_folder(hand.images_dir)
        await hand.library.remove(await _only(hand))
    assert len(list((hand.images_dir / ".removed").iterdir())) == 2


async def test_removing_what_is_gone(hand: LibraryAtHand) -> None:
    folder = make_folder(hand.images_dir)
    image = await _only(hand)
    shutil.rmtree(folder)
    with pytest.raises(RequestRefused, match="not there any more"):
        await hand.library.remove(image)


async def test_removing_a_link_leaves_what_it_leads_to(hand: LibraryAtHand) -> None:
    make_folder(hand.images_dir)
    (hand.images_dir / "current").symlink_to("debian-12")
    library = await hand.settle()
    image = library.get("current")
    assert image is not None
    await library.remove(image)
    assert [image.id for image in library.images] == ["debian-12"]


def test_a_library_that_never_looked(tmp_path: Path, database: Database) -> None:
    library = Library(tmp_path / "images", tmp_path, database, Recipes(()))
    assert library.images == ()
    assert library.get("debian-12") is None
    assert not library.looked.is_set()
