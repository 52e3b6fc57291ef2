"""One boot of one machine, and its steps. Pure."""

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.events import BootEvent, BootOutcome, OfferStage, Step
from bootyard.model.mac import MACAddress

MAX_STEPS = 100
"""A machine that fetches its kernel in a loop must not grow its boot without end."""


class BootStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing the machine was seen to do; `at` is seconds since 1970."""

    step: Step
    at: float
    service: str
    run: str
    sequence: int
    stage: OfferStage | None = None
    outcome: str = ""
    ip: str | None = None
    image: str | None = None
    path: str | None = None
    transport: str | None = None
    bytes: int | None = None
    seconds: float | None = None
    detail: str = ""

    @property
    def is_firmware_discover(self) -> bool:
        """Whether the machine was switched on: its firmware, not an iPXE, asked for an address."""
        return self.step is Step.DISCOVERED and self.stage is not OfferStage.IPXE

    @property
    def is_complete(self) -> bool:
        """Whether a transfer brought the whole file (what is no transfer has no outcome)."""
        return self.outcome in {"", "complete"}

    @property
    def file(self) -> str:
        """Name of the file within its image, folded: `images/ID[@REVISION]/FILE`."""
        parts = (self.path or "").casefold().split("/", 2)
        return parts[2] if len(parts) == 3 and parts[0] == "images" else ""


def step_of(event: BootEvent, at: float) -> BootStep:
    """Make a step of an event."""
    return BootStep(
        step=event.step,
        at=at,
        service=event.service,
        run=event.run,
        sequence=event.sequence,
        stage=event.stage,
        outcome=event.outcome,
        ip=event.ip,
        image=event.image,
        path=event.path,
        transport=event.transport,
        bytes=event.bytes,
        seconds=event.seconds,
        detail=event.detail,
    )


class Boot(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A boot as it is told so far; only the timeline changes it."""

    number: int
    mac: MACAddress
    started: float
    last: float
    """Time of the latest step."""
    firmware: Firmware | None = None
    image: str | None = None
    target: str | None = None
    """Known when a boot-once was bound to this boot."""
    steps: list[BootStep] = []
    outcome: BootOutcome = BootOutcome.RUNNING
    closed: float | None = None
    counted: bool = False
    """Whether its outcome is certain, and in the metrics."""

    @property
    def id(self) -> str:
        """What people and the API call it."""
        return boot_id(self.number)

    @property
    def is_open(self) -> bool:
        """Whether steps may still follow."""
        return self.closed is None

    @property
    def has_kernel(self) -> bool:
        """Whether a kernel was completely taken."""
        return any(step.step is Step.KERNEL and step.is_complete for step in self.steps)

    def has(self, step: Step) -> bool:
        """Tell whether a step was seen."""
        return any(known.step is step for known in self.steps)


def boot_id(number: int) -> str:
    """Write the id of a boot."""
    return f"b-{number}"


def boot_number(boot: str) -> int | None:
    """Read the id of a boot; None for what is none."""
    digits = boot.removeprefix("b-")
    plain = digits != boot and digits.isascii() and digits.isdigit() and len(digits) <= 15
    return int(digits) if plain else None
