"""Tarballs are anybody's files: what they hold, what is wrong with them, and what they try."""

import errno
import gzip
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootyard.model.errors import ImageRejected
from services.catalog.library import tarball, unpacking
from services.catalog.library.derived import DerivedStore
from services.catalog.library.description import NOTHING_SAID, Description
from services.catalog.library.tarball import unpack
from services.catalog.library.unpacking import unpack_apart
from tests.catalog.images import DEBIAN_MEMBERS, INITRD, KERNEL, make_tarball


@pytest.fixture
def store(tmp_path: Path) -> DerivedStore:
    store = DerivedStore(tmp_path / "derived")
    store.prepare()
    return store


def _stored(store: DerivedStore) -> list[str]:
    return sorted(path.name for path in store.directory.iterdir())


def test_kernel_and_initrd_come_out(tmp_path: Path, store: DerivedStore) -> None:
    unpacked = unpack(make_tarball(tmp_path / "netboot.tar.gz"), NOTHING_SAID, store)
    assert set(unpacked.files) == {"linux", "initrd.gz"}
    assert "12 (bookworm)" in unpacked.version_info
    assert (store.directory / unpacked.files["linux"].sha256).read_bytes() == KERNEL
    assert (store.directory / unpacked.files["initrd.gz"].sha256).read_bytes() == INITRD
    assert len(_stored(store)) == 2


def test_what_a_description_names(tmp_path: Path, store: DerivedStore) -> None:
    path = make_tarball(tmp_path / "x.tar.gz", {"a/k.bin": b"kernel", "a/i.bin": b"initrd"})
    unpacked = unpack(path, Description(kernel="a/k.bin", initrd=("a/i.bin",)), store)
    assert set(unpacked.files) == {"k.bin", "i.bin"}


def _link(kind: bytes) -> Callable[[tarfile.TarFile], None]:
    def add(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("linux")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
        _add(archive, "initrd.gz", INITRD)

    return add


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _outside(archive: tarfile.TarFile) -> None:
    _add(archive, "../linux", KERNEL)
    _add(archive, "../initrd.gz", INITRD)


def _device(archive: tarfile.TarFile) -> None:
    member = tarfile.TarInfo("linux")
    member.type, member.devmajor, member.devminor = tarfile.BLKTYPE, 8, 0
    archive.addfile(member)


def _long_header(archive: tarfile.TarFile) -> None:
    member = tarfile.TarInfo("linux")
    member.pax_headers = {"comment": "x" * (2 * tarball.MAX_SINGLE_READ)}
    archive.addfile(member)


@pytest.mark.parametrize(
    ("fill", "problem"),
    [
        (_link(tarfile.SYMTYPE), "there is no kernel"),
        (_link(tarfile.LNKTYPE), "there is no kernel"),
        (_outside, "there is no kernel"),
        (_device, "there is no kernel"),
        (_long_header, "impossible length"),
        (lambda archive: _add(archive, "README", b""), "there is no kernel"),
    ],
    ids=["symlink", "hard-link", "dot-dot", "device", "long-header", "readme"],
)
def test_members_that_are_not_wanted(
    tmp_path: Path,
    store: DerivedStore,
    fill: Callable[[tarfile.TarFile], None],
    problem: str,
) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        fill(archive)
    with pytest.raises(ImageRejected, match=problem):
        unpack(path, NOTHING_SAID, store)
    assert _stored(store) == []


def test_an_absolute_name_is_a_name_inside(tmp_path: Path, store: DerivedStore) -> None:
    path = make_tarball(tmp_path / "x.tar.gz", {"/boot/linux": KERNEL, "/boot/initrd.gz": INITRD})
    assert set(unpack(path, NOTHING_SAID, store).files) == {"linux", "initrd.gz"}


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 0.5, -1, -4, -8])
def test_cut_off(tmp_path: Path, store: DerivedStore, keep: float) -> None:
    path = make_tarball(tmp_path / "x.tar.gz", {**DEBIAN_MEMBERS, "z": random.randbytes(50_000)})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(ImageRejected, match=r"damaged|cannot be read"):
        unpack(path, NOTHING_SAID, store)


