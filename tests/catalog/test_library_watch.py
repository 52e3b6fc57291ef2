"""A real directory on the real clock: found within five seconds of the last write."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.catalog.library.library import Library
from services.catalog.library.recipes.load import load_recipes
from services.catalog.library.watch import watch_library
from tests.catalog.images import (
    INITRD,
    KERNEL,
    make_bzimage,
    make_folder,
    make_tarball,
    open_database,
)

LIMIT = 5.0


@asynccontextmanager
async def _watched(base: Path, *, notifications: bool) -> AsyncIterator[Library]:
    database = open_database(base)
    library = Library(base / "images", base, database, load_recipes())
    watching = asyncio.create_task(watch_library(library, notifications=notifications))
    try:
        await library.looked.wait()
        yield library
        assert not watching.done()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        database.close()


async def _until(claim: Callable[[], bool], seconds: float = LIMIT) -> float:
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.02)
    return time.monotonic() - started


def _is_ready(library: Library, image_id: str) -> bool:
    image = library.get(image_id)
    return image is not None and image.is_ready


@pytest.fixture(params=[True, False], ids=["notified", "polling"])
def notifications(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_a_folder_appears_at_once(tmp_path: Path, notifications: bool) -> None:
    ready = make_folder(tmp_path / "elsewhere")
    (tmp_path / "images").mkdir()
    async with _watched(tmp_path, notifications=notifications) as library:
        ready.rename(tmp_path / "images" / "debian-12")
        await _until(lambda: _is_ready(library, "debian-12"))


async def test_the_directory_itself_appears(tmp_path: Path, notifications: bool) -> None:
    async with _watched(tmp_path, notifications=notifications) as library:
        await asyncio.sleep(0.5)
        make_folder(tmp_path / "images")
        await _until(lambda: _is_ready(library, "debian-12"))
        shutil.rmtree(tmp_path / "images")
        await _until(lambda: library.images == ())
        make_tarball(tmp_path / "images" / "netboot.tar.gz")
        await _until(lambda: _is_ready(library, "netboot"))


async def test_a_tarball_appears_slowly(tmp_path: Path) -> None:
    data = make_tarball(tmp_path / "netboot.tar.gz", {"linux": KERNEL, "initrd": INITRD * 3000})
    content = data.read_bytes()
    (tmp_path / "images").mkdir()
    async with _watched(tmp_path, notifications=True) as library:
        with (tmp_path / "images" / "netboot.tar.gz").open("wb", buffering=0) as file:
            for start in range(0, len(content), len(content) // 8 + 1):
                file.write(content[start : start + len(content) // 8 + 1])
                await asyncio.sleep(0.7)
                assert library.images == ()
        await _until(lambda: _is_ready(library, "netboot"), LIMIT - 0.7)


async def test_a_folder_is_copied_slowly_then_replaced_then_removed(
    tmp_path: Path, notifications: bool
) -> None:
    images = tmp_path / "images"
    async with _watched(tmp_path, notifications=notifications) as library:
        folder = make_folder(images, linux=KERNEL)
        for length in range(1, len(INITRD), len(INITRD) // 4):
            (folder / "initrd.gz").write_bytes(INITRD[:length])
            await asyncio.sleep(0.7)
            assert library.images == ()
        (folder / "initrd.gz").write_bytes(INITRD)
        await _until(lambda: _is_ready(library, "debian-12"))

        (folder / ".linux.new").write_bytes(make_bzimage(64))
        (folder / ".linux.new").rename(folder / "linux")
        await _until(lambda: [image.revision for image in library.images] == [2])

        shutil.rmtree(folder)
        gone_after = await _until(lambda: library.images == ())
        assert gone_after < 2.5


async def test_a_description_is_corrected(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "images", description="title = ")
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    async with _watched(tmp_path, notifications=False) as library:
        await _until(lambda: bool(library.images))
        assert library.images[0].problem is not None
        (folder / "image.toml").write_text('title = "Mine"')
        await _until(lambda: library.images[0].title == "Mine")


async def test_a_look_that_fails_is_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path / "images")
    async with _watched(tmp_path, notifications=False) as library:
        look = library.look
        failures = 0

        async def fail_once() -> None:
            nonlocal failures
            failures += 1
            if failures == 1:
                raise OSError(5, "Input/output error")
            await look()

        monkeypatch.setattr(library, "look", fail_once)
        await _until(lambda: _is_ready(library, "debian-12"), 8)
        assert failures > 1
