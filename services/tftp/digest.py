"""What is told about one finished transfer: the source of its log line, metrics and boot event."""

from ipaddress import IPv4Address
from typing import Literal

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.events import FileClass, Step, TransferOutcome
from bootyard.model.mac import MACAddress


class TransferSubject(msgspec.Struct, frozen=True, kw_only=True):
    """Who transfers what: known from the start."""

    path: str
    """As in the boot tree, fit for logs and JSON."""
    file_class: FileClass
    script: Literal["first", "menu"] | None
    image: str | None
    firmware: Firmware | None = None
    """Whose loader it is: where no DHCP of the machine was heard, nothing else tells."""
    client_ip: IPv4Address
    client_port: int
    server_address: IPv4Address
    mac: MACAddress | None
    is_probe_of_ours: bool = False
    """The health check and the doctor: they leave no counts and no events."""


class TransferDigest(msgspec.Struct, frozen=True, kw_only=True):
    """How a transfer went. `bytes` and `blocks` are what the client acknowledged."""

    subject: TransferSubject
    outcome: TransferOutcome
    bytes: int
    seconds: float
    blocks: int
    retransmits: int
    block_size: int
    window_size: int


_STEP_OF_CLASS = {
    FileClass.LOADER: Step.LOADER,
    FileClass.KERNEL: Step.KERNEL,
    FileClass.INITRD: Step.INITRD,
}
_STEP_OF_SCRIPT = {"first": Step.SCRIPT, "menu": Step.MENU}


def step_of(digest: TransferDigest) -> Step | None:
    """Name the step of a boot that a transfer was; None: it is not part of the story."""
    subject = digest.subject
    if subject.is_probe_of_ours or digest.outcome in {
        TransferOutcome.PROBE,
        TransferOutcome.REJECTED,
        TransferOutcome.NOT_FOUND,
    }:
        return None
    if subject.script is not None:
        return _STEP_OF_SCRIPT[subject.script]
    return _STEP_OF_CLASS.get(subject.file_class)
