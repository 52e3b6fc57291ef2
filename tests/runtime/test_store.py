"""The store against a real Valkey that is killed, frozen, flushed and absent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from bootyard.model.events import BootEvent, Step
from bootyard.runtime import store as store_module
from bootyard.runtime.store import EVENTS_KEY, SNAPSHOT_KEY, Store
from tests.redis_server import RedisServer
from tests.samples import snapshot


class Health:
    def __init__(self) -> None:
        self.up = False
        self.dropped = 0

    def redis_up(self, up: bool) -> None:
        self.up = up

    def events_dropped(self, count: int) -> None:
        self.dropped += count


class Reader:
    """One service: follows the snapshot and reads events."""

    def __init__(self, url: str) -> None:
        self.health = Health()
        self.store = Store(url, self.health)
        self.documents: list[bytes] = []
        self.events: list[BootEvent] = []

    async def take_document(self, document: bytes) -> None:
        self.documents.append(document)

    async def take_events(self, batch: list[tuple[str, BootEvent]]) -> None:
        self.events += [event for _, event in batch]


def event(sequence: int) -> BootEvent:
    return BootEvent(service="tftp", run="r", sequence=sequence, time=1.0, step=Step.LOADER)


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def running(store: Store, reader: Reader) -> AsyncIterator[None]:
    async with in_background(
        store.keep_published(),
        store.send_events(),
        reader.store.follow_snapshot(reader.take_document),
        reader.store.read_events("0", reader.take_events),
    ):
        yield


OLD, NEW = snapshot(number=1).to_json(), snapshot(number=2).to_json()


async def test_a_published_snapshot_arrives_and_events_too() -> None:
    async with RedisServer() as server:
        store, reader = Store(server.url, Health()), Reader(server.url)
        async with running(store, reader):
            store.publish(OLD)
            store.add_event(event(1))
            await until(lambda: reader.documents == [OLD] and reader.events == [event(1)])
            store.publish(NEW)
            await until(lambda: reader.documents == [OLD, NEW])


async def test_redis_killed_comes_back_empty() -> None:
    async with RedisServer() as server:
        health = Health()
        store, reader = Store(server.url, health), Reader(server.url)
        async with running(store, reader):
            store.publish(OLD)
            await until(lambda: reader.documents == [OLD] and health.up)
            server.kill()
            store.publish(NEW)
            store.add_event(event(1))
            await until(lambda: not health.up)
            await server.start()
            await until(lambda: NEW in reader.documents and event(1) in reader.events)
            assert health.up


async def test_what_redis_took_with_it_is_sent_again() -> None:
    async with RedisServer() as server:
        health = Health()
        store, reader = Store(server.url, health), Reader(server.url)
        async with in_background(store.send_events()):
            store.add_event(event(1))
            await until(lambda: health.up)
            await store.events_sent(10)
            server.kill()  # and nobody had read it
            store.add_event(event(2))
            await until(lambda: not health.up)
            await server.start()
            async with in_background(reader.store.read_events("0", reader.take_events)):
                await until(lambda: [e.sequence for e in reader.events] == [1, 2])


async def test_redis_absent_from_the_beginning() -> None:
    async with RedisServer() as server:
        server.kill()
        health = Health()
        store, reader = Store(server.url, health), Reader(server.url)
        async with running(store, reader):
            store.publish(OLD)
            store.add_event(event(1))
            await asyncio.sleep(0.3)
            assert not health.up
            await server.start()
            await until(lambda: reader.documents == [OLD] and reader.events == [event(1)])


async def test_redis_flushed_is_filled_again() -> None:
    async with RedisServer() as server:
        store, reader = Store(server.url, Health()), Reader(server.url)
        async with running(store, reader), redis.asyncio.Redis.from_url(server.url) as client:
            store.publish(OLD)
            await until(lambda: reader.documents == [OLD])
            await client.flushall()
            async with asyncio.timeout(10):
                while await client.get(SNAPSHOT_KEY) != OLD:
                    await asyncio.sleep(0.05)
            store.add_event(event(1))
            await until(lambda: reader.events == [event(1)])


async def test_redis_frozen_delays_nobody_and_loses_nothing() -> None:
    async with RedisServer() as server:
        health = Health()
        store, reader = Store(server.url, health), Reader(server.url)
        async with running(store, reader):
            store.publish(OLD)
            await until(lambda: reader.documents == [OLD] and health.up)
            server.freeze()
            started = asyncio.get_running_loop().time()
            for sequence in range(1000):
                store.add_event(event(sequence))
            # Adding waits for nothing; far below what a command on a frozen server takes.
            assert asyncio.get_running_loop().time() - started < store_module.COMMAND_TIMEOUT
            await until(lambda: not health.up)
            server.thaw()
            await until(lambda: {e.sequence for e in reader.events} == set(range(1000)))


async def test_the_oldest_events_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUFFERED_EVENTS", 10)
    async with RedisServer() as server:
        health = Health()
        store, reader = Store(server.url, health), Reader(server.url)
        for sequence in range(15):
            store.add_event(event(sequence))
        assert health.dropped == 5
        async with running(store, reader):
            await until(lambda: len(reader.events) == 10)
        assert [e.sequence for e in reader.events] == list(range(5, 15))


async def test_entries_that_are_no_events_are_passed_over() -> None:
    async with RedisServer() as server:
        store, reader = Store(server.url, Health()), Reader(server.url)
        async with redis.asyncio.Redis.from_url(server.url) as client:
            await client.xadd(EVENTS_KEY, {"event": b"not json"})
            await client.xadd(EVENTS_KEY, {"other": b"field"})
            store.add_event(event(1))
            async with running(store, reader):
                await until(lambda: reader.events == [event(1)])


async def test_the_last_events_are_waited_for_but_not_while_redis_is_away() -> None:
    async with RedisServer() as server:
        store, reader = Store(server.url, Health()), Reader(server.url)
        async with running(store, reader):
            store.publish(OLD)
            await until(lambda: reader.documents == [OLD])
            store.add_event(event(1))
            await store.events_sent(10)
            await until(lambda: reader.events == [event(1)])
        server.kill()
        absent = Store(server.url, Health())
        absent.add_event(event(2))
        async with asyncio.timeout(1):
            await absent.events_sent(10)


async def test_tasks_end_when_they_are_cancelled_while_redis_thaws() -> None:
    # The client may fail while it closes a connection, and lose the cancellation by that.
    async with RedisServer() as server:
        for wait in (0.0, 0.0, 0.01, 0.01, 0.1, 0.1):
            store, reader = Store(server.url, Health()), Reader(server.url)
            async with asyncio.timeout(30), running(store, reader):
                store.publish(OLD)
                await asyncio.sleep(0.05)
                server.freeze()
                store.add_event(event(1))
                await asyncio.sleep(store_module.COMMAND_TIMEOUT + 0.1)
                server.thaw()
                await asyncio.sleep(wait)
