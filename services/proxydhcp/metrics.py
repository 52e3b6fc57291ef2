"""The service's metrics: labels are enumerations, and every child exists from the start."""

import itertools

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bootyard.model.architecture import Firmware
from bootyard.model.events import IgnoreReason, OfferStage
from services.proxydhcp.identify import Listener
from services.proxydhcp.options import MessageType

OTHER = "other"
TYPES = {kind: kind.name.lower() for kind in MessageType}
"""Label of each message type; BOOTP, malformed and later types are `other`."""

SERVER_KINDS = ("dhcp", "pxe", "boot_file")


class Metrics:
    """What the service counts.

    Children are kept at hand: looking one up costs more than counting.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        received = Counter(
            "bootyard_proxydhcp_packets_received",
            "Packets, by the port they came to and their DHCP message type",
            ["port", "type"],
            registry=registry,
        )
        ignored = Counter(
            "bootyard_proxydhcp_packets_ignored",
            "Packets that got no answer",
            ["reason"],
            registry=registry,
        )
        offers = Counter(
            "bootyard_proxydhcp_offers",
            "Boot files offered on port 67",
            ["firmware", "stage"],
            registry=registry,
        )
        self._duration = Histogram(
            "bootyard_proxydhcp_response_duration_seconds",
            "Time from a packet's arrival to its answer's departure",
            buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0),
            registry=registry,
        )
        self._other_servers = Gauge(
            "bootyard_proxydhcp_other_servers",
            "Other servers heard of in the last hour",
            ["kind"],
            registry=registry,
        )
        self._received = {
            (port, kind): received.labels(port, label)
            for port, (kind, label) in itertools.product(Listener, (*TYPES.items(), (None, OTHER)))
        }
        self._ignored = {reason: ignored.labels(reason) for reason in IgnoreReason}
        self._offers = {
            pair: offers.labels(*pair) for pair in itertools.product(Firmware, OfferStage)
        }
        for server in SERVER_KINDS:
            self._other_servers.labels(server)

    def received(self, listener: Listener, kind: MessageType | None) -> None:
        """Count a packet; None for what has no message type."""
        child = self._received.get((listener, kind)) or self._received[listener, None]
        child.inc()

    def ignored(self, reason: IgnoreReason) -> None:
        """Count a packet that got no answer."""
        self._ignored[reason].inc()

    def offered(self, firmware: Firmware, stage: OfferStage) -> None:
        """Count an OFFER that was sent."""
        self._offers[firmware, stage].inc()

    def answered(self, seconds: float) -> None:
        """Count the time an answer took."""
        self._duration.observe(seconds)

    def other_servers(self, kind: str, count: int) -> None:
        """Tell how many servers of a kind are known."""
        self._other_servers.labels(kind).set(count)