def test_a_wrong_checksum(tmp_path: Path, store: DerivedStore) -> None:
    path = make_tarball(tmp_path / "x.tar.gz")
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    with pytest.raises(ImageRejected, match="damaged") as refusal:
        unpack(path, NOTHING_SAID, store)
    assert "again" in refusal.value.cure


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(b"not tar" * 300), b"", b"\x1f\x8b"])
def test_no_tarball_at_all(tmp_path: Path, store: DerivedStore, data: bytes) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(data)
    with pytest.raises(ImageRejected, match="damaged, or no gzipped tar file"):
        unpack(path, NOTHING_SAID, store)


def test_a_bomb(tmp_path: Path, store: DerivedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarball, "MAX_UNPACKED", 1024 * 1024)
    path = make_tarball(tmp_path / "x.tar.gz", {**DEBIAN_MEMBERS, "zeros": bytes(2 * 1024 * 1024)})
    with pytest.raises(ImageRejected, match="holds more than"):
        unpack(path, NOTHING_SAID, store)


def test_a_stream_that_goes_on_behind_the_last_member(
    tmp_path: Path, store: DerivedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tarball, "MAX_UNPACKED", 1024 * 1024)
    path = make_tarball(tmp_path / "x.tar.gz")
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(2 * 1024 * 1024)))
    with pytest.raises(ImageRejected, match="holds more than"):
        unpack(path, NOTHING_SAID, store)


def test_too_many_members(
    tmp_path: Path, store: DerivedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tarball, "MAX_MEMBERS", 100)
    path = make_tarball(tmp_path / "x.tar.gz", {f"f{i}": b"" for i in range(101)})
    with pytest.raises(ImageRejected, match="more than 100 files"):
        unpack(path, NOTHING_SAID, store)


def test_a_sparse_member_is_not_wanted(tmp_path: Path, store: DerivedStore) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("linux")
        member.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.size": str(2**40),
            "GNU.sparse.map": "0,0",
        }
        archive.addfile(member)
    with pytest.raises(ImageRejected, match="there is no kernel"):
        unpack(path, NOTHING_SAID, store)


def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, store: DerivedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_tarball(tmp_path / "x.tar.gz")
    add = DerivedStore.add

    def add_and_touch(self: DerivedStore, stream: io.BufferedReader) -> object:
        with path.open("ab") as file:
            file.write(b"\0")
        return add(self, stream)

    monkeypatch.setattr(DerivedStore, "add", add_and_touch)
    with pytest.raises(ImageRejected, match="changed while it was read"):
        unpack(path, NOTHING_SAID, store)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10_239), st.integers(0, 255)), max_size=12))
def test_any_damage_is_a_problem_and_nothing_else(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    store = DerivedStore(tmp_path / "derived")
    data = bytearray(gzip.decompress(make_tarball(tmp_path / "x.tar.gz").read_bytes()))
    for position, value in changes:
        data[position % len(data)] = value
    path = tmp_path / "damaged.tar.gz"
    path.write_bytes(gzip.compress(bytes(data), 1))
    try:
        unpacked = unpack(path, NOTHING_SAID, store)
    except ImageRejected:
        return
    assert "linux" in unpacked.files or len(unpacked.files) == 2


async def test_apart(tmp_path: Path) -> None:
    path = make_tarball(tmp_path / "netboot.tar.gz")
    unpacked = await unpack_apart(path, NOTHING_SAID, tmp_path / "derived")
    assert unpacked == unpack(path, NOTHING_SAID, DerivedStore(tmp_path / "derived"))


async def test_apart_a_problem_comes_back(tmp_path: Path) -> None:
    path = make_tarball(tmp_path / "x.tar.gz", {"README": b""})
    with pytest.raises(ImageRejected, match="there is no kernel"):
        await unpack_apart(path, NOTHING_SAID, tmp_path / "derived")


async def test_apart_a_fault_of_the_disk_comes_back(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone") as fault:
        await unpack_apart(tmp_path / "gone.tar.gz", NOTHING_SAID, tmp_path / "derived")
    assert fault.value.errno == errno.ENOENT


async def test_apart_what_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MAX_SECONDS", 0.001)
    path = make_tarball(tmp_path / "netboot.tar.gz")
    with pytest.raises(ImageRejected, match="memory and time"):
        await unpack_apart(path, NOTHING_SAID, tmp_path / "derived")
