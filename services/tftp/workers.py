"""Worker processes, from the service's side: they are made, told, listened to and replaced."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

import msgspec
from prometheus_client import Counter, Gauge

from bootyard.runtime.lifecycle import Service
from bootyard.runtime.log import get_logger
from bootyard.runtime.merged import MergedCollector
from bootyard.runtime.telemetry import make_registry
from bootyard.runtime.waiting import wait_at_most
from services.tftp.messages import (
    Adopted,
    Counts,
    Degraded,
    Event,
    Fault,
    FromWorker,
    Lost,
    Ready,
    Stop,
    frame,
    read_frame,
    read_report,
)
from services.tftp.metrics import TFTPMetrics
from services.tftp.nursery import Nursery, NurseryLost

log = get_logger(__name__)

SILENT_SECONDS = 5.0
GRACE_SECONDS = 1.0
"""A worker that said nothing for so long hangs. The second look is for the case that this process
was stopped as well: then what workers said is waiting."""

SHORT_LIFE = 5.0
LONGEST_PAUSE = 5.0
"""A worker that lived for less than SHORT_LIFE is replaced after a pause, longer each time."""

STOP_SECONDS = 9.5
"""Docker kills after ten seconds."""


class Worker:
    """One worker process and the connection with it."""

    def __init__(
        self, number: int, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        """Of no other worker before or after."""
        self.began = monotonic()
        self.is_ready = False
        self._pid = pid
        self._has_ended = False
        self._reader = reader
        self._writer = writer

    def say(self, framed: bytes) -> None:
        """Tell it something."""
        self._writer.write(framed)

    async def listen(self, receive: Callable[[FromWorker], None]) -> str:
        """Receive what it says until it has ended, or is ended for its silence; tells why."""
        try:
            while True:
                receive(await self._read())
        except TimeoutError:
            self.kill()
            return "it was silent"
        except (asyncio.IncompleteReadError, ConnectionError):
            self._has_ended = True
            return "it ended"
        except (msgspec.DecodeError, ValueError) as error:
            self.kill()
            return f"it said what cannot be read: {error}"

    def close(self) -> None:
        """Leave it alone: it lets its transfers finish, and ends."""
        self._writer.close()

    def kill(self) -> None:
        """End it at once, with its transfers."""
        if not self._has_ended:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    async def _read(self) -> FromWorker:
        reading = asyncio.ensure_future(read_frame(self._reader))
        try:
            for seconds in (SILENT_SECONDS, GRACE_SECONDS):
                done, _ = await asyncio.wait((reading,), timeout=seconds)
                if done:
                    return read_report(reading.result())
        finally:
            reading.cancel()
        raise TimeoutError


class Workers:
    """So many workers, for as long as the service runs."""

    def __init__(self, service: Service, nursery: Nursery, count: int) -> None:
        self._service = service
        self._nursery = nursery
        self._count = count
        settings = service.settings.model_copy(update={"tftp_workers": count})
        self._orders = settings.model_dump_json(exclude_defaults=True).encode()
        self._numbers = 0
        self._running: dict[int, Worker] = {}
        self._adopted = b""
        self._has_begun = False
        """All of them served already."""
        template = make_registry()
        TFTPMetrics(template)
        registry = service.telemetry.registry
        self._merged = MergedCollector(template)
        registry.register(self._merged)
        processes = Gauge("bootyard_tftp_workers", "Processes", ["state"], registry=registry)
        self._alive, self._restarting = processes.labels("alive"), processes.labels("restarting")
        self._restarts = Counter(
            "bootyard_tftp_worker_restarts", "Processes that were replaced", registry=registry
        )
        self._show()

    async def run(self, listeners: list[socket.socket]) -> None:
        """Keep a worker on each listener, until the service stops and they have ended."""
        changed = asyncio.Event()
        self._service.snapshots.on_adopt(lambda _: changed.set())
        await self._encode(changed)
        tasks = self._service.tasks
        pass_on = tasks.create_task(self._pass_on_snapshots(changed))
        keep = [tasks.create_task(self._keep(listener)) for listener in listeners]
        await self._service.stopping.wait()
        self._show()
        for worker in self._running.values():
            worker.say(frame(Stop()))
        await asyncio.wait(keep, timeout=STOP_SECONDS)
        for worker in self._running.values():
            worker.kill()
        for task in (*keep, pass_on):
            task.cancel()
        await asyncio.wait(keep)
        for listener in listeners:
            listener.close()
        self._nursery.close()

    async def _keep(self, listener: socket.socket) -> None:
        """Run one worker after the other on a listener, which keeps what arrives meanwhile."""
        stopping = self._service.stopping
        pause = 0.0
        while not stopping.is_set():
            try:
                worker = await self._start(listener)
            except OSError as error:
                log.error("worker not started", error=str(error))
                await wait_at_most(stopping, LONGEST_PAUSE)
                continue
            except NurseryLost as error:
                # Another service can be had: whoever keeps this one running starts it, and what
                # workers carry meanwhile they finish.
                log.error("workers cannot be replaced", reason=str(error))
                self._nursery.close()
                raise
            try:
                why = await worker.listen(lambda said: self._take(worker, said))  # noqa: B023
            finally:
                self._end(worker)
            if stopping.is_set():
                return
            lived = monotonic() - worker.began
            pause = min(pause * 2 or 0.1, LONGEST_PAUSE) if lived < SHORT_LIFE else 0.0
            self._restarts.inc()
            log.error("worker replaced", reason=why, seconds=round(lived, 1))
            await wait_at_most(stopping, pause)

    async def _start(self, listener: socket.socket) -> Worker:
        ours, theirs = socket.socketpair()
        try:
            pid = await self._nursery.start(self._orders, listener, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        self._numbers += 1
        worker = Worker(self._numbers, pid, reader, writer)
        self._running[worker.number] = worker
        worker.say(self._adopted)
        if self._service.stopping.is_set():
            worker.say(frame(Stop()))
        return worker

    def _take(self, worker: Worker, said: FromWorker) -> None:
        match said:
            case Counts(values):
                self._merged.update(worker.number, values)
            case Event(document):
                self._service.store.add_document(document)
            case Lost(events):
                self._service.telemetry.events_dropped(events)
            case Degraded(name, reason):
                self._service.telemetry.degraded(name, reason)
            case Fault(where):
                self._service.telemetry.internal_error(where)
            case Ready():
                worker.is_ready = True
                self._show()

    def _end(self, worker: Worker) -> None:
        worker.close()
        del self._running[worker.number]
        self._merged.end(worker.number)
        self._show()

    def _show(self) -> None:
        """Tell how many workers serve."""
        ready = sum(worker.is_ready for worker in self._running.values())
        is_stopping = self._service.stopping.is_set()
        missing = 0 if is_stopping else self._count - ready
        self._alive.set(ready)
        self._restarting.set(missing)
        self._has_begun |= ready == self._count
        why = None if ready and self._has_begun else f"{ready} of {self._count} workers serve"
        telemetry = self._service.telemetry
        telemetry.ready("tftp", "stopping" if is_stopping else why)
        restarting = f"{missing} of {self._count} restarting" if missing else None
        telemetry.degraded("workers", restarting if self._has_begun else None)

    async def _pass_on_snapshots(self, changed: asyncio.Event) -> None:
        while True:
            await changed.wait()
            await self._encode(changed)
            for worker in self._running.values():
                worker.say(self._adopted)

    async def _encode(self, changed: asyncio.Event) -> None:
        changed.clear()
        snapshot = self._service.snapshots.snapshot
        self._adopted = await asyncio.to_thread(lambda: frame(Adopted(snapshot.to_json())))
