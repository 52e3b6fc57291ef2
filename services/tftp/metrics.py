"""What this service counts. Labels come from enumerations, and every child exists from start."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bootyard.model.events import FileClass, TransferOutcome
from services.tftp.digest import TransferDigest, TransferSubject

LEAST_FOR_RATE = 65536
"""Shorter transfers measure the latency of the client, not a rate."""


class RejectReason(StrEnum):
    """Why a datagram on port 69 did not become a transfer, other than a file that is not there."""

    MALFORMED = "malformed"
    """Not TFTP, or not a request."""
    INTERFACE = "interface"
    """Heard on an interface that is not served, or sent to a broadcast address."""
    FOREIGN = "foreign"
    """From an address outside the interface's networks: what a forged sender would have."""
    WRITE = "write"
    MODE = "mode"
    FORBIDDEN = "forbidden"
    """A name that cannot exist, or a file that may not be read."""
    CHANGED = "changed"
    """The file is no longer the one the snapshot describes."""
    BUSY = "busy"
    """Too many transfers, of one client or in total."""
    FLOOD = "flood"
    """Too many errors a second: this one got no answer."""


def missing_files(registry: CollectorRegistry) -> Gauge:
    """Make the metric of design §6 that is the service's, and not counted by its workers."""
    return Gauge(
        "bootyard_tftp_missing_files",
        "Loaders of the snapshot that are not on this disk",
        registry=registry,
    )


class TFTPMetrics:
    """The metrics of design §6 that are TFTP's own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._transfers = Counter(
            "bootyard_tftp_transfers",
            "Requests by file class and outcome",
            ["file_class", "outcome"],
            registry=registry,
        )
        self._sent_bytes = Counter(
            "bootyard_tftp_sent_bytes",
            "Bytes of content that clients acknowledged",
            ["file_class"],
            registry=registry,
        )
        self._retransmitted = Counter(
            "bootyard_tftp_retransmitted_packets", "Packets sent again", registry=registry
        )
        self.sessions = Gauge(
            "bootyard_tftp_sessions", "Transfers that are running", registry=registry
        )
        self._rejected = Counter(
            "bootyard_tftp_rejected",
            "Datagrams that did not become a transfer",
            ["reason"],
            registry=registry,
        )
        self._duration = Histogram(
            "bootyard_tftp_transfer_duration_seconds",
            "Duration of complete transfers",
            ["file_class"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
            registry=registry,
        )
        self._rate = Histogram(
            "bootyard_tftp_transfer_rate_bytes_per_second",
            "Rate of complete transfers of 64 KiB and more",
            buckets=(1e5, 3e5, 1e6, 3e6, 1e7, 2e7, 4e7, 8e7, 1.2e8, 2.5e8, 5e8, 1e9),
            registry=registry,
        )
        self._sent_bytes_of = {c: self._sent_bytes.labels(c) for c in FileClass}
        self._duration_of = {c: self._duration.labels(c) for c in FileClass}
        self._transfers_of = {
            (c, outcome): self._transfers.labels(c, outcome)
            for c in FileClass
            for outcome in TransferOutcome
        }
        for reason in RejectReason:
            self._rejected.labels(reason)

    def progressed(self, subject: TransferSubject, sent_bytes: int, retransmits: int) -> None:
        """Count what a running transfer did since the last time."""
        if not subject.is_probe_of_ours:
            self._sent_bytes_of[subject.file_class].inc(sent_bytes)
            self._retransmitted.inc(retransmits)

    def finished(self, digest: TransferDigest) -> None:
        """Count a transfer at its end."""
        file_class = digest.subject.file_class
        self._transfers_of[file_class, digest.outcome].inc()
        if digest.outcome is TransferOutcome.COMPLETE:
            self._duration_of[file_class].observe(digest.seconds)
            if digest.bytes >= LEAST_FOR_RATE:
                self._rate.observe(digest.bytes / max(digest.seconds, 1e-6))

    def not_found(self) -> None:
        """Count a request for a name that leads nowhere."""
        self._transfers.labels(FileClass.OTHER, TransferOutcome.NOT_FOUND).inc()

    def rejected(self, reason: RejectReason, *, is_request: bool) -> None:
        """Count a datagram that was refused, and the transfer it asked for."""
        self._rejected.labels(reason).inc()
        if is_request:
            self._transfers.labels(FileClass.OTHER, TransferOutcome.REJECTED).inc()
