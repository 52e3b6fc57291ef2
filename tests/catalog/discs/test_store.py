"""Indices on disk: looked up without being read whole, and made again when they are not whole."""

import os
import time
from pathlib import Path

import pytest

from bootyard.model.snapshot import Fingerprint, Root
from services.catalog.library.discs.disc import Disc, DiscTree
from services.catalog.library.discs.index import BootImage, DiscIndex, Extents
from services.catalog.library.discs.store import DiscStore, key_of
from services.catalog.library.recipes.material import ImageTree
from services.catalog.library.unused import KEEP_SECONDS

PRINT = Fingerprint(100, 2, 3)
FILES: dict[str, Extents] = {
    "boot/vmlinuz-6.1": ((10, 5),),
    "boot/vmlinuz-6.2": ((15, 5),),
    "boot/grub/grub.cfg": ((20, 3), (30, 4)),
    "boot.txt": (),
    "Case.txt": ((40, 1),),
    "case.txt": ((41, 1),),
    "CASE.TXT": ((42, 1),),
    "EFI/BOOT/BOOTX64.EFI": ((50, 9),),
    "na[m]e.txt": ((60, 1),),
    "stra\u00dfe/datei": ((61, 1),),
    "real": ((70, 7),),
}
LINKS = {
    "kernel": "boot/vmlinuz-6.1",
    "debian": "",
    "dists/stable": "boot",
    "boot/link-6.3": "real",
    "boot/link-here": "boot/vmlinuz-6.2",
    "CASE.txt": "real",
    "efi/boot/other": "boot.txt",
}


def _index(files: dict[str, Extents], links: dict[str, str]) -> DiscIndex:
    return DiscIndex(
        size=100,
        volume_id="VOLUME",
        system_id="LINUX",
        tree="udf",
        files=files,
        links=links,
        boot=(BootImage("efi", "none", 1, 2),),
        notes=("one",),
    )


def _open(folder: Path, files: dict[str, Extents], links: dict[str, str]) -> Disc:
    store = DiscStore(folder)
    store.prepare()
    store.add("key", _index(files, links), PRINT)
    disc = store.open("key")
    assert disc is not None
    return disc


@pytest.fixture
def disc(tmp_path: Path) -> Disc:
    return _open(tmp_path / "store", FILES, LINKS)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("boot/vmlinuz-6.1", "boot/vmlinuz-6.1"),
        ("BOOT/VmLinuz-6.1", "boot/vmlinuz-6.1"),
        ("efi/boot/bootx64.efi", "EFI/BOOT/BOOTX64.EFI"),
        ("case.txt", "case.txt"),
        ("Case.txt", "Case.txt"),
        ("CASE.TXT", "CASE.TXT"),
        ("cASE.txt", "CASE.TXT"),
        ("CASE.txt", "real"),
        ("STRASSE/DATEI", "stra\u00dfe/datei"),
        ("kernel", "boot/vmlinuz-6.1"),
        ("KERNEL", "boot/vmlinuz-6.1"),
        ("debian/debian/kernel", "boot/vmlinuz-6.1"),
        ("debian/dists/stable/grub/grub.cfg", "boot/grub/grub.cfg"),
        ("Dists/Stable/Link-6.3", "real"),
        ("boot", None),
        ("debian", None),
        ("boot/", None),
        ("", None),
        ("/boot/vmlinuz-6.1", None),
        ("boot/%", None),
        ("nothing", None),
        ("nul\0", None),
        ("bytes-\udce4", None),
    ],
)
def test_find(disc: Disc, path: str, found: str | None) -> None:
    assert disc.find(path) == found
    if found is None:
        with pytest.raises(KeyError):
            disc.extents(path)
    else:
        assert disc.extents(path) == FILES[found]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("boot/vmlinuz*", ["boot/vmlinuz-6.1", "boot/vmlinuz-6.2"]),
        ("BOOT/VMLINUZ-6.?", ["boot/vmlinuz-6.1", "boot/vmlinuz-6.2"]),
        ("*/vmlinuz-6.1", ["boot/vmlinuz-6.1"]),
        ("*", ["CASE.TXT", "Case.txt", "boot.txt", "boot/vmlinuz-6.1", "case.txt", "na[m]e.txt"]),
        ("boot/*", ["boot/vmlinuz-6.1", "boot/vmlinuz-6.2", "real"]),
        ("boot/link-6*", ["real"]),
        ("debian/boot/vmlinuz-6.1", ["boot/vmlinuz-6.1"]),
        ("debian/dists/stable/grub/*.cfg", ["boot/grub/grub.cfg"]),
        ("na[m]e.*", ["na[m]e.txt"]),
        ("na[a-z]e.*", []),
        ("stra?e/*", ["stra\u00dfe/datei"]),
        ("efi/*/bootx64.efi", ["EFI/BOOT/BOOTX64.EFI"]),
        ("boot/grub", []),
        ("nothing/*", []),
    ],
)
def test_glob(disc: Disc, pattern: str, found: list[str]) -> None:
    expected = found + (["real"] if pattern == "*" else [])
    if pattern == "stra?e/*":
        # By folded case it is two letters.
        expected = []
    assert disc.glob(pattern) == sorted(expected)


