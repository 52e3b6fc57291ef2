"""Boots on disk: saved with their place in the stream, gone on with after a restart."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bootyard.model.events import BootOutcome, Step
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Learned
from services.catalog.boots import learned, storage
from services.catalog.boots.boot import Boot, boot_number
from services.catalog.boots.journal import BootJournal
from services.catalog.database import Database
from services.catalog.metrics import BootMetrics
from tests.catalog.images import Clock
from tests.catalog.test_boots_timeline import (
    MAC,
    OTHER,
    SNPONLY,
    TARGETS,
    event,
    initrd,
    kernel,
)

NOW = 10_000.0


class Journals:
    """A journal that can be started again from its database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.faults: list[str] = []
        self.clock = Clock(NOW)
        self.start()

    def start(self) -> BootJournal:
        self.registry = CollectorRegistry()
        self.database = Database.open(self._path, (storage.SCHEMA, learned.SCHEMA))
        self.journal = BootJournal(
            self.database,
            BootMetrics(self.registry),
            lambda: TARGETS,
            self.faults.append,
            self.clock,
        )
        return self.journal

    def restart(self) -> BootJournal:
        self.database.close()
        return self.start()

    def counted(self, outcome: BootOutcome) -> float | None:
        labels = {"firmware": "uefi-x64", "outcome": outcome.value}
        return self.registry.get_sample_value("bootyard_boots_total", labels)


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[Journals]:
    made = Journals(tmp_path / "catalog.db")
    yield made
    made.database.close()


async def test_a_boot_goes_on_after_a_restart(journals: Journals) -> None:
    await journals.journal.receive([("5-0", event("discovered", 1)), ("6-0", event("loader", 4))])
    assert journals.journal.position == "6-0"
    journal = journals.restart()
    assert journal.position == "6-0"
    await journal.receive([("7-0", event("script", 5)), ("8-0", kernel(6)), ("9-0", initrd(7))])
    boot = await journal.find(1)
    assert boot is not None
    assert [step.step for step in boot.steps] == [
        *("discovered", "loader", "script", "kernel", "initrd")
    ]
    assert journals.counted(BootOutcome.RUNNING) == 1
    journal = journals.restart()
    await journal.receive([("10-0", event("discovered", 90))])
    assert journals.counted(BootOutcome.RUNNING) == 0, "it was counted by the life before"
    assert [boot.id for boot in await journal.page(10, None, None, None)] == ["b-2", "b-1"]


async def test_own_events_are_not_taken_from_the_stream(journals: Journals) -> None:
    own = replace(event("script", 1), service="catalog")
    await journals.journal.receive([("1-0", own)])
    assert journals.journal.position == "1-0"
    assert await journals.journal.page(10, None, None, None) == []


async def test_pages_and_filters(journals: Journals) -> None:
    for at in (1, 2, 3):
        mac = MACAddress(f"52:54:00:00:00:0{at}")
        journals.journal.observe(event("discovered", at, mac=mac))
    journals.journal.observe(event("done", 5, mac=OTHER))
    page = journals.journal.page
    assert [boot.id for boot in await page(2, None, None, None)] == ["b-3", "b-2"]
    assert [boot.id for boot in await page(2, 2, None, None)] == ["b-1"]
    assert [boot.id for boot in await page(9, None, OTHER, None)] == ["b-2"]
    assert [boot.id for boot in await page(9, None, None, True)] == ["b-3", "b-1"]
    assert [boot.id for boot in await page(9, None, OTHER, True)] == []


