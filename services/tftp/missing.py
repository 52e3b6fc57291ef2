"""Loaders that the snapshot names and this disk has not: said before a machine asks for them."""

import asyncio

from bootyard.model.snapshot import Snapshot
from bootyard.runtime.lifecycle import Service
from bootyard.runtime.waiting import wait_at_most
from services.tftp.content import ContentStore
from services.tftp.metrics import missing_files

CHECK_SECONDS = 30.0
NAMED = 5


async def watch_loaders(service: Service) -> None:
    """Look at every adopted snapshot, and again as long as files may come and go."""
    contents = ContentStore(service.settings.directory_of)
    count = missing_files(service.telemetry.registry)
    adopted = asyncio.Event()
    service.snapshots.on_adopt(lambda _: adopted.set())
    while True:
        adopted.clear()
        missing = await asyncio.to_thread(find_missing, service.snapshots.snapshot, contents)
        count.set(len(missing))
        service.telemetry.degraded("loaders", _describe(missing) if missing else None)
        await wait_at_most(adopted, CHECK_SECONDS)


def find_missing(snapshot: Snapshot, contents: ContentStore) -> list[str]:
    """Name the loaders that are not on this disk."""
    return [name for name, content in snapshot.loaders.items() if not contents.has(content)]


def _describe(missing: list[str]) -> str:
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return f"not on this disk: {', '.join(sorted(missing)[:NAMED])}{more}"
