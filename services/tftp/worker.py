"""A worker process: a server on a socket of its own, told by the service what to serve."""

import asyncio
import gc
import socket

from bootyard.boot.tree import BootTree
from bootyard.model.document import encode
from bootyard.model.events import BootEvent
from bootyard.model.snapshot import Snapshot
from bootyard.runtime import log as logging
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.merged import read_values
from bootyard.runtime.settings import Settings
from bootyard.runtime.snapshots import SnapshotHolder
from bootyard.runtime.telemetry import make_registry
from services.tftp.loop import make_loop
from services.tftp.messages import (
    Adopted,
    Counts,
    Degraded,
    Event,
    Fault,
    FromWorker,
    Lost,
    Ready,
    ToWorker,
    frame,
    read_frame,
    read_order,
)
from services.tftp.server import Server

log = logging.get_logger(__name__)

COUNTS_SECONDS = 0.25
MOST_UNSENT = 4 << 20
"""Bytes; what the service does not take any more is dropped behind them."""


class Parent:
    """The service, from a worker's side; also its `Health`, and where its events go."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.registry = make_registry()
        self._writer = writer
        self._lost = 0

    def say(self, message: FromWorker) -> bool:
        """Send a message; never waits. False: it was dropped."""
        if self._writer.transport.get_write_buffer_size() >= MOST_UNSENT:
            return False
        self._writer.write(frame(message))
        return True

    def internal_error(self, where: str) -> None:
        """Count a fault of ours."""
        self.say(Fault(where))

    def degraded(self, name: str, reason: str | None) -> None:
        """Say that something is missing, or (None) no longer."""
        self.say(Degraded(name, reason))

    def add_event(self, event: BootEvent) -> None:
        """Pass an event on."""
        if not self.say(Event(encode(event))):
            self._lost += 1

    def count(self) -> None:
        """Tell what was counted so far."""
        self.say(Counts(read_values(self.registry)))
        if self._lost and self.say(Lost(self._lost)):
            self._lost = 0


class Worker:
    """The `Host` of a worker's server."""

    def __init__(self, settings: Settings, snapshot: Snapshot, parent: Parent) -> None:
        self.settings = settings
        self.snapshots = SnapshotHolder(snapshot)
        self.telemetry = parent
        self.events = EventSender("tftp", parent)


def run_worker(orders: bytes, listener: socket.socket, end: socket.socket) -> None:
    """Be a worker, until the service says stop or is gone."""
    settings = Settings.model_validate_json(orders)
    logging.configure(settings, "tftp")
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(_serve(settings, listener, end))


async def _serve(settings: Settings, listener: socket.socket, end: socket.socket) -> None:
    listener.setblocking(False)
    end.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=end)
    first = await _read(reader)
    if not isinstance(first, Adopted):
        return
    parent = Parent(writer)
    worker = Worker(settings, Snapshot.from_json(first.document), parent)
    server = Server(worker)
    gc.freeze()
    tasks = [
        asyncio.create_task(server.watch_interfaces()),
        asyncio.create_task(server.fold_counts()),
        asyncio.create_task(_count(parent)),
    ]
    server.listen(listener)
    parent.say(Ready())
    while isinstance(order := await _read(reader), Adopted):
        worker.snapshots.adopt(await asyncio.to_thread(_read_snapshot, order.document))
    if order is None:
        server.leave_port()  # it is the next service's
    await server.stop()
    for task in tasks:
        task.cancel()
    parent.count()
    writer.transport.set_write_buffer_limits(0)  # so that it waits until all has left
    try:
        await writer.drain()
    except ConnectionError:
        log.debug("the service is gone")
    writer.close()


def _read_snapshot(document: bytes) -> BootTree:
    return BootTree(Snapshot.from_json(document))


async def _count(parent: Parent) -> None:
    while True:
        parent.count()
        await asyncio.sleep(COUNTS_SECONDS)


async def _read(reader: asyncio.StreamReader) -> ToWorker | None:
    """Read what the service says; None: it is gone."""
    try:
        return read_order(await read_frame(reader))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