async def test_what_cannot_be_saved_is_saved_later(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(storage, "save", full)
        await journals.journal.receive([("1-0", event("discovered", 1))])
    await journals.journal.save()
    journal = journals.restart()
    assert journal.position == "1-0"
    assert journal.timeline.current(MAC) is not None


async def test_a_fault_loses_one_event_only(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(journals.journal.timeline, "observe", lambda *_: 1 / 0)
        await journals.journal.receive([("1-0", event("discovered", 1))])
    await journals.journal.receive([("2-0", event("discovered", 2))])
    assert journals.faults == ["timeline"]
    assert journals.journal.timeline.current(MAC) is not None


async def test_silent_boots_are_closed_while_it_runs(journals: Journals) -> None:
    journals.journal.observe(event("loader", 1))
    keeping = asyncio.create_task(journals.journal.keep())
    try:
        async with asyncio.timeout(10):
            while journals.journal.timeline.current(MAC) is not None:
                await asyncio.sleep(0.02)
    finally:
        keeping.cancel()
    assert journals.counted(BootOutcome.STOPPED_LOADER) == 1


def fetch_the_loader(journal: BootJournal) -> None:
    journal.observe(event("discovered", NOW - 5))
    journal.observe(event("loader", NOW - 1, path=SNPONLY, outcome="complete"))


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not claim():
            await asyncio.sleep(0.02)


async def test_silence_teaches_while_it_runs_and_outlives_a_restart(journals: Journals) -> None:
    journal, urgent = journals.journal, list[float]()
    journal.on_urgent(lambda: urgent.append(journals.clock.now))
    fetch_the_loader(journal)
    keeping = asyncio.create_task(journal.keep())
    try:
        journals.clock.now += 14
        await until(lambda: journal._to_save.is_set() is False)
        assert journal.learned == {}
        journals.clock.now += 2
        await until(lambda: bool(urgent))
    finally:
        keeping.cancel()
    assert urgent == [NOW + 16]
    assert journal.learned == {MAC: Learned(secure_boot="probable")}
    boot = await journal.find(1)
    assert boot is not None
    assert boot.outcome is BootOutcome.SECURE_BOOT
    assert journals.restart().learned == {MAC: Learned(secure_boot="probable")}


async def test_what_happened_while_the_catalog_was_away_is_waited_for(journals: Journals) -> None:
    fetch_the_loader(journals.journal)
    await journals.journal.save()
    journals.clock.now += 3600
    journal = journals.restart()
    journal._review()
    assert journal.learned == {}, "the script's event may be the next one in the stream"
    journals.clock.now += 16
    journal._review()
    assert journal.learned[MAC].secure_boot == "probable"


async def test_what_was_learned_and_cannot_be_saved_is_saved_later(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    offered = event("offered", 1, stage="rom", strategy=OfferStrategy.MENU, detail=SNPONLY)
    journals.journal.observe(offered)
    journals.journal.observe(event("loader", 4, path=SNPONLY, outcome="complete"))
    with monkeypatch.context() as patched:
        patched.setattr(learned, "save", full)
        await journals.journal.save()
    assert journals.journal.learned[MAC].offer is OfferStrategy.MENU
    await journals.journal.save()
    assert journals.restart().learned[MAC].offer is OfferStrategy.MENU


async def test_only_the_latest_lesson_is_written(journals: Journals) -> None:
    journal = journals.journal
    fetch_the_loader(journal)
    journal.observe(event("discovered", NOW))
    journals.clock.now += 3
    journal._review()
    assert journal.learned[MAC].dead_ends == (LoaderName.SNPONLY,)
    journal.observe(event("loader", NOW + 1, path=SNPONLY, outcome="complete"))
    journal.observe(event("script", NOW + 2))
    assert MAC not in journal.learned
    await journal.save()
    assert journals.restart().learned == {}


async def test_who_watches_is_told_of_kernels_and_changes(journals: Journals) -> None:
    kernels: list[str] = []
    changes: list[str] = []
    journals.journal.on_kernel(lambda boot: kernels.append(boot.id))
    journals.journal.on_change(lambda boot: changes.append(boot.steps[-1].step))
    journals.journal.observe(event("script", 1))
    journals.journal.observe(kernel(2, "client_abort"))
    assert kernels == []
    journals.journal.observe(kernel(3))
    assert kernels == ["b-1"]
    assert changes == [Step.SCRIPT, Step.KERNEL, Step.KERNEL]


def test_old_boots_are_pruned_but_never_open_ones(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MAX_BOOTS", 3)
    boots = [Boot(number=n, mac=MAC, started=n, last=n, closed=n) for n in range(1, 9)]
    boots[0].closed = None
    rows = [storage.row_of(boot) for boot in boots]
    journals.database.run_blocking(storage.save, rows, "1-0")
    kept = journals.database.run_blocking(storage.page, 100)
    assert [boot.number for boot in kept] == [8, 7, 6, 1]
    loaded, following, position = journals.database.run_blocking(storage.load)
    assert ({boot.number for boot in loaded}, following, position) == ({1, 6, 7, 8}, 9, "1-0")


@pytest.mark.parametrize(
    ("name", "number"),
    [("b-41", 41), ("41", None), ("b-", None), ("b--1", None), ("b-1e3", None), ("b-٣", None)],
)
def test_ids(name: str, number: int | None) -> None:
    assert boot_number(name) == number
