"""Small images for tests: kernels that are only a header, folders, tarballs, a settled library."""

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path

from bootyard.model.snapshot import BootTarget, TargetKind
from services.catalog.database import Database
from services.catalog.library import revisions
from services.catalog.library.hashing import SCHEMA as HASHES
from services.catalog.library.library import QUIET_SECONDS, Library
from services.catalog.library.recipes.load import load_recipes
from services.catalog.machines import SCHEMAS

INITRD = gzip.compress(b"070701 not really a cpio archive")


def make_bzimage(payload: int = 4096, *, is_64_bit: bool = True) -> bytes:
    """Make the header of an x86 kernel, and as many bytes as it says it has."""
    kernel = bytearray(5 * 512 + payload)
    kernel[0x1F1] = 4
    struct.pack_into("<I", kernel, 0x1F4, payload // 16)
    struct.pack_into("<H", kernel, 0x1FE, 0xAA55)
    kernel[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", kernel, 0x206, 0x020F)
    struct.pack_into("<H", kernel, 0x236, int(is_64_bit))
    return bytes(kernel)


KERNEL = make_bzimage()


def make_folder(
    images: Path, name: str = "debian-12", description: str | None = None, **files: bytes
) -> Path:
    """Make an image's folder; `files` (with `__` for `.`) instead of a kernel and an initrd."""
    folder = images / name
    folder.mkdir(parents=True)
    for file, data in (files or {"linux": KERNEL, "initrd__gz": INITRD}).items():
        (folder / file.replace("__", ".")).write_bytes(data)
    if description is not None:
        (folder / "image.toml").write_text(description)
    return folder


DEBIAN_MEMBERS: Mapping[str, bytes] = {
    "./version.info": b"Debian version:  12 (bookworm)\nInstaller build: 20230607+deb12u15\n",
    "./debian-installer/amd64/linux": KERNEL,
    "./debian-installer/amd64/initrd.gz": INITRD,
    "./debian-installer/amd64/pxelinux.0": b"pxelinux",
}


def make_tarball(path: Path, members: Mapping[str, bytes] = DEBIAN_MEMBERS) -> Path:
    """Make a `.tar.gz` of regular files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def make_target(target_id: str, kind: TargetKind = TargetKind.INSTALLER) -> BootTarget:
    """Make a target of an image with the same id."""
    return BootTarget(id=target_id, image=target_id, title=target_id, kind=kind, kernel="linux")


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def open_database(base: Path) -> Database:
    """Open a database with the tables of machines and library."""
    return Database.open(base / "state" / "catalog.sqlite3", (*SCHEMAS, revisions.SCHEMA, HASHES))


class LibraryAtHand:
    """A library on a clock of its own, that looks when it is told to."""

    def __init__(self, base: Path, database: Database) -> None:
        self.images_dir = base / "images"
        self.derived_dir = base / "derived"
        self.clock = Clock()
        self.library = Library(self.images_dir, base, database, load_recipes(), self.clock)
        self.changes = 0
        self.library.on_change(self._count)

    def _count(self) -> None:
        self.changes += 1

    async def settle(self) -> Library:
        """Look until nothing waits any more."""
        await self.library.look()
        self.clock.now += QUIET_SECONDS
        await self.library.look()
        while await self.library.work_next():
            await self.library.look()
        return self.library