def test_everything_else_that_an_index_holds(disc: Disc) -> None:
    assert sorted(disc.paths()) == sorted(FILES)
    assert disc.size_of("boot/grub/grub.cfg") == 7
    assert disc.size_of("boot.txt") == 0
    header = disc.header
    assert (header.fingerprint, header.volume_id, header.tree) == (PRINT, "VOLUME", "udf")
    assert (header.boot, header.notes) == ((BootImage("efi", "none", 1, 2),), ("one",))


def test_without_links(tmp_path: Path) -> None:
    disc = _open(tmp_path, {"a/b": ((1, 2),)}, {})
    assert (disc.find("A/b"), disc.find("c"), disc.glob("a/*")) == ("a/b", None, ["a/b"])


def test_names_of_every_kind_come_back(tmp_path: Path) -> None:
    names = ["\ufffd", "a\nb", "'", '"', "%", "_", "\U0010fffd", "\u0130", "x" * 1024, "a b"]
    disc = _open(tmp_path, {name: ((n, 1),) for n, name in enumerate(names)}, {})
    assert sorted(disc.paths()) == sorted(names)
    assert [disc.extents(name) for name in names] == [((n, 1),) for n in range(len(names))]


def test_a_key_for_every_state(tmp_path: Path) -> None:
    keys = {
        key_of(path, Fingerprint(size, mtime, inode))
        for path in (tmp_path / "a.iso", tmp_path / "b.iso")
        for size in (1, 2)
        for mtime in (1, 2)
        for inode in (1, 2)
    }
    assert len(keys) == 16
    assert key_of(tmp_path, PRINT) == key_of(tmp_path, PRINT)


def test_an_index_that_is_not_whole_is_none(tmp_path: Path) -> None:
    store = DiscStore(tmp_path)
    assert store.open("missing") is None
    store.add("key", _index(FILES, LINKS), PRINT)
    whole = (tmp_path / "key").read_bytes()
    for number, data in enumerate((b"", b"junk" * 999, whole[:4096], whole[:100])):
        (tmp_path / f"key-{number}").write_bytes(data)
        assert store.open(f"key-{number}") is None


def test_a_fault_below_the_index_is_a_fault_of_a_disk(tmp_path: Path) -> None:
    store = DiscStore(tmp_path)
    store.add("key", _index({f"name-{n}": ((n, 1),) for n in range(5000)}, {}), PRINT)
    data = bytearray((tmp_path / "key").read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    (tmp_path / "key").write_bytes(data)
    disc = store.open("key")
    assert disc is not None
    with pytest.raises(OSError, match="index of a disc"):
        list(disc.paths())


def test_what_is_unused_goes_after_ten_minutes(tmp_path: Path) -> None:
    store = DiscStore(tmp_path / "store")
    assert store.sweep((), 0.0) == ()
    store.prepare()
    for key in ("used", "unused"):
        store.add(key, _index({}, {}), PRINT)
    assert store.sweep(("used",), 10.0) == ()
    assert store.sweep(("used", "unused"), 500.0) == ()
    assert store.sweep(("used",), 600.0) == ()
    assert store.sweep(("used",), 600.0 + KEEP_SECONDS) == ()
    assert store.sweep(("used",), 601.0 + KEEP_SECONDS) == ("unused",)
    assert [path.name for path in store.directory.iterdir()] == ["used"]


def test_what_was_half_written_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".key.x8").write_bytes(b"half")
    DiscStore(tmp_path).prepare()
    assert list(tmp_path.iterdir()) == []


def _tree(tmp_path: Path) -> DiscTree:
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    (images / "sub/Disc 1.iso").write_bytes(bytes(range(100)))
    status = (images / "sub/Disc 1.iso").stat()
    store = DiscStore(tmp_path / "store")
    fingerprint = Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino)
    store.add("key", _index(FILES, LINKS), fingerprint)
    disc = store.open("key")
    assert disc is not None
    return DiscTree(images, "sub/Disc 1.iso", disc)


def test_a_disc_is_a_tree_for_recipes(tmp_path: Path) -> None:
    tree: ImageTree = _tree(tmp_path)
    assert (tree.container, tree.name, tree.size) == ("disc", "Disc 1", 100)
    assert (tree.volume_id, tree.system_id, tree.is_complete) == ("VOLUME", "LINUX", True)
    assert tree.find("KERNEL") == "boot/vmlinuz-6.1"
    assert tree.read("kernel") == bytes(range(10, 15))
    cfg = bytes((20, 21, 22, 30, 31, 32, 33))
    for offset in range(9):
        for length in range(9):
            found = tree.read("boot/grub/grub.cfg", offset, length)
            assert found == cfg[offset : offset + length]
    assert tree.read("boot.txt") == b""
    with pytest.raises(KeyError):
        tree.read("nothing")


def test_a_file_of_it_as_it_is_served(tmp_path: Path) -> None:
    tree = _tree(tmp_path)
    served = tree.slice_of("boot/grub/grub.cfg")
    assert (served.root, served.path, served.size) == (Root.IMAGES, "sub/Disc 1.iso", 7)
    assert served.extents == ((20, 3), (30, 4))
    assert served.fingerprint == tree.disc.header.fingerprint
    with pytest.raises(KeyError):
        tree.slice_of("nothing")


def test_a_disc_that_changed_is_not_read(tmp_path: Path) -> None:
    tree = _tree(tmp_path)
    path = tmp_path / "images/sub/Disc 1.iso"
    os.utime(path, ns=(1, time.time_ns() + 10**9))
    with pytest.raises(OSError, match="tale file handle"):
        tree.read("real")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        tree.read("real")
