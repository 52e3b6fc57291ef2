"""The names that dashboards are built on, as running services export them."""

import re

from bootyard.model.architecture import Firmware
from bootyard.model.events import (
    BootOutcome,
    FileClass,
    IgnoreReason,
    MachineState,
    OfferStage,
    Step,
    TransferOutcome,
)
from tests.lab.host import BootyardHost
from tests.lab.processes import wait_until

EVERY_SERVICE = {
    "bootyard_build_info",
    "bootyard_snapshot_number",
    "bootyard_snapshot_age_seconds",
    "bootyard_redis_up",
    "bootyard_events_dropped_total",
    "bootyard_internal_errors_total",
    "bootyard_event_loop_lag_seconds_bucket",
}
OWN: dict[str, dict[str, dict[str, set[str]]]] = {
    "proxydhcp": {
        "bootyard_proxydhcp_packets_received_total": {"port": {"67", "4011"}},
        "bootyard_proxydhcp_packets_ignored_total": {"reason": set(IgnoreReason)},
        "bootyard_proxydhcp_offers_total": {"firmware": set(Firmware), "stage": set(OfferStage)},
        "bootyard_proxydhcp_response_duration_seconds_bucket": {},
        "bootyard_proxydhcp_other_servers": {"kind": {"dhcp", "pxe", "boot_file"}},
    },
    "tftp": {
        "bootyard_tftp_transfers_total": {
            "file_class": set(FileClass),
            "outcome": set(TransferOutcome),
        },
        "bootyard_tftp_sent_bytes_total": {"file_class": set(FileClass)},
        "bootyard_tftp_retransmitted_packets_total": {},
        "bootyard_tftp_sessions": {},
        "bootyard_tftp_rejected_total": {"reason": {"busy"}},
        "bootyard_tftp_transfer_duration_seconds_bucket": {"file_class": set(FileClass)},
        "bootyard_tftp_transfer_rate_bytes_per_second_bucket": {},
        "bootyard_tftp_missing_files": {},
    },
    "catalog": {
        "bootyard_http_requests_total": {"handler": {"api", "ui"}},
        "bootyard_http_request_duration_seconds_bucket": {"handler": {"api", "ui"}},
        "bootyard_http_transfers_total": {
            "file_class": set(FileClass),
            "outcome": set(TransferOutcome),
        },
        "bootyard_http_sent_bytes_total": {"file_class": set(FileClass)},
        "bootyard_http_transfer_rate_bytes_per_second_bucket": {},
        "bootyard_boots_total": {"firmware": set(Firmware), "outcome": set(BootOutcome)},
        "bootyard_image_boots_total": {"image": {"debian-12"}, "outcome": set(BootOutcome)},
        "bootyard_boot_step_duration_seconds_bucket": {"step": set(Step)},
        "bootyard_machines": {"state": set(MachineState)},
        "bootyard_machine_state": {"machine": {"nuc-3"}, "state": set(MachineState)},
        "bootyard_image_size_bytes": {"image": {"debian-12"}},
        "bootyard_storage_free_bytes": {"volume": {"images"}},
    },
}


def test_names_and_every_child_of_an_enumeration_exist_from_the_start(host: BootyardHost) -> None:
    host.start_services()
    host.cli("machine", "set", "52:54:00:00:00:03", "--name", "nuc-3")
    wait_until(
        lambda: "bootyard_machine_state{" in host.metrics("catalog") or None,
        timeout=15,
        failure=host.log,
    )
    for service, metrics in OWN.items():
        exported = host.metrics(service)
        samples = re.findall(r"^(bootyard_\w+?)(\{.*\})? \S+$", exported, re.MULTILINE)
        names = {name for name, _ in samples}
        assert EVERY_SERVICE | set(metrics) <= names
        for name, labels in metrics.items():
            shown = [text for found, text in samples if found == name]
            for label, values in labels.items():
                seen = {m for text in shown for m in re.findall(rf'{label}="([^"]*)"', text)}
                assert values <= seen, f"{name}{{{label}}}"
        assert not [name for name in names if name.endswith("_created")]
