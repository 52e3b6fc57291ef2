"""`/metrics`, `/healthz` and `/readyz`, and the metrics that every service has."""

import asyncio
import platform
import time

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bootyard import __version__
from bootyard.runtime.snapshots import SnapshotHolder

LAG_INTERVAL = 0.25


def make_registry() -> CollectorRegistry:
    """Make a registry of metrics; those of this process have no `_created` series from now on."""
    # They double the series, for the time that a process started at.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    return CollectorRegistry()


class Telemetry:
    """What a service tells about itself. Also the store's `StoreHealth`."""

    def __init__(self, service: str, snapshots: SnapshotHolder) -> None:
        self.registry = registry = make_registry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._snapshots = snapshots
        self._not_ready: dict[str, str] = {"start": "starting"}
        self._degraded: dict[str, str] = {}
        Gauge(
            "bootyard_build_info",
            "What runs; always 1",
            ["service", "version", "python"],
            registry=registry,
        ).labels(service, __version__, platform.python_version()).set(1)
        Gauge(
            "bootyard_snapshot_number", "Number of the snapshot that is served", registry=registry
        ).set_function(lambda: snapshots.snapshot.number)
        Gauge(
            "bootyard_snapshot_age_seconds", "Seconds since it was adopted", registry=registry
        ).set_function(lambda: time.monotonic() - snapshots.adopted_at)
        self._redis_up = Gauge("bootyard_redis_up", "1 when Redis answered last", registry=registry)
        self._events_dropped = Counter(
            "bootyard_events_dropped",
            "Boot events that were not sent: the buffer was full, or strangers flooded",
            registry=registry,
        )
        self._internal_errors = Counter(
            "bootyard_internal_errors", "Faults of ours, by place", ["where"], registry=registry
        )
        self._lag = Histogram(
            "bootyard_event_loop_lag_seconds",
            "How late the event loop was",
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
            registry=registry,
        )

    def declare_places(self, *places: str) -> None:
        """Make the children of `bootyard_internal_errors_total` exist from the start."""
        for place in places:
            self._internal_errors.labels(place)

    def internal_error(self, where: str) -> None:
        """Count a fault of ours; `where` is a constant in the code."""
        self._internal_errors.labels(where).inc()

    def ready(self, name: str, reason: str | None) -> None:
        """Say that `name` is ready (None), or why it is not: then `/readyz` answers 503."""
        self._not_ready.pop("start", None)
        _note(self._not_ready, name, reason)

    def degraded(self, name: str, reason: str | None) -> None:
        """Say that `name` is missing although the service is ready, or (None) no longer."""
        _note(self._degraded, name, reason)

    def redis_up(self, up: bool) -> None:
        """Redis answered, or did not."""
        self._redis_up.set(int(up))

    def events_dropped(self, count: int) -> None:
        """Events were lost."""
        self._events_dropped.inc(count)

    def readiness(self) -> dict[str, object]:
        """The body of `/readyz`."""
        reasons = [f"{name}: {reason}" for name, reason in self._not_ready.items()]
        reasons += [f"{name}: {reason}" for name, reason in self._degraded.items()]
        if self._snapshots.is_builtin:
            reasons.append("snapshot: none of a catalog was ever held; serving the built-in one")
        redis_up = bool(self._redis_up._value.get())  # noqa: SLF001 - the gauge is the state
        if not redis_up:
            reasons.append("redis: does not answer")
        return {
            "ready": not self._not_ready,
            "snapshot": self._snapshots.snapshot.version,
            "redis": redis_up,
            "reasons": reasons,
        }

    async def watch_loop(self) -> None:
        """Measure how late the event loop is, until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_INTERVAL)
            self._lag.observe(max(0.0, time.monotonic() - before - LAG_INTERVAL))

    def routes(self) -> list[web.RouteDef]:
        """Routes for the service's HTTP server."""
        return [
            web.get("/metrics", self._metrics),
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
        ]

    async def _metrics(self, _: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest, self.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"healthy": True})

    async def _readyz(self, _: web.Request) -> web.Response:
        readiness = self.readiness()
        return web.json_response(readiness, status=200 if readiness["ready"] else 503)


def _note(notes: dict[str, str], name: str, reason: str | None) -> None:
    if reason is None:
        notes.pop(name, None)
    else:
        notes[name] = reason
