"""Redis: distributes the snapshot and carries boot events. Nothing here is the truth.

`bootyard:snapshot` (document), channel `bootyard:snapshot` (a hint that it changed) and stream
`bootyard:events`. No boot path waits for any of it: reads come from memory, events go through a
bounded buffer, and every command has a time limit of its own (the client's defaults block for a
minute on a frozen server).
"""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import redis.asyncio
import redis.exceptions

from bootyard.model.document import DocumentInvalid, decode, encode
from bootyard.model.errors import StoreUnavailable
from bootyard.model.events import BootEvent
from bootyard.runtime.log import get_logger
from bootyard.runtime.waiting import wait_at_most

log = get_logger(__name__)

SNAPSHOT_KEY = "bootyard:snapshot"
EVENTS_KEY = "bootyard:events"
EVENT_FIELD = "event"

COMMAND_TIMEOUT = 1.0
POLL_SECONDS = 2.0
IDENTITY_BYTES = 128
"""The document starts with schema, epoch and number: enough to tell one from another."""
BUFFERED_EVENTS = 10_000
STREAM_LENGTH = 50_000
BATCH = 200
SENT_AT_ONCE = 32
"""Events in one command: hundreds would keep the loop from answering machines for milliseconds."""
SENT_AGAIN_SECONDS = 10.0

_FAILURES = (redis.exceptions.RedisError, OSError, TimeoutError)


class StoreHealth(Protocol):
    """Is told whether Redis answers, and of events that were lost."""

    def redis_up(self, up: bool) -> None:
        """Redis answered, or did not."""

    def events_dropped(self, count: int) -> None:
        """Events were lost because the buffer was full."""


