"""One boot of one machine, and its steps. Pure."""

import msgspec

from bootyard.boot.names import without_pi_prefix
from bootyard.model.architecture import Firmware
from bootyard.model.events import OTHER_SERVER, BootEvent, BootOutcome, OfferStage, Step
from bootyard.model.loaders import OfferStrategy
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
    strategy: OfferStrategy | None = None
    outcome: str = ""
    ip: str | None = None
    image: str | None = None
    path: str | None = None
    transport: str | None = None
    bytes: int | None = None
    seconds: float | None = None
    detail: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether the boot went through us: another server's offer is told, and decides nothing."""
        return self.outcome != OTHER_SERVER

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
        """Name of the file within its image, folded: `images/ID[@REVISION]/FILE`.

        A Raspberry Pi names files alone, or below its serial number.
        """
        path = (self.path or "").casefold()
        parts = path.split("/", 2)
        if parts[0] == "images":
            return parts[2] if len(parts) == 3 else ""
        return without_pi_prefix(path) if self.image is not None else ""


def step_of(event: BootEvent, at: float) -> BootStep:
    """Make a step of an event."""
    return BootStep(
        step=event.step,
        at=at,
        service=event.service,
        run=event.run,
        sequence=event.sequence,
        stage=event.stage,
        strategy=event.strategy,
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
    heard: float = 0.0
    """When the latest news of it came here: later than `last` when Redis was away."""
    firmware: Firmware | None = None
    image: str | None = None
    target: str | None = None
    """Known when a boot-once was bound to this boot."""
    steps: list[BootStep] = []
    outcome: BootOutcome = BootOutcome.RUNNING
    closed: float | None = None
    restarted: float | None = None
    """When the machine's firmware asked again, if that closed it."""
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
    def own_steps(self) -> list[BootStep]:
        """The steps that went through us."""
        return [step for step in self.steps if step.is_ours]

    @property
    def has_kernel(self) -> bool:
        """Whether a kernel was completely taken."""
        return any(step.step is Step.KERNEL and step.is_complete for step in self.steps)

    def has(self, step: Step) -> bool:
        """Tell whether a step was seen."""
        return any(known.step is step and known.is_ours for known in self.steps)


def boot_id(number: int) -> str:
    """Write the id of a boot."""
    return f"b-{number}"


def boot_number(boot: str) -> int | None:
    """Read the id of a boot; None for what is none."""
    digits = boot.removeprefix("b-")
    plain = digits != boot and digits.isascii() and digits.isdigit() and len(digits) <= 15
    return int(digits) if plain else None
