"""How a service starts, runs and stops."""

import asyncio
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from typing import Protocol

from aiohttp import web

from bootyard.model.architecture import Firmware
from bootyard.model.errors import SettingsInvalid
from bootyard.model.events import BootEvent, OfferStage, Step
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import PROBE_MAC, MACAddress
from bootyard.model.snapshot import builtin_snapshot
from bootyard.runtime import log as logging
from bootyard.runtime.container import explain_nat, host_facts
from bootyard.runtime.interfaces import explain_bind_error, served_interfaces
from bootyard.runtime.loaders import scan_loaders
from bootyard.runtime.settings import Settings, load_settings
from bootyard.runtime.snapshots import SnapshotHolder, SnapshotReader, load_last_good
from bootyard.runtime.store import Store
from bootyard.runtime.telemetry import Telemetry

log = logging.get_logger(__name__)

EXIT_SETTINGS = 78
"""EX_CONFIG of sysexits.h: starting again will not help."""

PORT_RETRY_SECONDS = 5.0
LAST_EVENTS_SECONDS = 1.0
SWITCH_SECONDS = 0.001
"""After so long a thread that works, on a large snapshot, lets the event loop turn: each system
call of the loop waits for that anew, so the usual 5 ms add up."""


class EventStore(Protocol):
    """Where events go."""

    def add_event(self, event: BootEvent) -> None:
        """Queue an event; never waits."""


class EventSender:
    """Makes boot events of one life of a service; health probes leave none."""

    def __init__(
        self, service: str, store: EventStore, clock: Callable[[], float] = time.time
    ) -> None:
        self._service = service
        self._store = store
        self._clock = clock
        self._run = secrets.token_hex(4)
        self._sequence = 0
        self.listener: Callable[[BootEvent], None] | None = None
        """Sees every event at once, in the service itself."""

    def send(
        self,
        step: Step,
        *,
        mac: MACAddress | None = None,
        ip: IPv4Address | None = None,
        xid: int | None = None,
        firmware: Firmware | None = None,
        stage: OfferStage | None = None,
        strategy: OfferStrategy | None = None,
        outcome: str = "",
        path: str | None = None,
        image: str | None = None,
        transport: str | None = None,
        bytes: int | None = None,  # noqa: A002 - the field's fixed name
        seconds: float | None = None,
        detail: str = "",
        ago: float = 0.0,
    ) -> None:
        """Report one thing a machine did, `ago` seconds before now. Never waits."""
        if mac == PROBE_MAC:
            return
        self._sequence += 1
        event = BootEvent(
            service=self._service,
            run=self._run,
            sequence=self._sequence,
            time=self._clock() - ago,
            step=step,
            mac=mac,
            ip=None if ip is None else str(ip),
            xid=xid,
            firmware=firmware,
            stage=stage,
            strategy=strategy,
            outcome=outcome,
            path=path,
            image=image,
            transport=transport,
            bytes=bytes,
            seconds=seconds,
            detail=detail,
        )
        if self.listener is not None:
            self.listener(event)
        self._store.add_event(event)


class Service:
    """What a service's main function is given."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.state_dir = settings.state_dir / name
        loaders = scan_loaders(settings.packaged_loaders_dir, settings.loaders_dir)
        builtin = builtin_snapshot(settings.http_port, loaders)
        kept = self.state_dir / "snapshot.json"
        self.snapshots = SnapshotHolder(load_last_good(kept) or builtin)
        self.reader = SnapshotReader(self.snapshots, kept)
        self.telemetry = Telemetry(name, self.snapshots)
        self.store = Store(settings.redis_url, self.telemetry)
        self.events = EventSender(name, self.store)
        self.tasks = asyncio.TaskGroup()
        self.stopping = asyncio.Event()

    async def serve_telemetry(self, port: int) -> None:
        """Serve `/metrics`, `/healthz` and `/readyz` on a port of their own until cancelled."""
        app = web.Application()
        app.add_routes(self.telemetry.routes())
        await serve_http(self, app, (self.settings.metrics_address or None,), port, "metrics")


async def serve_http(
    service: Service, app: web.Application, hosts: tuple[str | None, ...], port: int, name: str
) -> None:
    """Serve an application until cancelled; a port in use is retried, and /readyz says why."""
    runner = web.AppRunner(app, handle_signals=False, access_log=None)
    await runner.setup()
    try:
        pending = list(hosts)
        while pending:
            for host in list(pending):
                try:
                    await web.TCPSite(runner, host, port).start()
                    pending.remove(host)
                    service.telemetry.degraded(f"http {port}", None)
                except OSError as error:
                    reason = explain_bind_error(error, port, "tcp")
                    log.error("port not served", what=name, reason=reason)
                    service.telemetry.degraded(f"http {port}", reason)
            if pending:
                await asyncio.sleep(PORT_RETRY_SECONDS)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


class _Stopped(Exception):
    """Ends the task group of a service that has stopped."""


def run_service(
    name: str,
    main: Callable[[Service], Awaitable[None]],
    *,
    on_the_lan: bool = False,
    make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Run a service until SIGTERM or SIGINT, on an event loop of its choice.

    Exits with 78 when its settings do not parse, and when it must be `on_the_lan` and this is a
    container behind NAT.
    """
    try:
        settings, warnings = load_settings()
    except SettingsInvalid as error:
        print(error, file=sys.stderr)
        raise SystemExit(EXIT_SETTINGS) from None
    logging.configure(settings, name)
    for warning in warnings:
        log.warning("unknown setting", reason=warning)
    nat = explain_nat(host_facts(served_interfaces(settings))) if on_the_lan else None
    if nat is not None:
        log.error("not started", reason=nat)
        raise SystemExit(EXIT_SETTINGS)
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(_run(name, settings, main))


async def _run(name: str, settings: Settings, main: Callable[[Service], Awaitable[None]]) -> None:
    service = Service(name, settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stopping.set)
    try:
        async with service.tasks as tasks:
            tasks.create_task(service.telemetry.watch_loop())
            tasks.create_task(service.store.send_events())
            await main(service)
            # The last transfers ended while the service was stopping.
            await service.store.events_sent(LAST_EVENTS_SECONDS)
            log.info("stopped")
            raise _Stopped
    except* _Stopped:
        pass


async def follow_snapshot(service: Service) -> None:
    """Adopt what the catalog publishes, until cancelled."""
    await service.store.follow_snapshot(service.reader.receive)
