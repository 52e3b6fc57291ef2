"""The service: one process with a server, or several workers that have one each."""

import asyncio
import gc
import os
import resource
import socket
from collections.abc import Awaitable, Callable

from bootyard.runtime.garbage import keep_what_is_there
from bootyard.runtime.lifecycle import Service, follow_snapshot
from services.tftp.missing import watch_loaders
from services.tftp.nursery import Nursery
from services.tftp.port import open_listeners
from services.tftp.server import Server
from services.tftp.worker import run_worker
from services.tftp.workers import Workers

DESCRIPTORS = 4096
"""Every file has a descriptor, and so have lanes: the usual limit of 1024 may be too few."""

COLLECT_AFTER = (10_000, 20, 20)

Run = Callable[[list[socket.socket]], Awaitable[None]]

CORES_A_WORKER = 2
"""Half of a datagram's way through the kernel is on another core. With fewer cores, and two that
have to do with everything else as well, two workers are slower than one."""

MOST_WORKERS = 4
"""By themselves: ten gigabits are less than they send."""


class TFTPService:
    """Made before there is a loop or a thread, for the processes that are to be like this one."""

    def __init__(self) -> None:
        _raise_descriptor_limit()
        gc.set_threshold(*COLLECT_AFTER)
        keep_what_is_there()
        self._nursery = Nursery(run_worker)

    async def main(self, service: Service) -> None:
        """Serve until the service is stopped."""
        service.telemetry.declare_places("tftp.request", "tftp.transfer")
        cores = len(os.sched_getaffinity(0))
        count = service.settings.tftp_workers or min(max(cores // CORES_A_WORKER, 1), MOST_WORKERS)
        run = self._with_workers(service, count) if count > 1 else self._alone(service)
        for work in (
            watch_loaders(service),
            follow_snapshot(service),
            service.serve_telemetry(service.settings.tftp_metrics_port),
        ):
            service.tasks.create_task(work)
        opening = service.tasks.create_task(open_listeners(service, count))
        stopping = service.tasks.create_task(service.stopping.wait())
        await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            await run(opening.result())
        opening.cancel()

    def _with_workers(self, service: Service, count: int) -> Run:
        return Workers(service, self._nursery, count).run

    def _alone(self, service: Service) -> Run:
        self._nursery.close()
        server = Server(service)
        keep_what_is_there()

        async def run(listeners: list[socket.socket]) -> None:
            service.tasks.create_task(server.watch_interfaces())
            service.tasks.create_task(server.fold_counts())
            server.listen(*listeners)
            service.telemetry.ready("tftp", None)
            await service.stopping.wait()
            service.telemetry.ready("tftp", "stopping")
            await server.stop()

        return run


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
