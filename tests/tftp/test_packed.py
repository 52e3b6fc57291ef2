"""Prebuilt packets are what the state machine would make, and stay within their bounds."""

import ctypes
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootyard.model.snapshot import Fingerprint, Root, Slice
from services.tftp.batches import ACK_HEADS
from services.tftp.content import ContentStore, SliceSource
from services.tftp.packed import CHUNK_BLOCKS, NEVER, Chunk, PacketCache, blocks_per_chunk, pack
from services.tftp.source import read_blocks
from services.tftp.transfer import MEASURED_EVERY

CONTENT = os.urandom(70_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    (folder / "file").write_bytes(CONTENT)
    os.utime(folder / "file", (1, 1))
    return folder


def open_slice(folder: Path, *extents: tuple[int, int]) -> SliceSource:
    status = (folder / "file").stat()
    content = Slice(
        root=Root.IMAGES,
        path="file",
        extents=extents or ((0, status.st_size),),
        fingerprint=Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino),
    )
    source = ContentStore(lambda _: folder).open(content)
    assert isinstance(source, SliceSource)
    return source


def packets_of(chunk: Chunk) -> list[bytes]:
    """Read the packets as the kernel does, by their vectors."""
    words = [(ctypes.c_size_t * 2).from_address(vector) for vector in chunk.vectors]
    return [ctypes.string_at(address, length) for address, length in words]


@settings(max_examples=100, deadline=None)
@given(
    extents=st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 5000)), max_size=4),
    block_size=st.sampled_from([8, 100, 512, 1428, 8192, 65464]),
)
def test_packets_are_those_of_the_state_machine(
    folder: Path, extents: list[tuple[int, int]], block_size: int
) -> None:
    source = open_slice(folder, *extents)
    cache = PacketCache()
    last_block = source.size // block_size + 1
    block = 1
    while block <= last_block:
        chunk = cache.chunk(source, block_size, block)
        assert chunk is not None
        assert chunk.first == block
        count = len(chunk.vectors)
        assert packets_of(chunk) == read_blocks(source, block, count, block_size)
        assert bytes(chunk.packets) == b"".join(packets_of(chunk))
        block += count
    assert block == last_block + 1
    source.close()


def test_block_numbers_roll_over(folder: Path) -> None:
    with (folder / "long").open("wb") as long:
        long.truncate(8 * 70_000)
    source = ContentStore(lambda _: folder).open(
        Slice(root=Root.LOADERS, path="long", extents=((0, 0),))
    )
    assert isinstance(source, SliceSource)
    chunk = pack(source, 8, 65_530, 20)
    assert chunk is not None
    numbers = [int.from_bytes(packet[2:4], "big") for packet in packets_of(chunk)]
    assert numbers == [block & 0xFFFF for block in range(65_530, 65_550)]
    usual = [block for block in range(65_530, 65_549) if block % MEASURED_EVERY]
    heads = [chunk.steps_of(1).acks[block - 65_530] for block in usual]
    assert heads == [ACK_HEADS[block & 0xFFFF] for block in usual]


def test_what_needs_a_closer_look_is_never_usual(folder: Path) -> None:
    source = open_slice(folder, (0, 512 * 100))
    first = pack(source, 512, 1, CHUNK_BLOCKS)
    last = pack(source, 512, CHUNK_BLOCKS + 1, CHUNK_BLOCKS)
    assert first is not None
    assert last is not None
    assert NEVER not in first.steps_of(1).acks
    assert first.steps_of(3).acks.index(NEVER) == CHUNK_BLOCKS // 3 - 1  # the next is in two chunks
    odd = [block for block, ack in enumerate(last.steps_of(1).acks, last.first) if ack == NEVER]
    assert odd == [101]


def test_some_round_trips_are_measured(folder: Path) -> None:
    source = open_slice(folder, (0, 8 * 2 * MEASURED_EVERY))
    chunk = pack(source, 8, 1, 2 * MEASURED_EVERY - 2)
    assert chunk is not None
    odd = [block for block, ack in enumerate(chunk.steps_of(1).acks, 1) if ack == NEVER]
    assert odd == [MEASURED_EVERY]


def test_a_changed_file_makes_no_packets(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    source = open_slice(tmp_path)
    cache = PacketCache()
    assert cache.chunk(source, 512, 1) is not None
    os.truncate(tmp_path / "file", 600)
    assert cache.chunk(source, 512, 65) is None
    assert source.has_changed


def test_packets_of_a_file_that_was_just_written_are_not_kept(tmp_path: Path) -> None:
    """Its next change might not show: times of files are as coarse as the clock's ticks."""
    (tmp_path / "file").write_bytes(CONTENT)
    source, cache = open_slice(tmp_path), PacketCache()
    assert cache.chunk(source, 512, 1) is not cache.chunk(source, 512, 1)


def test_transfers_of_a_file_share_its_packets_within_a_bound(folder: Path) -> None:
    cache = PacketCache(limit=3 * (512 + 4) * CHUNK_BLOCKS)
    source, other = open_slice(folder), open_slice(folder)
    first = cache.chunk(source, 512, 1)
    assert cache.chunk(other, 512, 1) is first
    assert cache.chunk(other, 512, CHUNK_BLOCKS) is first
    assert cache.chunk(source, 600, 1) is not first
    for block in range(1, 137, CHUNK_BLOCKS):
        cache.chunk(source, 512, block)
        cache.chunk(source, 400, block)
    assert cache.chunk(source, 512, 1) is not first
    assert cache.bytes_kept <= 3 * (512 + 4) * CHUNK_BLOCKS


@pytest.mark.parametrize("block_size", [8, 512, 1468, 8192, 65464])
def test_chunks_are_bounded(block_size: int) -> None:
    count = blocks_per_chunk(block_size)
    assert count * block_size <= 65464
    assert CHUNK_BLOCKS % count == 0
