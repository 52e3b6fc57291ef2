"""`python -m services.catalog`: put the parts together and run them."""

import asyncio
import os
import shutil
import sys
from ipaddress import IPv4Address
from pathlib import Path

from bootyard.runtime.interfaces import served_interfaces
from bootyard.runtime.lifecycle import Service, run_service, serve_http
from bootyard.runtime.loaders import scan_loaders
from bootyard.runtime.log import get_logger
from bootyard.runtime.settings import Settings
from services.catalog.boots import storage
from services.catalog.boots.burning import BootOnceBurner
from services.catalog.boots.journal import BootJournal
from services.catalog.boots.states import MachineStates
from services.catalog.database import Database, DatabaseUnusable
from services.catalog.http.clients import Clients
from services.catalog.http.context import Catalog
from services.catalog.http.guard import load_admin_token
from services.catalog.http.routes import make_app
from services.catalog.library.library import Library
from services.catalog.library.revisions import SCHEMA as REVISIONS
from services.catalog.library.watch import watch_library
from services.catalog.machines import SCHEMAS as MACHINES
from services.catalog.machines import Machines
from services.catalog.metrics import BootMetrics, HTTPMetrics, LibraryMetrics
from services.catalog.publisher import Publisher

log = get_logger(__name__)

VOLUMES_SECONDS = 30.0


async def main(service: Service) -> None:
    """Run the catalog until it is told to stop."""
    settings, telemetry, tasks = service.settings, service.telemetry, service.tasks
    telemetry.ready("library", "looking for images")
    telemetry.declare_places("boot_script", "http", "timeline")
    database = Database.open(
        service.state_dir / "catalog.db", (*MACHINES, REVISIONS, storage.SCHEMA)
    )
    library = Library(settings.images_dir, settings.state_dir / "derived", database)
    machines = Machines(database, lambda: library.targets)
    publisher = Publisher(
        database=database,
        library=library,
        machines=machines,
        loaders=lambda: scan_loaders(settings.packaged_loaders_dir, settings.loaders_dir),
        http_port=settings.http_port,
        holder=service.snapshots,
        store=service.store,
        kept=service.state_dir / "snapshot.json",
    )
    boot_metrics = BootMetrics(telemetry.registry)
    journal = BootJournal(database, boot_metrics, lambda: service.snapshots.snapshot.targets)
    states = MachineStates(service.snapshots, journal.timeline, boot_metrics)
    burner = BootOnceBurner(machines)
    journal.on_change(states.boot_changed)
    journal.on_kernel(burner.kernel_taken)
    service.events.listener = journal.observe
    catalog = Catalog(
        settings=settings,
        snapshots=service.snapshots,
        events=service.events,
        telemetry=telemetry,
        library=library,
        machines=machines,
        publisher=publisher,
        journal=journal,
        states=states,
        clients=Clients(journal.timeline.machine_at, _own_address(settings)),
        metrics=HTTPMetrics(telemetry.registry),
        root_directory=service.root_directory,
        admin_token=load_admin_token(service.state_dir / "admin-token", settings.admin_token),
    )
    hosts = ("0.0.0.0", "::") if Path("/proc/net/if_inet6").exists() else ("0.0.0.0",)
    running = [
        tasks.create_task(work)
        for work in (
            watch_library(library),
            publisher.run(),
            service.store.keep_published(),
            service.store.read_events(journal.position, journal.receive),
            journal.keep(),
            burner.keep(),
            states.keep(),
            _watch_storage(service, library),
            _report_readiness(service, library),
            serve_http(service, make_app(catalog), hosts, settings.http_port, "http"),
        )
    ]
    log.info("started", path=str(settings.images_dir.absolute()))
    await service.stopping.wait()
    for task in reversed(running):
        task.cancel()
    await asyncio.wait(running)
    await journal.save()
    database.close()


def _own_address(settings: Settings) -> IPv4Address:
    """Our address for clients that did not use an IPv4 address of ours."""
    served = served_interfaces(settings)
    return settings.address or (served[0].address if served else IPv4Address("127.0.0.1"))


async def _report_readiness(service: Service, library: Library) -> None:
    """Say that the first look is done, and then whether images can be listed."""
    await library.looked.wait()
    service.telemetry.ready("library", None)
    while True:
        service.telemetry.degraded("images", library.problem)
        await asyncio.sleep(1)


async def _watch_storage(service: Service, library: Library) -> None:
    """Keep the sizes of images and the free space of volumes up to date."""
    metrics = LibraryMetrics(service.telemetry.registry)

    def sizes() -> None:
        metrics.images_are({image.id: image.size_bytes for image in library.images})

    library.on_change(sizes)
    sizes()
    volumes = {"images": service.settings.images_dir, "state": service.settings.state_dir}
    while True:
        for name, path in volumes.items():
            try:
                usage = await asyncio.to_thread(shutil.disk_usage, path)
            except OSError as error:
                log.debug("free space not known", path=str(path), error=str(error))
            else:
                metrics.free_space(name, usage.free)
        await asyncio.sleep(VOLUMES_SECONDS)


if __name__ == "__main__":
    try:
        run_service("catalog", main)
    except* DatabaseUnusable as errors:
        for error in errors.exceptions:
            print(error, file=sys.stderr)
        raise SystemExit(os.EX_CONFIG) from None
