"""A disk over HTTP: whatever is read of it first is the kernel of the boot that reads it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from bootyard.boot.tree import BootTree
from bootyard.model.events import BootEvent, BootOutcome, OfferStage, Step
from bootyard.model.snapshot import BootTarget, Fingerprint, Image, Root, Slice, TargetKind
from services.catalog import boot_once
from services.catalog.boots.boot import Boot
from tests.catalog.http_catalog import NUC, NUC_IP, Running, running_catalog

SIZE = 300_000
PATH = "/tree/images/tool@1.iso"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_catalog(tmp_path) as running:
        disc = running.images_dir / "tool.iso"
        disc.write_bytes(bytes(SIZE))
        found = disc.stat()
        whole = Slice(
            root=Root.IMAGES,
            path="tool.iso",
            extents=((0, SIZE),),
            fingerprint=Fingerprint(found.st_size, found.st_mtime_ns, found.st_ino),
        )
        image = Image(id="tool", revision=1, title="Tool", architectures=(), files={}, whole=whole)
        target = BootTarget(
            id="tool", image="tool", title="Tool", kind=TargetKind.TOOL, kernel="", loader="sanboot"
        )
        snapshot = msgspec.structs.replace(
            running.service.snapshots.snapshot, images={"tool": image}, targets={"tool": target}
        )
        running.service.snapshots.adopt(BootTree(snapshot))
        yield running


def switch_on(catalog: Running) -> None:
    steps = (Step.DISCOVERED, Step.SCRIPT)
    for number, step in enumerate(steps):
        catalog.catalog.journal.observe(
            BootEvent(
                service="test",
                run="1",
                sequence=number,
                time=catalog.catalog.journal._clock(),
                step=step,
                stage=OfferStage.ROM if step is Step.DISCOVERED else None,
                mac=NUC,
                ip=NUC_IP,
            )
        )


async def read(catalog: Running, method: str, span: str | None = None) -> None:
    headers = {} if span is None else {"Range": f"bytes={span}"}
    async with (
        catalog.client(NUC_IP) as client,
        client.request(method, PATH, headers=headers) as got,
    ):
        assert got.status == (206 if span and method == "GET" else 200)
        await got.read()


def boot_of(catalog: Running) -> Boot:
    boot = catalog.catalog.journal.timeline.latest(NUC)
    assert boot is not None
    return boot


async def test_the_first_sector_that_is_read_is_the_kernel_and_is_told_once(
    catalog: Running,
) -> None:
    switch_on(catalog)
    await read(catalog, "HEAD")
    assert not boot_of(catalog).has_kernel
    for span in ("512-1023", "32768-34815", f"{SIZE - 512}-{SIZE - 1}"):
        await read(catalog, "GET", span)
    boot = boot_of(catalog)
    kernels = [step for step in boot.steps if step.step is Step.KERNEL]
    assert [(k.image, k.path, k.bytes) for k in kernels] == [("tool", "images/tool@1.iso", 512)]
    assert (boot.image, boot.outcome) == ("tool", BootOutcome.RUNNING)


async def test_a_machine_that_has_its_kernel_reads_an_image_without_a_word(
    catalog: Running,
) -> None:
    switch_on(catalog)
    await read(catalog, "GET", "0-511")
    await read(catalog, "GET")
    assert sum(step.step is Step.KERNEL for step in boot_of(catalog).steps) == 1


async def test_a_whole_image_that_nothing_starts_as_a_disk_is_no_kernel(catalog: Running) -> None:
    snapshot = msgspec.structs.replace(catalog.service.snapshots.snapshot, targets={})
    catalog.service.snapshots.adopt(BootTree(snapshot))
    switch_on(catalog)
    await read(catalog, "GET")
    assert not boot_of(catalog).has_kernel


async def test_that_a_disk_is_sent_is_noted_before_a_machine_can_have_it(catalog: Running) -> None:
    switch_on(catalog)
    database, journal = catalog.parts.database, catalog.catalog.journal
    boot = journal.timeline.current(NUC)
    assert boot is not None
    await journal.secure()
    now = journal._clock()
    database.run_blocking(boot_once.arm, NUC, "tool", now, now + 60)
    assert await catalog.catalog.machines.bind(NUC, boot.id) is None, "the library has it not"
    assert await catalog.catalog.machines.bind(NUC, boot.id, bootable={"tool"}) == "tool"
    noted: list[object] = []

    def look(_: Boot) -> None:
        query = "SELECT kernel_at IS NOT NULL FROM boot_once"
        noted.extend(database.run_blocking(lambda c: c.execute(query).fetchone()))

    journal._on_kernel.insert(0, look)
    await read(catalog, "GET", "0-2047")
    await read(catalog, "GET", "4096-8191")
    assert noted == [1], "and what is read later is nothing new"
