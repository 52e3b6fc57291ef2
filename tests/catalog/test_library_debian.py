"""The real Debian 12 netboot files, as a folder and as Debian's own netboot.tar.gz."""

import asyncio
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import BootTree, Found
from bootyard.model.events import FileClass
from bootyard.model.snapshot import Policy, Root, Slice, Snapshot, TargetKind
from services.catalog.database import Database
from services.catalog.library.image import LibraryImage
from services.catalog.library.kernels import HEADER_BYTES
from services.catalog.library.secureboot import Signed, examine
from services.catalog.library.signature import certificate_table
from services.catalog.publisher import build_snapshot
from tests.catalog.efi_programs import X64
from tests.catalog.images import LibraryAtHand, open_database
from tests.lab.debian_installer import INSTALLER

FILES = INSTALLER
NETBOOT = FILES.parents[1]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path)
    yield database
    database.close()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _assert_is_debian(image: LibraryImage) -> None:
    assert image.problem is None
    assert (image.title, image.family, image.version) == ("Debian 12 installer", "debian", "12")
    assert (image.kind, image.recipe) == (TargetKind.INSTALLER, "debian-netboot")
    assert image.architectures == ("x86_64",)
    assert image.files["linux"].size == (FILES / "linux").stat().st_size
    assert image.files["initrd.gz"].size == (FILES / "initrd.gz").stat().st_size
    (target,) = image.targets
    assert (target.kernel, target.initrds, target.command_line) == ("linux", ("initrd.gz",), "")
    # Its shim and GRUB lie among the packaged loaders already.
    assert (target.signed_by, target.chains) == ("debian", ())


async def test_as_a_folder(tmp_path: Path, database: Database) -> None:
    hand = LibraryAtHand(tmp_path, database)
    folder = hand.images_dir / "debian-12"
    folder.mkdir(parents=True)
    for name in ("linux", "initrd.gz"):
        shutil.copyfile(FILES / name, folder / name)
    (image,) = (await hand.settle()).images
    _assert_is_debian(image)
    assert {slice_.root for slice_ in image.files.values()} == {Root.IMAGES}


async def test_as_debians_tarball(tmp_path: Path, database: Database) -> None:
    hand = LibraryAtHand(tmp_path, database)
    hand.images_dir.mkdir()
    # Debian's build/Makefile: everything below the folder, links and all, from "./" on.
    tarball = hand.images_dir / "netboot.tar.gz"
    command = ["tar", "-C", str(NETBOOT), "-czf", str(tarball), "."]
    await asyncio.to_thread(lambda: subprocess.run(command, check=True))
    (image,) = (await hand.settle()).images
    _assert_is_debian(image)
    assert image.id == "netboot"
    assert image.sha256 == _digest(tarball)
    for name in ("linux", "initrd.gz"):
        slice_ = image.files[name]
        assert slice_.root is Root.DERIVED
        assert _digest(hand.derived_dir / slice_.path) == slice_.path == _digest(FILES / name)


async def test_as_the_tarball_unpacked_by_hand(tmp_path: Path, database: Database) -> None:
    hand = LibraryAtHand(tmp_path, database)
    shutil.copytree(NETBOOT, hand.images_dir / "debian-12", symlinks=True)
    (image,) = (await hand.settle()).images
    _assert_is_debian(image)
    assert image.id == "debian-12"


async def test_machines_find_it_in_the_boot_tree(tmp_path: Path, database: Database) -> None:
    hand = LibraryAtHand(tmp_path, database)
    shutil.copytree(FILES, hand.images_dir / "debian-12")
    images = (await hand.settle()).images
    snapshot = build_snapshot(
        epoch="e",
        number=1,
        http_port=8080,
        loaders={},
        images=images,
        machines={},
        policy=Policy(),
    )
    tree = BootTree(Snapshot.from_json(snapshot.to_json()))
    address = IPv4Address("10.0.0.2")
    request = RequestFacts(client_ip=address, server_address=address, transport="tftp")
    for path, file, file_class in (
        ("images/debian-12/linux", "linux", FileClass.KERNEL),
        ("images/debian-12@1/initrd.gz", "initrd.gz", FileClass.INITRD),
    ):
        found = tree.resolve(path, request)
        assert isinstance(found, Found)
        assert isinstance(found.content, Slice)
        assert (found.file_class, found.image) == (file_class, "debian-12")
        assert _digest(hand.images_dir / found.content.path) == _digest(FILES / file)


@pytest.mark.parametrize(
    ("file", "vendor"),
    [("linux", "debian"), ("grubx64.efi", "debian"), ("bootnetx64.efi", "microsoft")],
)
def test_who_signed_its_programs(file: str, vendor: str) -> None:
    program = (FILES / file).read_bytes()
    signed = examine(lambda offset, length: program[offset : offset + length])
    assert signed == Signed(machine=X64, vendors=(vendor,))
    table = certificate_table(program[:HEADER_BYTES])
    assert table is not None
    assert sum(table) == len(program)
