"""What the handlers work with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from bootyard.model.snapshot import Root
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.settings import Settings
from bootyard.runtime.snapshots import SnapshotHolder
from bootyard.runtime.telemetry import Telemetry
from services.catalog.boots.journal import BootJournal
from services.catalog.boots.states import MachineStates
from services.catalog.http.clients import Clients
from services.catalog.http.delivery import KernelsUnderWay
from services.catalog.http.feed import BootFeed
from services.catalog.library.library import Library
from services.catalog.machines import Machines
from services.catalog.menus import Menus
from services.catalog.metrics import HTTPMetrics
from services.catalog.publisher import Publisher


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The parts of the service that requests touch."""

    settings: Settings
    snapshots: SnapshotHolder
    events: EventSender
    telemetry: Telemetry
    library: Library
    machines: Machines
    menus: Menus
    publisher: Publisher
    journal: BootJournal
    states: MachineStates
    feed: BootFeed
    clients: Clients
    kernels: KernelsUnderWay
    metrics: HTTPMetrics
    root_directory: Callable[[Root], Path]
    admin_token: str
    clock: Callable[[], float]
    """Seconds since 1970."""


CATALOG = web.AppKey("CATALOG", Catalog)
