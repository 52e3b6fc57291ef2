"""The store of derived files."""

import errno
import hashlib
import io
import stat
from pathlib import Path

import pytest

from bootyard.model.snapshot import Root
from services.catalog.library.derived import DerivedStore, Stored
from services.catalog.library.unused import KEEP_SECONDS


@pytest.fixture
def store(tmp_path: Path) -> DerivedStore:
    store = DerivedStore(tmp_path / "state" / "derived")
    store.prepare()
    return store


def test_kept_by_content(store: DerivedStore) -> None:
    stored = store.add(io.BytesIO(b"kernel"))
    assert stored == Stored(hashlib.sha256(b"kernel").hexdigest(), 6)
    slice_ = store.slice(stored)
    assert slice_ is not None
    assert (slice_.root, slice_.path, slice_.extents) == (Root.DERIVED, stored.sha256, ((0, 6),))
    path = store.directory / stored.sha256
    assert path.read_bytes() == b"kernel"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_the_same_content_is_kept_once_and_not_replaced(store: DerivedStore) -> None:
    first = store.slice(store.add(io.BytesIO(b"kernel")))
    assert store.slice(store.add(io.BytesIO(b"kernel"))) == first
    assert len(list(store.directory.iterdir())) == 1


def test_a_file_that_was_cut_off_is_not_there_and_is_replaced(store: DerivedStore) -> None:
    stored = store.add(io.BytesIO(b"kernel"))
    path = store.directory / stored.sha256
    path.unlink()
    path.write_bytes(b"ker")
    assert store.slice(stored) is None
    assert store.add(io.BytesIO(b"kernel")) == stored
    assert path.read_bytes() == b"kernel"


class _FullDisk(io.BytesIO):
    def read(self, _size: int | None = -1, /) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_nothing_is_left_of_what_failed(store: DerivedStore) -> None:
    with pytest.raises(OSError, match="No space"):
        store.add(_FullDisk())
    assert list(store.directory.iterdir()) == []


def test_what_an_earlier_life_left_half_written_is_cleared(store: DerivedStore) -> None:
    (store.directory / ".tmp-abc").write_bytes(b"half")
    stored = store.add(io.BytesIO(b"kernel"))
    DerivedStore(store.directory).prepare()
    assert [path.name for path in store.directory.iterdir()] == [stored.sha256]


def test_unused_files_go_after_ten_minutes(store: DerivedStore) -> None:
    used, unused = store.add(io.BytesIO(b"used")), store.add(io.BytesIO(b"unused"))
    assert store.sweep({used.sha256}, 0.0) == ()
    assert store.sweep({used.sha256}, KEEP_SECONDS) == ()
    assert store.sweep({used.sha256}, KEEP_SECONDS + 1) == (unused.sha256,)
    assert store.slice(used) is not None
    assert store.slice(unused) is None


def test_a_file_that_is_used_again_stays(store: DerivedStore) -> None:
    stored = store.add(io.BytesIO(b"kernel"))
    store.sweep((), 0.0)
    store.sweep({stored.sha256}, KEEP_SECONDS)
    assert store.sweep((), KEEP_SECONDS + 1) == ()
    assert store.slice(stored) is not None


def test_sweeping_nothing(tmp_path: Path) -> None:
    assert DerivedStore(tmp_path / "never made").sweep((), 0.0) == ()
