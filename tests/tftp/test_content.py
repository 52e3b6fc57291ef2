"""Content: extents, changes under the hand, and links that lead out."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootyard.model.snapshot import Fingerprint, Root, Slice, Text
from services.tftp.content import CHECK_EVERY, ContentStore, SliceSource, SourceChanged


def fingerprint(path: Path) -> Fingerprint:
    status = path.stat()
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino)


def slice_of(path: Path, *extents: tuple[int, int], indexed: bool = True) -> Slice:
    return Slice(
        root=Root.IMAGES,
        path=path.name,
        extents=extents or ((0, path.stat().st_size),),
        fingerprint=fingerprint(path) if indexed else None,
    )


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(lambda _: tmp_path)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_text(store: ContentStore) -> None:
    source = store.open(Text(b"#!ipxe\n"))
    assert source.size == 7
    assert source.read_at(2, 100) == b"ipxe\n"
    source.close()


def test_extents_are_read_one_after_the_other(store: ContentStore, tmp_path: Path) -> None:
    file = tmp_path / "an.iso"
    file.write_bytes(bytes(range(256)))
    source = store.open(slice_of(file, (10, 5), (100, 0), (200, 6), (0, 2)))
    assert source.size == 13
    assert source.read_at(0, 13) == bytes((*range(10, 15), *range(200, 206), 0, 1))
    assert source.read_at(3, 4) == bytes((13, 14, 200, 201))
    assert source.read_at(12, 100) == bytes((1,))
    assert source.read_at(13, 100) == b""
    source.close()


@settings(max_examples=50)
@given(
    extents=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 56)), min_size=1, max_size=5),
    block_size=st.integers(1, 70),
)
def test_blocks_join_to_the_extents(
    tmp_path_factory: pytest.TempPathFactory, extents: list[tuple[int, int]], block_size: int
) -> None:
    folder = tmp_path_factory.mktemp("images")
    file = folder / "an.iso"
    content = os.urandom(256)
    file.write_bytes(content)
    source = ContentStore(lambda _: folder).open(slice_of(file, *extents))
    blocks = [source.read_at(i, block_size) for i in range(0, source.size, block_size)]
    assert b"".join(blocks) == b"".join(content[o : o + n] for o, n in extents)
    source.close()


def test_a_changed_file_is_not_opened(store: ContentStore, tmp_path: Path) -> None:
    file = tmp_path / "an.iso"
    file.write_bytes(b"old")
    content = slice_of(file)
    file.write_bytes(b"longer than before")
    before = open_descriptors()
    with pytest.raises(SourceChanged, match="has changed since"):
        store.open(content)
    assert open_descriptors() == before


def test_extents_beyond_the_end_are_not_opened(store: ContentStore, tmp_path: Path) -> None:
    file = tmp_path / "an.iso"
    file.write_bytes(b"short")
    with pytest.raises(SourceChanged, match="shorter"):
        store.open(slice_of(file, (2, 10)))


def test_a_truncated_file_reads_short(store: ContentStore, tmp_path: Path) -> None:
    file = tmp_path / "an.iso"
    file.write_bytes(b"x" * 5000)
    source = store.open(slice_of(file))
    assert len(source.read_at(0, 1000)) == 1000
    os.truncate(file, 1500)
    assert len(source.read_at(1000, 1000)) < 1000
    source.close()


def test_a_file_rewritten_at_the_same_length_is_noticed(
    store: ContentStore, tmp_path: Path
) -> None:
    file = tmp_path / "an.iso"
    file.write_bytes(b"x" * (3 * CHECK_EVERY))
    source = store.open(slice_of(file))
    assert source.read_at(0, 1000)
    with file.open("r+b") as user:
        user.seek(CHECK_EVERY)
        user.write(b"y" * 10)
    os.utime(file, ns=(1, 1))
    offsets = range(1000, source.size, 60_000)
    assert any(len(source.read_at(o, 60_000)) < min(60_000, source.size - o) for o in offsets)
    source.close()


def test_a_replaced_file_is_not_served_to_its_end(store: ContentStore, tmp_path: Path) -> None:
    file = tmp_path / "an.iso"
    file.write_bytes(b"old" * 100)
    source = store.open(slice_of(file))
    new = tmp_path / "new"
    new.write_bytes(b"new" * 100)
    new.replace(file)
    assert source.read_at(0, 300) == b""
    assert isinstance(source, SliceSource)
    assert source.has_changed
    source.close()


def test_a_loader_of_another_release_is_served_whole(store: ContentStore, tmp_path: Path) -> None:
    file = tmp_path / "snponly.efi"
    file.write_bytes(b"x" * 700)
    content = Slice(root=Root.PACKAGED, path=file.name, extents=((0, 500),))
    source = store.open(content)
    assert (source.size, source.read_at(0, 1000)) == (700, b"x" * 700)
    source.close()


def test_one_descriptor_serves_all_transfers_of_a_file(store: ContentStore, tmp_path: Path) -> None:
    file = tmp_path / "snponly.efi"
    file.write_bytes(b"x" * 700)
    before = open_descriptors()
    sources = [store.open(slice_of(file, indexed=False)) for _ in range(100)]
    assert open_descriptors() == before + 1
    for source in sources:
        assert source.read_at(0, 700) == b"x" * 700
        source.close()
        source.close()
    assert open_descriptors() == before


def test_links_may_stay_inside_their_root_but_not_leave_it(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (root / "real.iso").write_bytes(b"inside")
    (root / "link.iso").symlink_to(root / "real.iso")
    (tmp_path / "secret").write_bytes(b"outside")
    (root / "out.iso").symlink_to("../secret")
    (root / "folder").symlink_to("/etc")
    inside = ContentStore(lambda _: root)
    slices = {
        name: Slice(root=Root.IMAGES, path=name, extents=((0, 1),))
        for name in ("link.iso", "out.iso", "folder/passwd", "../secret")
    }
    source = inside.open(slices.pop("link.iso"))
    assert source.read_at(0, 6) == b"inside"
    source.close()
    before = open_descriptors()
    for content in slices.values():
        with pytest.raises(PermissionError, match="outside"):
            inside.open(content)
    assert open_descriptors() == before


def test_a_root_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "an.iso").write_bytes(b"x")
    (tmp_path / "images").symlink_to(tmp_path / "nas")
    store = ContentStore(lambda _: tmp_path / "images")
    source = store.open(Slice(root=Root.IMAGES, path="an.iso", extents=((0, 1),)))
    assert source.size == 1
    source.close()


def test_only_regular_files_are_opened(store: ContentStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "folder"):
        with pytest.raises(OSError, match=r"not a regular file|outside"):
            store.open(Slice(root=Root.IMAGES, path=name, extents=((0, 0),)))


def test_a_file_that_is_not_there(store: ContentStore) -> None:
    content = Slice(root=Root.LOADERS, path="uefi-x64/x.efi", extents=((0, 1),))
    assert not store.has(content)
    with pytest.raises(FileNotFoundError):
        store.open(content)


def test_a_file_that_changed_and_changed_back_is_opened_anew(
    store: ContentStore, tmp_path: Path
) -> None:
    file = tmp_path / "kernel"
    file.write_bytes(b"x" * 100)
    os.utime(file, (5, 5))
    content = slice_of(file)
    first = store.open(content)
    file.write_bytes(b"y" * 100)
    assert store.look()
    os.utime(file, (5, 5))
    second = store.open(content)
    assert second.read_at(0, 100) == b"y" * 100
    second.close()
    first.close()
    assert not store.look()


def test_one_changed_file_among_many_is_seen(store: ContentStore, tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}").write_bytes(b"x")
    sources = [store.open(slice_of(tmp_path / f"{number}")) for number in range(50)]
    assert not store.look()
    (tmp_path / "7").write_bytes(b"xx")
    assert store.look()
    for source in sources:
        source.close()
    assert not store.look()
