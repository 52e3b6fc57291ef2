"""Boot events: what a machine was seen to do, and the words for it.

Members are also the values of metric labels and JSON fields; their spelling is fixed.
"""

from enum import StrEnum

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import MACAddress


class Step(StrEnum):
    """The steps of a boot, in the order a complete one takes them."""

    DISCOVERED = "discovered"
    OFFERED = "offered"
    ACKED = "acked"
    ADDRESSED = "addressed"
    LOADER = "loader"
    SCRIPT = "script"
    MENU = "menu"
    KERNEL = "kernel"
    INITRD = "initrd"
    ANSWERS = "answers"
    SYSTEM_UP = "system_up"
    DONE = "done"


class BootOutcome(StrEnum):
    """How a boot ended, or ``running``."""

    RUNNING = "running"
    INSTALLED = "installed"
    LOCAL_DISK = "local_disk"
    MENU_ONLY = "menu_only"
    STOPPED_OFFER = "stopped_offer"
    STOPPED_4011 = "stopped_4011"
    STOPPED_LOADER = "stopped_loader"
    SECURE_BOOT = "secure_boot"
    STOPPED_SCRIPT = "stopped_script"
    STOPPED_KERNEL = "stopped_kernel"
    STOPPED_INITRD = "stopped_initrd"
    SILENT = "silent"
    DENIED = "denied"


class TransferOutcome(StrEnum):
    """How one file transfer ended."""

    COMPLETE = "complete"
    PROBE = "probe"
    CLIENT_ABORT = "client_abort"
    TIMEOUT = "timeout"
    SOURCE_CHANGED = "source_changed"
    REJECTED = "rejected"
    NOT_FOUND = "not_found"
    ERROR = "error"


class FileClass(StrEnum):
    """What a file of the boot tree is for."""

    LOADER = "loader"
    MENU = "menu"
    KERNEL = "kernel"
    INITRD = "initrd"
    IMAGE = "image"
    ANSWERS = "answers"
    OTHER = "other"


class IgnoreReason(StrEnum):
    """Why proxydhcp stayed silent."""

    NOT_PXE = "not_pxe"
    MALFORMED = "malformed"
    NOT_OURS = "not_ours"
    DENIED = "denied"
    NO_LOADER = "no_loader"
    RATE_LIMITED = "rate_limited"
    POLICY = "policy"


class OfferStage(StrEnum):
    """Who an offer went to."""

    ROM = "rom"
    IPXE = "ipxe"
    HTTP = "http"
    PI = "pi"


class MachineState(StrEnum):
    """What a machine is doing."""

    IDLE = "idle"
    BOOTING = "booting"
    INSTALLING = "installing"
    FAILED = "failed"


OTHER_SERVER = "other_server"
"""Outcome of an `offered` or `acked` that another server on the network sent."""


class BootEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing a service saw a machine do.

    ``time`` is wall-clock seconds since 1970 at the service that saw it; ``sequence`` counts up
    within ``run``, one life of that service. ``outcome`` is a `TransferOutcome`, an
    `IgnoreReason`, `OTHER_SERVER` or empty. Only the catalog joins events into boots.
    """

    service: str
    run: str
    sequence: int
    time: float
    step: Step
    mac: MACAddress | None = None
    ip: str | None = None
    xid: int | None = None
    firmware: Firmware | None = None
    stage: OfferStage | None = None
    """Which kind of client a `discovered`, `offered` or `acked` is about."""
    strategy: OfferStrategy | None = None
    """How an `offered` boot file was offered."""
    outcome: str = ""
    path: str | None = None
    image: str | None = None
    transport: str | None = None
    """tftp | http | dhcp"""
    bytes: int | None = None
    seconds: float | None = None
    detail: str = ""
