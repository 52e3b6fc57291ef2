"""`python -m services.catalog`: run the parts until told to stop."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from bootyard.runtime.garbage import keep_what_is_there
from bootyard.runtime.lifecycle import Service, run_service, serve_http
from bootyard.runtime.log import get_logger
from services.catalog.database import DatabaseUnusable
from services.catalog.http.routes import make_app
from services.catalog.library.library import Library
from services.catalog.library.watch import watch_library
from services.catalog.metrics import LibraryMetrics
from services.catalog.parts import put_together

log = get_logger(__name__)

VOLUMES_SECONDS = 30.0
READINESS_SECONDS = 1.0


async def main(service: Service) -> None:
    """Run the catalog until it is told to stop."""
    service.telemetry.ready("library", "looking for images")
    parts = put_together(service)
    catalog = parts.catalog
    journal, port = catalog.journal, service.settings.http_port
    hosts = ("0.0.0.0", "::") if Path("/proc/net/if_inet6").exists() else ("0.0.0.0",)
    running = [
        service.tasks.create_task(work)
        for work in (
            watch_library(catalog.library),
            catalog.publisher.run(),
            service.store.keep_published(),
            service.store.read_events(journal.position, journal.receive),
            journal.keep(),
            parts.burner.keep(),
            catalog.states.keep(),
            _watch_storage(service, catalog.library, parts.library_metrics),
            _report_readiness(service, catalog.library),
            serve_http(service, make_app(catalog), hosts, port, "http"),
        )
    ]
    keep_what_is_there()
    log.info("started", path=str(service.settings.images_dir.absolute()))
    await service.stopping.wait()
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    await journal.save()
    parts.database.close()


async def _report_readiness(service: Service, library: Library) -> None:
    """Say that the first look is done, and from then on whether images can be listed."""
    await library.looked.wait()
    service.telemetry.ready("library", None)
    while True:
        service.telemetry.degraded("images", library.problem)
        await asyncio.sleep(READINESS_SECONDS)


async def _watch_storage(service: Service, library: Library, metrics: LibraryMetrics) -> None:
    """Keep the sizes of images and the free space of volumes up to date."""

    def sizes() -> None:
        # An id may be claimed twice; the one that boots counts.
        images = sorted(library.images, key=lambda image: image.is_ready)
        metrics.images_are({image.id: image.size_bytes for image in images})

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
