"""Server-sent events: one message a change, and nothing missed by who comes back."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from services.catalog.boots.boot import Boot
from services.catalog.http import watching
from services.catalog.http.feed import BootFeed
from tests.catalog.http_catalog import NUC, NUC_IP, PI_IP, Running, running_catalog, write_image

STOPS_SECONDS = 30.0


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Running]:
    write_image(tmp_path / "images", "debian-12")
    async with running_catalog(tmp_path) as running:
        yield running


async def message(got: ClientResponse) -> dict[str, Any]:
    """Read one message; comments (heartbeats) are passed over."""
    fields: dict[str, Any] = {}
    async with asyncio.timeout(10):
        while True:
            line = (await got.content.readline()).decode().rstrip("\r\n")
            if not line and fields:
                fields["data"] = json.loads(fields["data"])
                return fields
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value


async def test_a_change_is_a_message(catalog: Running) -> None:
    async with catalog.client() as client, client.get("/api/v1/events") as got:
        assert got.content_type == "text/event-stream"
        await catalog.script(NUC_IP, NUC)
        first = await message(got)
        assert (first["event"], first["data"]["id"]) == ("boot", "b-1")
        last = first
        while len(last["data"]["steps"]) < 2:
            last = await message(got)
        assert [step["step"] for step in last["data"]["steps"]] == ["script", "menu"]
        assert last["data"]["mac"] == NUC


async def test_who_comes_back_misses_nothing(catalog: Running) -> None:
    async with catalog.client() as client, client.get("/api/v1/events") as got:
        await catalog.script(NUC_IP, NUC)
        seen = await message(got)
        while len(seen["data"]["steps"]) < 2:
            seen = await message(got)
    await catalog.script(PI_IP)
    await catalog.script(NUC_IP, NUC, "&selected=local-disk")
    headers = {"Last-Event-ID": seen["id"]}
    async with catalog.client() as client, client.get("/api/v1/events", headers=headers) as got:
        missed = [await message(got), await message(got)]
    assert [(m["data"]["id"], m["data"]["outcome"]) for m in missed] == [
        ("b-2", "running"),
        ("b-1", "local_disk"),
    ]


@pytest.mark.parametrize("last_id", ["gone-7", "nonsense", "-"])
async def test_after_a_restart_everything_that_is_known_comes_again(
    catalog: Running, last_id: str
) -> None:
    await catalog.script(NUC_IP, NUC)
    headers = {"Last-Event-ID": last_id}
    async with catalog.client() as client, client.get("/api/v1/events", headers=headers) as got:
        assert (await message(got))["data"]["id"] == "b-1"


async def test_there_is_room_for_so_many(catalog: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_WATCHERS", 1)
    async with catalog.client() as client, client.get("/api/v1/events") as got:
        assert got.status == 200
        async with catalog.client() as other, other.get("/api/v1/events") as refused:
            assert refused.status == 503
            assert refused.content_type == "application/problem+json"
    async with asyncio.timeout(10):
        while catalog.catalog.feed.watchers:
            await asyncio.sleep(0.05)


async def test_heartbeats(catalog: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "HEARTBEAT_SECONDS", 0.05)
    async with catalog.client() as client, client.get("/api/v1/events") as got:
        async with asyncio.timeout(5):
            assert (await got.content.readline()).startswith(b":")


async def test_watchers_are_let_go_when_the_service_stops(tmp_path: Path) -> None:
    write_image(tmp_path / "images", "debian-12")
    # aiohttp would wait a minute for a handler that does not end by itself.
    async with asyncio.timeout(None) as stop_soon, running_catalog(tmp_path) as running:
        client = running.client()
        got = await client.get("/api/v1/events")
        stop_soon.reschedule(asyncio.get_running_loop().time() + STOPS_SECONDS)
    got.close()
    await client.close()


def test_a_feed_forgets_the_oldest_and_tells_each_boot_once() -> None:
    async def fill() -> None:
        feed = BootFeed()
        start = feed.position(None)
        boots = [Boot(number=n, mac=NUC, started=n, last=n) for n in range(3)]
        for boot in (*boots, boots[0]):
            feed.boot_changed(boot)
        assert [boot.number for _, boot in feed.since(start)] == [1, 2, 0]
        position = feed.position(feed.id_of(3))
        assert [boot.number for _, boot in feed.since(position)] == [0]
        assert feed.since(feed.position(None)) == []

    asyncio.run(fill())
