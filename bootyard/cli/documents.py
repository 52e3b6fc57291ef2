"""What the catalog's API answers, as far as tables show it. Fields that are not known are ignored.

Words are plain text here, not enumerations: a newer catalog may have more of them.
"""

from typing import TypeVar

import msgspec

from bootyard.cli.failure import CommandFailed
from bootyard.model.document import DocumentInvalid, decode
from bootyard.model.events import OTHER_SERVER

T = TypeVar("T")


class Page(msgspec.Struct, frozen=True):
    """One page of a collection; `next` is the cursor of the one after it."""

    items: tuple[msgspec.Raw, ...]
    next: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """An error of the API (problem+json, RFC 9457) with Bootyard's `cure`."""

    title: str = ""
    detail: str = ""
    cure: str | None = None


class ImageDocument(msgspec.Struct, frozen=True):
    """An image of the library."""

    id: str
    title: str | None = None
    kind: str | None = None
    architectures: tuple[str, ...] = ()
    size_bytes: int | None = None
    revision: int | None = None
    state: str | None = None
    problem: str | None = None
    cure: str | None = None
    targets: tuple[str, ...] = ()


class RemovedImageDocument(msgspec.Struct, frozen=True):
    """An image that was taken out of the library, and where its file went."""

    id: str
    moved_to: str


class BootOnceDocument(msgspec.Struct, frozen=True):
    """What a machine will boot at its next start only."""

    target: str
    expires_at: str | None = None
    state: str | None = None

    @property
    def is_ahead(self) -> bool:
        """Whether that boot is still to come, or under way."""
        return self.state in {"armed", "bound"}


class LearnedDocument(msgspec.Struct, frozen=True):
    """What the catalog concluded from a machine's boots."""

    offer: str | None = None
    secure_boot: str | None = None
    dead_ends: tuple[str, ...] = ()


class MachineDocument(msgspec.Struct, frozen=True):
    """A machine that the catalog knows."""

    mac: str
    name: str | None = None
    tags: tuple[str, ...] = ()
    target: str | None = None
    firmware: str | None = None
    kernel_args: str | None = None
    loader: str | None = None
    offer: str | None = None
    secure_boot: bool | None = None
    boot_once: BootOnceDocument | None = None
    learned: LearnedDocument = LearnedDocument()
    state: str | None = None
    last_boot: str | None = None


class StepDocument(msgspec.Struct, frozen=True):
    """One step of a boot, `at` seconds after its first."""

    step: str
    at: float | None = None
    seconds: float | None = None
    bytes: int | None = None
    outcome: str | None = None
    path: str | None = None
    transport: str | None = None
    strategy: str | None = None
    note: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is about us, and not what another server on the network did."""
        return self.outcome != OTHER_SERVER


class BootDocument(msgspec.Struct, frozen=True):
    """One boot of a machine, from its first packet on."""

    id: str
    mac: str
    firmware: str | None = None
    image: str | None = None
    started: str | None = None
    outcome: str = "running"
    steps: tuple[StepDocument, ...] = ()
    verdict: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether more steps may follow."""
        return self.outcome == "running"


class SubnetDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """TFTP settings of one subnet; None: as everywhere."""

    network: str
    max_block_size: int | None = None
    max_window_size: int | None = None
    retry_seconds: float | None = None
    tries: int | None = None


class PolicyDocument(msgspec.Struct, frozen=True):
    """What machines get that have no target of their own."""

    default: str
    timeout_seconds: int
    unknown: str
    secure_boot: str | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    subnets: tuple[SubnetDocument, ...] = ()


def read(document: bytes | msgspec.Raw, shape: type[T]) -> T:
    """Read an answer of the API; one of another shape comes from something else."""
    try:
        return decode(document, shape)
    except DocumentInvalid as error:
        raise CommandFailed(
            f"the answer is not what a catalog says ({error})",
            "check that BOOTYARD_URL names a catalog of this version",
        ) from error
