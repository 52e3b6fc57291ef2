"""A disc is indexed in a process of its own, which ends with the call."""

import asyncio
from itertools import islice
from pathlib import Path

import psutil
import pytest

from bootyard.model.errors import ImageRejected
from bootyard.runtime.files import fingerprint_of
from services.catalog.library.discs import indexing
from services.catalog.library.discs.indexing import index_disc
from services.catalog.library.discs.store import DiscStore, key_of
from tests.catalog.discs import crafted as c
from tests.catalog.discs.hostile import REJECTED, SANE


@pytest.fixture
def store(tmp_path: Path) -> DiscStore:
    store = DiscStore(tmp_path / "store")
    store.prepare()
    return store


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _left(store: DiscStore) -> list[str]:
    return [path.name for path in store.directory.iterdir()]


async def test_an_index_is_stored_and_stays(tmp_path: Path, store: DiscStore) -> None:
    path = _write(tmp_path / "a.iso", SANE["plain"][0])
    key = await index_disc(path, store)
    assert key == key_of(path, fingerprint_of(path.stat()))
    assert _left(store) == [key]
    again = DiscStore(store.directory)
    again.prepare()
    disc = again.open(key)
    assert disc is not None
    assert set(disc.paths()) == SANE["plain"][1]
    assert disc.header.fingerprint == fingerprint_of(path.stat())


async def test_what_is_wrong_with_a_disc_is_said(tmp_path: Path, store: DiscStore) -> None:
    path = _write(tmp_path / "a.iso", REJECTED["folder-in-itself"])
    with pytest.raises(ImageRejected, match="inside itself"):
        await index_disc(path, store)
    assert _left(store) == []


async def test_what_is_wrong_with_disks_is_an_os_error(tmp_path: Path, store: DiscStore) -> None:
    with pytest.raises(FileNotFoundError):
        await index_disc(tmp_path / "missing.iso", store)
    (tmp_path / "file").write_bytes(b"")
    path = _write(tmp_path / "a.iso", SANE["plain"][0])
    with pytest.raises(FileExistsError):
        await index_disc(path, DiscStore(tmp_path / "file"))


def _busy(path: Path) -> Path:
    """Make a disc that takes seconds: as many files as there may be, nearly."""
    number, sectors = iter(range(290_000)), []
    while some := [c.record(b"%08d;1" % each, 24, 1) for each in islice(number, 40)]:
        sectors.append(b"".join(some).ljust(c.SECTOR, b"\0"))
    count = len(sectors)
    head = c.disc(b"", size=20, said=count + 20, root_length=count * c.SECTOR)
    return _write(path, head + b"".join(sectors))


async def test_it_ends_with_its_call(tmp_path: Path, store: DiscStore) -> None:
    path = _busy(tmp_path / "busy.iso")
    task = asyncio.create_task(index_disc(path, store))
    this = psutil.Process()
    while not (children := this.children()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [child for child in children if child.is_running()]


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_CPU_SECONDS", 1), ("MAX_MEMORY", 180 * 1024**2)]
)
async def test_it_ends_at_its_limits(
    tmp_path: Path, store: DiscStore, limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, limit, value)
    with pytest.raises(ImageRejected, match="memory and time"):
        await index_disc(_busy(tmp_path / "busy.iso"), store)
    assert _left(store) == []


async def test_time_on_the_wall_counts_too(
    tmp_path: Path, store: DiscStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "MAX_SECONDS", 0.01)
    with pytest.raises(ImageRejected, match="memory and time"):
        await index_disc(_write(tmp_path / "a.iso", SANE["plain"][0]), store)
