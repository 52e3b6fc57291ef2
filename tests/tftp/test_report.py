"""What finished transfers leave behind: metrics, and events for the steps of a boot."""

from ipaddress import IPv4Address

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bootyard.model.architecture import Firmware
from bootyard.model.events import BootEvent, FileClass, Step, TransferOutcome
from bootyard.model.mac import MACAddress
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.store import Store
from services.tftp.digest import TransferDigest, TransferSubject
from services.tftp.metrics import RejectReason, TFTPMetrics
from services.tftp.report import Reporter

MAC = MACAddress.parse("52:54:00:12:34:56")
KERNEL = TransferSubject(
    path="images/debian-13@4/linux",
    file_class=FileClass.KERNEL,
    script=None,
    image="debian-13",
    client_ip=IPv4Address("192.0.2.50"),
    client_port=2070,
    server_address=IPv4Address("192.0.2.10"),
    mac=MAC,
)


def digest(
    subject: TransferSubject = KERNEL, outcome: TransferOutcome = TransferOutcome.COMPLETE
) -> TransferDigest:
    return TransferDigest(
        subject=subject,
        outcome=outcome,
        bytes=100_000,
        seconds=0.5,
        blocks=69,
        retransmits=3,
        block_size=1468,
        window_size=4,
    )


class Health:
    def redis_up(self, up: bool) -> None:
        del up

    def events_dropped(self, count: int) -> None:
        del count


class Desk:
    """A reporter, and everything it told."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = TFTPMetrics(self.registry)
        self.events: list[BootEvent] = []
        sender = EventSender("tftp", Store(None, Health()))
        sender.listener = self.events.append
        self.reporter = Reporter(self.metrics, sender)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def test_a_finished_transfer_is_one_event() -> None:
    desk = Desk()
    desk.reporter.finished(digest())
    [event] = desk.events
    assert (event.step, event.mac, event.ip) == (Step.KERNEL, MAC, "192.0.2.50")
    assert (event.path, event.image) == ("images/debian-13@4/linux", "debian-13")
    assert (event.transport, event.bytes, event.seconds) == ("tftp", 100_000, 0.5)
    assert event.outcome == "complete"


@pytest.mark.parametrize(
    ("file_class", "script", "step"),
    [
        (FileClass.LOADER, None, Step.LOADER),
        (FileClass.MENU, "first", Step.SCRIPT),
        (FileClass.MENU, "menu", Step.MENU),
        (FileClass.MENU, None, None),
        (FileClass.KERNEL, None, Step.KERNEL),
        (FileClass.INITRD, None, Step.INITRD),
        (FileClass.IMAGE, None, None),
        (FileClass.OTHER, None, None),
    ],
)
def test_steps(file_class: FileClass, script: str | None, step: Step | None) -> None:
    desk = Desk()
    subject = msgspec.structs.replace(KERNEL, file_class=file_class, script=script, mac=None)
    desk.reporter.finished(digest(subject))
    assert [event.step for event in desk.events] == ([] if step is None else [step])
    assert all(event.mac is None and event.ip == "192.0.2.50" for event in desk.events)
    assert (
        desk.value("bootyard_tftp_transfers_total", file_class=file_class.value, outcome="complete")
        == 1
    )


@pytest.mark.parametrize(
    ("outcome", "is_told"),
    [
        (TransferOutcome.COMPLETE, True),
        (TransferOutcome.TIMEOUT, True),
        (TransferOutcome.CLIENT_ABORT, True),
        (TransferOutcome.SOURCE_CHANGED, True),
        (TransferOutcome.ERROR, True),
        (TransferOutcome.PROBE, False),
        (TransferOutcome.REJECTED, False),
    ],
)
def test_a_probe_is_counted_but_no_event(outcome: TransferOutcome, is_told: bool) -> None:
    desk = Desk()
    desk.reporter.finished(digest(outcome=outcome))
    assert len(desk.events) == int(is_told)
    sample = "bootyard_tftp_transfers_total"
    assert desk.value(sample, file_class="kernel", outcome=outcome.value) == 1


def test_our_own_probes_leave_nothing() -> None:
    desk = Desk()
    before = generate_latest(desk.registry)
    subject = msgspec.structs.replace(KERNEL, is_probe_of_ours=True)
    desk.reporter.finished(digest(subject))
    desk.metrics.progressed(subject, 3, 1)
    assert desk.events == []
    assert generate_latest(desk.registry) == before


def test_only_complete_and_long_transfers_have_a_rate() -> None:
    desk = Desk()
    desk.reporter.finished(digest())
    desk.reporter.finished(digest(outcome=TransferOutcome.TIMEOUT))
    desk.reporter.finished(msgspec.structs.replace(digest(), bytes=65535))
    assert desk.value("bootyard_tftp_transfer_rate_bytes_per_second_count") == 1
    assert desk.value("bootyard_tftp_transfer_rate_bytes_per_second_sum") == 200_000
    assert desk.value("bootyard_tftp_transfer_duration_seconds_count", file_class="kernel") == 2


def test_every_child_exists_from_the_start() -> None:
    samples = {
        (sample.name, *sample.labels.values())
        for family in text_string_to_metric_families(generate_latest(Desk().registry).decode())
        for sample in family.samples
    }
    for file_class in FileClass:
        assert ("bootyard_tftp_sent_bytes_total", file_class.value) in samples
        assert ("bootyard_tftp_transfer_duration_seconds_count", file_class.value) in samples
        for outcome in TransferOutcome:
            child = ("bootyard_tftp_transfers_total", file_class.value, outcome.value)
            assert child in samples
    for reason in RejectReason:
        assert ("bootyard_tftp_rejected_total", reason.value) in samples
    for name in ("sessions", "retransmitted_packets_total"):
        assert (f"bootyard_tftp_{name}",) in samples


def test_a_loader_tells_the_firmware_that_runs_it() -> None:
    """Where another server named the boot file, no DHCP packet that we answered does."""
    desk = Desk()
    subject = msgspec.structs.replace(
        KERNEL, file_class=FileClass.LOADER, firmware=Firmware.UEFI_X64
    )
    desk.reporter.finished(digest(subject))
    desk.reporter.finished(digest())
    assert [event.firmware for event in desk.events] == [Firmware.UEFI_X64, None]
