"""`/api/v1/events`: every change of a boot, as it happens (server-sent events).

A client that was away sends the last id it has seen and gets the boots that changed since; each of
them once, as it is now, because that is what a message holds.
"""

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from bootyard.model.document import encode
from services.catalog.http.context import CATALOG
from services.catalog.http.feed import BootFeed
from services.catalog.http.problems import Problem
from services.catalog.http.views import boot_view

MAX_WATCHERS = 64
HEARTBEAT_SECONDS = 10.0
CHECK_SECONDS = 2.0
"""How soon it is noticed that a client has gone."""


async def watch_boots(request: web.Request) -> web.StreamResponse:
    """GET /events."""
    feed = request.app[CATALOG].feed
    if feed.watchers >= MAX_WATCHERS:
        raise Problem(503, f"{MAX_WATCHERS} clients watch already", "close one of them")
    feed.watchers += 1
    try:
        async with sse_response(request, ping_interval=HEARTBEAT_SECONDS) as response:
            await _send_changes(request, response, feed)
        return response
    finally:
        feed.watchers -= 1


async def _send_changes(
    request: web.Request, response: EventSourceResponse, feed: BootFeed
) -> None:
    position = feed.position(response.last_event_id)
    try:
        while request.transport is not None and not feed.is_closed:
            changes = feed.since(position)
            if not changes:
                await feed.wait(CHECK_SECONDS)
            for sequence, boot in changes:
                document = encode(boot_view(boot)).decode()
                await response.send(document, event="boot", id=feed.id_of(sequence))
                position = sequence
    except (ConnectionResetError, TimeoutError):
        return
