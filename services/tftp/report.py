"""Tells of finished transfers: one log line, the metrics and, for a boot's steps, an event."""

from bootyard.model.events import TransferOutcome
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.log import get_line_logger
from services.tftp.digest import TransferDigest, step_of
from services.tftp.metrics import TFTPMetrics

QUIET = frozenset({TransferOutcome.PROBE, TransferOutcome.REJECTED})
"""A probe is how firmware asks for a size: normal, and followed by the transfer itself. Rejected
are those that a flood of requests pushed out: a line for each would make the flood worse."""


class Reporter:
    """Takes each transfer's digest."""

    def __init__(self, metrics: TFTPMetrics, events: EventSender) -> None:
        self._metrics = metrics
        self._events = events
        self._log = get_line_logger(__name__)

    def finished(self, digest: TransferDigest) -> None:
        """Tell of a transfer that has ended."""
        subject = digest.subject
        is_quiet = subject.is_probe_of_ours or digest.outcome in QUIET
        tell = self._log.debug if is_quiet else self._log.info
        tell(
            "transfer finished",
            path=subject.path,
            outcome=digest.outcome.value,
            client=str(subject.client_ip),
            mac=subject.mac,
            bytes=digest.bytes,
            seconds=round(digest.seconds, 3),
            retransmits=digest.retransmits,
            block_size=digest.block_size,
            window_size=digest.window_size,
            file_class=subject.file_class.value,
            image=subject.image,
            server=str(subject.server_address),
        )
        if subject.is_probe_of_ours:
            return
        self._metrics.finished(digest)
        step = step_of(digest)
        if step is not None:
            self._events.send(
                step,
                mac=subject.mac,
                ip=subject.client_ip,
                path=subject.path,
                image=subject.image,
                firmware=subject.firmware,
                transport="tftp",
                bytes=digest.bytes,
                seconds=round(digest.seconds, 6),
                outcome=digest.outcome.value,
            )
