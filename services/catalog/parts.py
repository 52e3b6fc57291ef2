"""The catalog's parts, put together but not running."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from bootyard.model.architecture import Firmware
from bootyard.model.mac import MACAddress
from bootyard.runtime.interfaces import served_interfaces
from bootyard.runtime.lifecycle import Service
from bootyard.runtime.loaders import LoaderFolders
from bootyard.runtime.neighbours import mac_of
from bootyard.runtime.settings import Settings
from services.catalog.boots import learned, storage
from services.catalog.boots.burning import BootOnceBurner
from services.catalog.boots.journal import BootJournal
from services.catalog.boots.states import MachineStates
from services.catalog.database import Database
from services.catalog.http.clients import Clients
from services.catalog.http.context import Catalog
from services.catalog.http.delivery import KernelsUnderWay
from services.catalog.http.feed import BootFeed
from services.catalog.http.guard import load_admin_token
from services.catalog.library.hashing import SCHEMA as HASHES
from services.catalog.library.library import Library
from services.catalog.library.recipes.load import load_recipes
from services.catalog.library.revisions import SCHEMA as REVISIONS
from services.catalog.machines import SCHEMAS as MACHINES
from services.catalog.machines import Machines
from services.catalog.menus import Menus
from services.catalog.metrics import BootMetrics, HTTPMetrics, LibraryMetrics
from services.catalog.publisher import Publisher

SCHEMAS = (*MACHINES, REVISIONS, HASHES, storage.SCHEMA, learned.SCHEMA)
"""The tables of every subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the service runs, beside what requests touch."""

    database: Database
    catalog: Catalog
    burner: BootOnceBurner
    library_metrics: LibraryMetrics


def put_together(
    service: Service,
    neighbour: Callable[[IPv4Address], MACAddress | None] = mac_of,
    clock: Callable[[], float] = time.time,
) -> Parts:
    """Make the parts and connect them; raises DatabaseUnusable."""
    settings, telemetry = service.settings, service.telemetry
    database = Database.open(service.state_dir / "catalog.db", SCHEMAS)
    recipes = load_recipes(service.state_dir / "recipes")
    library = Library(settings.images_dir, settings.state_dir, database, recipes)
    machines = Machines(
        database,
        lambda: library.targets,
        clock,
        loaders=lambda: service.snapshots.snapshot.loaders,
        firmware_of=lambda mac: _last_firmware(journal, mac),
    )
    boot_metrics = BootMetrics(telemetry.registry)
    journal = BootJournal(
        database,
        boot_metrics,
        lambda: service.snapshots.snapshot.targets,
        telemetry.internal_error,
        clock,
    )
    publisher = Publisher(
        database=database,
        library=library,
        machines=machines,
        loaders=LoaderFolders(settings.packaged_loaders_dir, settings.loaders_dir).scan,
        http_port=settings.http_port,
        holder=service.snapshots,
        store=service.store,
        learned=lambda: journal.learned,
        kept=service.state_dir / "snapshot.json",
    )
    states = MachineStates(service.snapshots, journal.timeline, boot_metrics)
    feed = BootFeed()
    burner = BootOnceBurner(
        machines, journal, lambda: service.snapshots.snapshot.targets, publisher.publish_soon
    )
    journal.on_change(states.boot_changed)
    journal.on_change(feed.boot_changed)
    journal.on_kernel(burner.kernel_taken)
    journal.on_urgent(publisher.publish_soon)
    service.events.listener = journal.observe
    telemetry.declare_places("boot_script", "http", "timeline")
    catalog = Catalog(
        settings=settings,
        snapshots=service.snapshots,
        events=service.events,
        telemetry=telemetry,
        library=library,
        machines=machines,
        menus=Menus(database),
        publisher=publisher,
        journal=journal,
        states=states,
        feed=feed,
        clients=Clients(journal.timeline.machine_at, _own_address(settings), neighbour),
        kernels=KernelsUnderWay(),
        metrics=HTTPMetrics(telemetry.registry),
        root_directory=service.settings.directory_of,
        admin_token=load_admin_token(service.state_dir / "admin-token", settings.admin_token),
        clock=clock,
    )
    return Parts(
        database=database,
        catalog=catalog,
        burner=burner,
        library_metrics=LibraryMetrics(telemetry.registry),
    )


def _last_firmware(journal: BootJournal, mac: MACAddress) -> Firmware | None:
    boot = journal.timeline.latest(mac)
    return None if boot is None else boot.firmware


def _own_address(settings: Settings) -> IPv4Address:
    """Our address for clients that did not use an IPv4 address of ours."""
    served = served_interfaces(settings)
    return settings.address or (served[0].address if served else IPv4Address("127.0.0.1"))
