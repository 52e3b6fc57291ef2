"""Makes the snapshot: the library, the machines and the policy, as one numbered document.

Numbers go up only when the content changed, over restarts too: what was published last is known
to the database by its digest.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from bootyard.boot.tree import BootTree
from bootyard.model.document import encode
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Learned, MenuEntry, Policy, Slice, Snapshot
from bootyard.runtime.files import write_atomically
from bootyard.runtime.log import get_logger
from bootyard.runtime.snapshots import SnapshotHolder
from services.catalog.database import Database, read_property, write_property
from services.catalog.library.image import LibraryImage
from services.catalog.library.library import Library
from services.catalog.machines import Machines
from services.catalog.menus import read_menus

log = get_logger(__name__)

DEBOUNCE_SECONDS = 0.1
SPACING_SECONDS = 0.5
"""At least so long between two that nobody waits for: every service takes each of them in."""
FIRST_LOOK_SECONDS = 60.0
ROUND_SECONDS = 5.0
"""How often everything is looked at: a user may put a loader in, a boot-once may run out, and a
thousand machines that show at once how they take offers are published together."""

Loaders = Callable[[], dict[str, Slice]]


class Distributor(Protocol):
    """Hands a document to the other services; never waits, never raises."""

    def publish(self, document: bytes) -> None:
        """Make this the current snapshot."""


def build_snapshot(
    *,
    epoch: str,
    number: int,
    http_port: int,
    loaders: dict[str, Slice],
    images: Iterable[LibraryImage],
    machines: Mapping[str, msgspec.Raw],
    policy: Policy,
    menus: tuple[MenuEntry, ...] = (),
    learned: Mapping[MACAddress, Learned] | None = None,
    armed: Mapping[str, str] | None = None,
) -> Snapshot:
    """Put together what machines get; entries of the library with a problem are left out."""
    ready = sorted((image for image in images if image.is_ready), key=lambda image: image.id)
    return Snapshot(
        epoch=epoch,
        number=number,
        http_port=http_port,
        loaders=dict(sorted(loaders.items())),
        images={image.id: image.as_image() for image in ready},
        targets={target.id: target for image in ready for target in image.targets},
        machines=dict(machines),
        policy=policy,
        menus=menus,
        learned={
            str.__str__(mac): msgspec.Raw(encode(known))
            for mac, known in sorted((learned or {}).items())
        },
        armed=dict(armed or {}),
    )


def number_for(connection: sqlite3.Connection, digest: str) -> int:
    """Give content with this digest its number: the last one, or the next when it is another."""
    last = read_property(connection, "snapshot")
    number, _, published = (last or "0 ").partition(" ")
    if published == digest:
        return int(number)
    write_property(connection, "snapshot", f"{int(number) + 1} {digest}")
    return int(number) + 1


class Publisher:
    """Keeps the current snapshot true, in this service and, through Redis, in the others."""

    def __init__(
        self,
        *,
        database: Database,
        library: Library,
        machines: Machines,
        loaders: Loaders,
        http_port: int,
        holder: SnapshotHolder,
        store: Distributor,
        learned: Callable[[], Mapping[MACAddress, Learned]] = dict,
        kept: Path | None = None,
    ) -> None:
        self._database = database
        self._library = library
        self._machines = machines
        self._loaders = loaders
        self._http_port = http_port
        self._holder = holder
        self._store = store
        self._learned = learned
        self._kept = kept
        self._published = False
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        library.on_change(self._wake.set)
        machines.on_change(self._wake.set)

    @property
    def current(self) -> Snapshot:
        """What is published now; before the first time, what the service started from."""
        return self._holder.snapshot

    @property
    def tree(self) -> BootTree:
        """The boot tree of `current`."""
        return self._holder.tree

    def publish_soon(self) -> None:
        """Publish a moment later what changed, together with what changes until then."""
        self._wake.set()

    async def run(self) -> None:
        """Publish whenever something changed, until cancelled; first after the first look.

        A file server that is away at start must not take every image out of the snapshot that
        the other services still hold: it is waited for, but not for ever.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await self._library.looked.wait()
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            began = loop.time()
            try:
                await self.publish()
            except Exception:
                # What was published before stays; the next change, or the next round, tries again.
                log.exception("publishing failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._wake.wait()
                await asyncio.sleep(max(DEBOUNCE_SECONDS, began + SPACING_SECONDS - loop.time()))

    async def publish(self) -> Snapshot:
        """Publish at once if anything changed, and give what is current then.

        Call it after a change that the next request must see. Raises sqlite3.Error and OSError.
        """
        async with self._lock:
            snapshot = await self._build()
            if self._published and snapshot.version == self.current.version:
                return self.current
            tree, document = await asyncio.to_thread(
                lambda: (BootTree(snapshot), snapshot.to_json())
            )
            if snapshot.version != self.current.version:
                self._holder.adopt(tree)
            self._store.publish(document)
            self._published = True
            log.info(
                "snapshot published",
                snapshot=snapshot.version,
                images=len(snapshot.images),
                machines=len(snapshot.machines),
            )
            await self._keep(document)
            return snapshot

    async def _build(self) -> Snapshot:
        loaders = await asyncio.to_thread(self._loaders)
        said = await self._machines.for_snapshot()
        menus = await self._database.run(read_menus)
        learned = dict(self._learned())
        images = self._library.images

        def build() -> tuple[Snapshot, str]:
            snapshot = build_snapshot(
                epoch=self._database.epoch,
                number=0,
                http_port=self._http_port,
                loaders=loaders,
                images=images,
                machines=said.machines,
                policy=said.policy,
                menus=menus,
                learned=learned,
                armed=said.armed,
            )
            return snapshot, hashlib.sha256(snapshot.to_json()).hexdigest()

        snapshot, digest = await asyncio.to_thread(build)
        number = await self._database.run(number_for, digest)
        return msgspec.structs.replace(snapshot, number=number)

    async def _keep(self, document: bytes) -> None:
        if self._kept is None:
            return
        try:
            await asyncio.to_thread(write_atomically, self._kept, document)
        except OSError as error:
            log.warning("snapshot not kept on disk", path=str(self._kept), error=str(error))
