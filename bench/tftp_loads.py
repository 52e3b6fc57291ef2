"""What machines are told to load over TFTP, and how it went."""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

_RESULT = struct.Struct("=ddii")


class Outcome(IntEnum):
    """How a transfer went, as tftp_load.c has it."""

    COMPLETE = 0
    UNFINISHED = 1
    FAILED = 2
    WRONG = 3


class Transfer(NamedTuple):
    """One transfer; times in seconds after its RRQ, `first` is -1 when no byte came."""

    first: float
    total: float
    outcome: Outcome
    client: int


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the machines do."""

    name: str
    clients: int = 1
    transfers: int = 0
    """Of each machine, one after the other; 0: for as long as there is time."""
    window: int = 1
    seconds: float
    spread: float = 0.0
    """The machines begin within so many seconds."""
    pinned: bool = False
    """Server and generator share one processor."""
    loss: float = 0.0
    """How likely a datagram is lost, in each direction."""


@dataclass
class Load:
    """What one load did."""

    seconds: float
    bytes: int
    again: int
    """DATA that came twice, or after a gap."""
    repeated: int
    """Requests and ACKs that the machines had to repeat."""
    generator_cpu: float
    server_cpu: float
    peak_mb: float
    died: bool
    """The server ended by itself."""
    transfers: list[Transfer] = field(repr=False)

    @property
    def mb_a_second(self) -> float:
        """Verified bytes, in millions a second."""
        return self.bytes / self.seconds / 1e6

    @property
    def cpu_a_gb(self) -> float:
        """Processor seconds of the server for a thousand million bytes."""
        return self.server_cpu / (self.bytes / 1e9) if self.bytes else float("inf")

    def count(self, *outcomes: Outcome) -> int:
        """Transfers that went so."""
        return sum(transfer.outcome in outcomes for transfer in self.transfers)


def read_transfers(results: Path) -> list[Transfer]:
    """Read what the load generator has written."""
    return [
        Transfer(first, total, Outcome(outcome), client)
        for first, total, outcome, client in _RESULT.iter_unpack(results.read_bytes())
    ]
