"""What the API says about things: the JSON shapes that other people's scripts rely on."""

from datetime import UTC, datetime
from typing import Literal

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.events import BootOutcome, MachineState, Step
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import BootTarget, Learned, TargetKind
from services.catalog.boots.boot import Boot, BootStep
from services.catalog.boots.verdict import verdict
from services.catalog.http.words import step_note
from services.catalog.library.image import LibraryImage
from services.catalog.library.recipes.material import Status
from services.catalog.machines import MachineRecord


class ImageView(msgspec.Struct, frozen=True, kw_only=True):
    """An image in the library, bootable or not."""

    id: str
    title: str
    family: str
    version: str
    kind: TargetKind
    architectures: tuple[str, ...]
    size_bytes: int
    sha256: str | None
    verified_by: str | None
    state: str
    problem: str | None
    cure: str | None
    recipe: str
    status: Status
    """How well the recipe is proven."""
    evidence: tuple[str, ...]
    """Why it is taken for what it is."""
    notes: tuple[str, ...]
    revision: int
    targets: tuple[str, ...]


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """One way to boot an image."""

    id: str
    image: str
    title: str
    kind: TargetKind
    loader: str
    kernel: str
    initrds: tuple[str, ...]
    command_line: str
    firmware: tuple[Firmware, ...]
    """Platforms that can start it; empty: what its image's architectures say."""
    least_memory_mb: int
    """0: not known."""
    is_guess: bool
    needs_catalog: bool
    """Whether it cannot start from what TFTP serves alone."""


class BootOnceView(msgspec.Struct, frozen=True, kw_only=True):
    """What is, or last was, armed for a machine."""

    target: str
    expires_at: str
    state: str


class LearnedView(msgspec.Struct, frozen=True, kw_only=True):
    """What is concluded from a machine's own behaviour; what its operator says goes before it."""

    offer: OfferStrategy | None = None
    secure_boot: Literal["probable", "confirmed"] | None = None
    dead_ends: tuple[LoaderName, ...] = ()
    """Loaders that led nowhere lately."""


class MachineView(msgspec.Struct, frozen=True, kw_only=True):
    """A registered machine. `variables` may be secrets: only for who has the admin token."""

    mac: MACAddress
    name: str | None
    tags: tuple[str, ...]
    target: str | None
    firmware: Firmware | None
    kernel_args: str
    loader: LoaderName | None
    offer: OfferStrategy | None
    secure_boot: bool | None
    boot_once: BootOnceView | None
    learned: LearnedView
    state: MachineState
    last_boot: str | None
    variables: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class StepView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step of a boot; `outcome` only when it went wrong or was not ours."""

    step: Step
    at: float
    """Seconds since the boot started."""
    seconds: float | None = None
    bytes: int | None = None
    path: str | None = None
    transport: str | None = None
    strategy: OfferStrategy | None = None
    outcome: str | None = None
    note: str | None = None
    """What is special about it, for people."""


class BootView(msgspec.Struct, frozen=True, kw_only=True):
    """One boot."""

    id: str
    mac: MACAddress
    firmware: Firmware | None
    image: str | None
    started: str
    outcome: BootOutcome
    steps: tuple[StepView, ...]
    verdict: str | None = None


def image_view(image: LibraryImage) -> ImageView:
    """Show an image."""
    return ImageView(
        id=image.id,
        title=image.title,
        family=image.family,
        version=image.version,
        kind=image.kind,
        architectures=image.architectures,
        size_bytes=image.size_bytes,
        sha256=image.sha256,
        verified_by=image.verified_by,
        state=image.state,
        problem=image.problem,
        cure=image.cure,
        recipe=image.recipe,
        status=image.status,
        evidence=image.evidence,
        notes=image.notes,
        revision=image.revision,
        targets=tuple(target.id for target in image.targets),
    )


def target_view(target: BootTarget) -> TargetView:
    """Show a target."""
    return TargetView(
        id=target.id,
        image=target.image,
        title=target.title,
        kind=target.kind,
        loader=target.loader,
        kernel=target.kernel,
        initrds=target.initrds,
        command_line=target.command_line,
        firmware=target.firmware,
        least_memory_mb=target.least_memory_mb,
        is_guess=target.is_guess,
        needs_catalog=target.needs_catalog,
    )


def machine_view(
    record: MachineRecord,
    state: MachineState,
    last_boot: Boot | None,
    learned: Learned,
    *,
    with_variables: bool,
) -> MachineView:
    """Show a machine, with what is known from its last boot."""
    machine, armed = record.machine, record.boot_once
    return MachineView(
        mac=machine.mac,
        name=machine.name,
        tags=machine.tags,
        target=machine.target,
        firmware=machine.firmware or (last_boot.firmware if last_boot else None),
        kernel_args=machine.kernel_args,
        loader=machine.loader,
        offer=machine.offer,
        secure_boot=machine.secure_boot,
        boot_once=None
        if armed is None
        else BootOnceView(
            target=armed.target, expires_at=time_text(armed.expires_at), state=armed.state
        ),
        learned=LearnedView(
            offer=learned.offer, secure_boot=learned.secure_boot, dead_ends=learned.dead_ends
        ),
        state=state,
        last_boot=last_boot.id if last_boot else None,
        variables=record.variables if with_variables else msgspec.UNSET,
    )


def boot_view(boot: Boot) -> BootView:
    """Show a boot."""
    return BootView(
        id=boot.id,
        mac=boot.mac,
        firmware=boot.firmware,
        image=boot.image,
        started=time_text(boot.started),
        outcome=boot.outcome,
        steps=tuple(_step_view(step, boot) for step in boot.steps),
        verdict=verdict(boot),
    )


def _step_view(step: BootStep, boot: Boot) -> StepView:
    return StepView(
        step=step.step,
        at=round(step.at - boot.started, 3),
        seconds=step.seconds,
        bytes=step.bytes,
        path=step.path,
        transport=step.transport,
        strategy=step.strategy,
        outcome=None if step.is_complete else step.outcome,
        note=step_note(step, boot.firmware),
    )


def time_text(seconds: float) -> str:
    """Write a time as `2026-01-01T00:30:00Z`."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00Z"
