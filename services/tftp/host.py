"""What the server needs of the process that it runs in: the service itself, or a worker of it."""

from typing import Protocol

from prometheus_client import CollectorRegistry

from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.settings import Settings
from bootyard.runtime.snapshots import SnapshotHolder


class Health(Protocol):
    """Takes what the server tells about itself (`runtime.telemetry`)."""

    @property
    def registry(self) -> CollectorRegistry:
        """Where its metrics are."""

    def internal_error(self, where: str) -> None:
        """Count a fault of ours."""

    def degraded(self, name: str, reason: str | None) -> None:
        """Say that something is missing, or (None) no longer."""


class Host(Protocol):
    """A process with a server."""

    @property
    def settings(self) -> Settings:
        """What was set."""

    @property
    def snapshots(self) -> SnapshotHolder:
        """What is served."""

    @property
    def telemetry(self) -> Health:
        """Where it tells about itself."""

    @property
    def events(self) -> EventSender:
        """Where it tells what machines did."""