class Store:
    """One service's connection to Redis; each of its tasks runs until it is cancelled."""

    def __init__(self, url: str | None, health: StoreHealth) -> None:
        self._url = url
        self._health = health
        self._up: bool | None = None
        self._events: deque[bytes] = deque()
        self._just_sent: deque[tuple[float, bytes]] = deque(maxlen=BUFFERED_EVENTS)
        self._events_waiting = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._document: bytes | None = None
        self._document_changed = asyncio.Event()

    def add_event(self, event: BootEvent) -> None:
        """Queue an event for the stream."""
        self.add_document(encode(event))

    def add_document(self, event: bytes) -> None:
        """Queue an encoded event; the oldest is dropped, and counted, when the buffer is full."""
        if len(self._events) >= BUFFERED_EVENTS:
            self._events.popleft()
            self._health.events_dropped(1)
        self._events.append(event)
        self._all_sent.clear()
        self._events_waiting.set()

    def publish(self, document: bytes) -> None:
        """Make this the snapshot in Redis, now and whenever Redis turns up without it."""
        self._document = document
        self._document_changed.set()

    async def send_events(self) -> None:
        """Move queued events to the stream."""
        await self._run(self._send_events)

    async def events_sent(self, seconds: float) -> None:
        """Wait until no event is queued, for `seconds` at most; not at all while Redis is away."""
        if self._up:
            await wait_at_most(self._all_sent, seconds)

    async def keep_published(self) -> None:
        """Keep the snapshot in Redis: it may be flushed, restarted or replaced."""
        await self._run(self._keep_published)

    async def follow_snapshot(self, receive: Callable[[bytes], Awaitable[None]]) -> None:
        """Give every new document to `receive`."""
        await self._run(lambda client: self._follow_snapshot(client, receive))

    async def read_events(
        self, last_id: str, receive: Callable[[list[tuple[str, BootEvent]]], Awaitable[None]]
    ) -> None:
        """Give batches of events after `last_id` to `receive`, with their stream ids."""
        position = last_id

        async def read(client: redis.asyncio.Redis) -> None:
            nonlocal position
            while True:
                _end_if_cancelled()
                batch = await self._read_batch(client, position)
                if batch:
                    await receive([(i, e) for i, e in batch if e is not None])
                    position = batch[-1][0]

        await self._run(read)

    async def _run(self, use: Callable[[redis.asyncio.Redis], Awaitable[None]]) -> None:
        """Give `use` a connection, again and again: Redis may go away and come back."""
        if self._url is None:
            return
        delay = 0.1
        while True:
            client = redis.asyncio.Redis.from_url(
                self._url,
                socket_timeout=COMMAND_TIMEOUT,
                socket_connect_timeout=COMMAND_TIMEOUT,
                retry=None,
                decode_responses=False,
            )
            try:
                async with asyncio.timeout(COMMAND_TIMEOUT):
                    await client.ping()
                self._note(up=True)
                delay = 0.1
                await use(client)
            except _FAILURES as error:
                _end_if_cancelled()
                self._note(up=False, error=error)
            finally:
                await _close(client)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, 5.0)

    def _note(self, *, up: bool, error: Exception | None = None) -> None:
        if up is not self._up:
            if up:
                log.info("redis answers")
            else:
                log.warning("redis does not answer", error=str(error) or type(error).__name__)
            self._up = up
        self._health.redis_up(up)

    async def _send_events(self, client: redis.asyncio.Redis) -> None:
        # What Redis took just before it died is gone with it, perhaps unread: it is sent again.
        # The catalog knows an event it has seen by its service, run and sequence.
        self._events.extendleft(event for _, event in reversed(self._just_sent))
        self._just_sent.clear()
        while True:
            _end_if_cancelled()
            if not self._events:
                self._all_sent.set()
                self._events_waiting.clear()
                await self._events_waiting.wait()
            batch = list(itertools.islice(self._events, SENT_AT_ONCE))
            async with asyncio.timeout(COMMAND_TIMEOUT), client.pipeline(transaction=False) as pipe:
                for event in batch:
                    _ = pipe.xadd(EVENTS_KEY, {EVENT_FIELD: event}, maxlen=STREAM_LENGTH)
                await pipe.execute()
            now = asyncio.get_running_loop().time()
            while self._just_sent and now - self._just_sent[0][0] > SENT_AGAIN_SECONDS:
                self._just_sent.popleft()
            self._just_sent.extend((now, event) for event in batch)
            for event in batch:
                # The buffer may have dropped some of them meanwhile.
                if self._events and self._events[0] is event:
                    self._events.popleft()

    async def _keep_published(self, client: redis.asyncio.Redis) -> None:
        while True:
            _end_if_cancelled()
            self._document_changed.clear()
            document = self._document
            if document is not None:
                async with asyncio.timeout(COMMAND_TIMEOUT):
                    held = await client.getrange(SNAPSHOT_KEY, 0, IDENTITY_BYTES - 1)
                    if held != document[:IDENTITY_BYTES]:
                        await client.set(SNAPSHOT_KEY, document)
                        await client.publish(SNAPSHOT_KEY, document[:IDENTITY_BYTES])
            await wait_at_most(self._document_changed, POLL_SECONDS)

    async def _follow_snapshot(
        self, client: redis.asyncio.Redis, receive: Callable[[bytes], Awaitable[None]]
    ) -> None:
        last = b""
        async with client.pubsub() as hints:
            await hints.subscribe(SNAPSHOT_KEY)
            while True:
                _end_if_cancelled()
                async with asyncio.timeout(COMMAND_TIMEOUT):
                    held = await client.getrange(SNAPSHOT_KEY, 0, IDENTITY_BYTES - 1)
                    document = await client.get(SNAPSHOT_KEY) if held not in {b"", last} else None
                if isinstance(document, bytes):
                    last = document[:IDENTITY_BYTES]
                    await receive(document)
                async with asyncio.timeout(POLL_SECONDS + COMMAND_TIMEOUT):
                    await hints.get_message(timeout=POLL_SECONDS)

    async def _read_batch(
        self, client: redis.asyncio.Redis, position: str
    ) -> list[tuple[str, BootEvent | None]]:
        # Blocking for less than the command's time limit, so that a frozen server is noticed.
        async with asyncio.timeout(COMMAND_TIMEOUT * 2):
            answer = await client.xread(
                {EVENTS_KEY: position}, count=BATCH, block=int(COMMAND_TIMEOUT * 500)
            )
        # RESP2 answers a list of (stream, entries), RESP3 a mapping of stream to [entries].
        streams = answer.items() if isinstance(answer, dict) else answer or []
        entries = [entry for _, entries in streams for entry in _flat(entries)]
        return [(entry_id.decode(), _parse(fields)) for entry_id, fields in entries]


def _flat(entries: list[Any]) -> list[Any]:
    return entries[0] if entries and isinstance(entries[0], list) else entries


def _parse(fields: dict[bytes, bytes]) -> BootEvent | None:
    try:
        return decode(fields.get(EVENT_FIELD.encode(), b""), BootEvent)
    except DocumentInvalid as error:
        log.warning("event ignored", reason=str(error))
        return None


def _end_if_cancelled() -> None:
    """End a task whose cancellation was lost in the client, while it closed a connection."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _close(client: redis.asyncio.Redis) -> None:
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT):
            await client.aclose()
    except _FAILURES as error:
        log.debug("redis connection not closed", error=str(error))


async def wait_for_redis(url: str, seconds: float) -> None:
    """Wait until Redis answers; raises StoreUnavailable after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        client = redis.asyncio.Redis.from_url(
            url, socket_timeout=COMMAND_TIMEOUT, socket_connect_timeout=COMMAND_TIMEOUT, retry=None
        )
        try:
            await client.ping()
        except _FAILURES as error:
            if asyncio.get_running_loop().time() > deadline:
                raise StoreUnavailable(f"{url} does not answer: {error}") from error
            await asyncio.sleep(0.05)
        else:
            return
        finally:
            await _close(client)
