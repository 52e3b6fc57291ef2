"""The whole way, in a running catalog: events come in, the next snapshot says what they taught."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from bootyard.model.loaders import LoaderName
from services.catalog.boot_once import BootOnceState
from tests.catalog.http_catalog import NUC, NUC_IP, Running, running_catalog, write_image
from tests.catalog.test_learning import START, loader, switched_on


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    write_image(tmp_path / "images", "debian-12")
    async with running_catalog(tmp_path) as catalog:
        publishing = asyncio.create_task(catalog.catalog.publisher.run())
        yield catalog
        publishing.cancel()
        await asyncio.wait([publishing])


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not claim():
            await asyncio.sleep(0.02)


async def test_firmware_that_gave_its_loader_up_is_offered_the_signed_chain(
    running: Running,
) -> None:
    now = time.time()
    for told in (*switched_on(0), loader(5), *switched_on(20)):
        event = replace(told, mac=NUC, time=now - 30 + told.time - START)
        running.catalog.journal.observe(event)
    snapshots = running.service.snapshots
    await until(lambda: snapshots.snapshot.learned_of(NUC).secure_boot == "probable")
    assert snapshots.snapshot.learned_of(NUC).dead_ends == (LoaderName.SNPONLY,)
    assert NUC not in snapshots.snapshot.machines, "nobody had said anything about it"
    async with running.client() as client, client.get(f"/api/v1/boots?mac={NUC}") as got:
        boots = (await got.json())["items"]
    assert [boot["outcome"] for boot in boots] == ["running", "secure_boot"]
    assert "probably" in boots[1]["verdict"]


async def test_what_is_armed_is_published_until_its_kernel_was_taken(running: Running) -> None:
    snapshots = running.service.snapshots
    await running.arm(NUC, "debian-12")
    await until(lambda: snapshots.snapshot.armed == {NUC: "debian-12"})
    assert "boot-once" in await running.script(NUC_IP, NUC)
    revision = snapshots.snapshot.images["debian-12"].revision
    await running.take(NUC_IP, f"images/debian-12@{revision}/linux")
    await until(lambda: snapshots.snapshot.armed == {})
    await until(lambda: not running.parts.burner._taken)
    record = await running.catalog.machines.get(NUC)
    assert record is not None
    assert record.boot_once is not None
    assert record.boot_once.state is BootOnceState.BURNED
