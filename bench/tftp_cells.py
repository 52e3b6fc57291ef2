"""What tftp.py measures, what is asked of Bootyard there, and whether it holds."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.tftp_lab import LOADER
from bench.tftp_loads import Load, Order, Outcome

BOOTYARD = "bootyard"
SECONDS = 3.0
TOLERANCE = 0.95
"""Differences of a twentieth are noise."""

KERNEL, INITRD, HALF = "images/bench/kernel", "images/bench/initrd", "images/bench/half"

WORST_FIRST_BYTE, MOST_MB = 1.0, 150.0
"""Of a thousand machines: seconds, and the memory of all processes together."""

Round = dict[str, Load]
"""What each server did in a cell, in one round."""


@dataclass(frozen=True)
class Cell:
    """A load, and what is asked of Bootyard under it."""

    name: str
    order: Order
    least_ratio: float = 0.0
    """Of the best peer's bytes a second in the same round."""
    most_seconds: float = 0.0
    """For one transfer; the ratio is then that of the best peer's time to ours."""

    @property
    def is_timed(self) -> bool:
        """Tell whether the time of a file is what counts."""
        return self.most_seconds > 0

    @property
    def is_crowd(self) -> bool:
        """Tell whether nobody may fail or wait long for a first byte."""
        return self.order.clients >= 1000

    def value(self, load: Load) -> float:
        """Bytes a second in millions, or seconds."""
        return file_seconds(load) if self.is_timed else load.mb_a_second

    def ratio_in(self, loads: Round) -> float | None:
        """Bootyard to the best peer of one round; above 1 it is better."""
        peers = [self.value(load) for name, load in loads.items() if name != BOOTYARD]
        if BOOTYARD not in loads or not peers:
            return None
        ours = self.value(loads[BOOTYARD])
        if self.is_timed:
            return min(peers) / ours
        return ours / max(peers) if max(peers) else None

    def ratios(self, rounds: Sequence[Round]) -> list[float]:
        """Of each round."""
        return [ratio for loads in rounds if (ratio := self.ratio_in(loads)) is not None]

    def failed(self, load: Load) -> int:
        """Transfers that went wrong; where the end of the time ends them, that is no failure."""
        bad = load.count(Outcome.FAILED, Outcome.WRONG)
        return bad + (load.count(Outcome.UNFINISHED) if self.is_crowd else 0)


def _lockstep(clients: int, least: float) -> Cell:
    """Each block waits for the ACK of the one before it."""
    order = Order(name=KERNEL, clients=clients, seconds=SECONDS, pinned=clients == 1)
    return Cell(f"lockstep-{clients}", order, least)


def _windowed(window: int, clients: int, least: float) -> Cell:
    """Several blocks for each ACK (RFC 7440)."""
    pinned = clients == 1
    order = Order(name=KERNEL, clients=clients, seconds=SECONDS, window=window, pinned=pinned)
    return Cell(f"window-{window}-{clients}", order, least)


def _lossy(name: str, window: int, least: float) -> Cell:
    """Sixteen machines on a wire that loses a datagram in a hundred."""
    order = Order(name=KERNEL, clients=16, seconds=2 * SECONDS, window=window, loss=0.01)
    return Cell(f"loss-{name}", order, least)


def _megabyte(percent: int, most_seconds: float) -> Cell:
    """One machine on a bad wire, which loads the same again and again."""
    order = Order(name=INITRD, transfers=8, seconds=4 * SECONDS, loss=percent / 100)
    return Cell(f"megabyte-{percent}", order, most_seconds=most_seconds)


CELLS = (
    _lockstep(1, 0.9),
    _lockstep(16, 1.0),
    _lockstep(64, 1.2),
    _lockstep(256, 1.4),
    Cell("storm", Order(name=LOADER, clients=64, seconds=SECONDS), 1.0),
    _windowed(8, 1, 2.0),
    _windowed(8, 16, 2.0),
    _windowed(64, 1, 4.0),
    _windowed(64, 16, 4.0),
    _lossy("lockstep", 1, 6.0),
    _lossy("window-8", 8, 5.0),
    _megabyte(1, 0.8),
    _megabyte(5, 3.0),
    Cell("thousand", Order(name=HALF, clients=1000, transfers=1, seconds=30, spread=0.25)),
)


def file_seconds(load: Load) -> float:
    """The median time of a file; when none was complete, the time that there was."""
    complete = [t.total for t in load.transfers if t.outcome == Outcome.COMPLETE]
    return statistics.median(complete) if complete else load.seconds


def worst_first_byte(load: Load) -> float:
    """Seconds from a machine's RRQ; where no byte came, to the end of its trying."""
    return max((t.first if t.first >= 0 else t.total for t in load.transfers), default=0.0)


def generator_share(load: Load) -> float:
    """Per cent of a processor that the load generator used: it must not be what limits."""
    return 100 * load.generator_cpu / load.seconds


def median(rounds: Sequence[Round], server: str, value: Callable[[Load], float]) -> float | None:
    """The median of a server's value over the rounds."""
    values = [value(loads[server]) for loads in rounds if server in loads]
    return statistics.median(values) if values else None


def misses(cell: Cell, rounds: Sequence[Round]) -> list[str]:
    """Name the targets of a cell that were missed."""
    ours = [loads[BOOTYARD] for loads in rounds if BOOTYARD in loads]
    if not ours:
        return []
    missed: list[str] = []
    ratios = cell.ratios(rounds)
    if cell.least_ratio and ratios and statistics.median(ratios) < cell.least_ratio * TOLERANCE:
        ratio = statistics.median(ratios)
        missed.append(f"{ratio:.2f} of the best peer, not {cell.least_ratio}")
    seconds = statistics.median(file_seconds(load) for load in ours)
    if cell.is_timed and seconds > cell.most_seconds:
        missed.append(f"{seconds:.2f} s for a file, not {cell.most_seconds}")
    if any(load.count(Outcome.WRONG) for load in ours):
        missed.append("wrong bytes or options")
    if any(load.died for load in ours):
        missed.append("it died")
    if cell.is_crowd:
        first = statistics.median(worst_first_byte(load) for load in ours)
        memory = statistics.median(load.peak_mb for load in ours)
        bad = sum(cell.failed(load) for load in ours)
        if bad:
            missed.append(f"{bad} transfers failed")
        if first > WORST_FIRST_BYTE:
            missed.append(f"a machine waited {first:.2f} s for its first byte")
        if memory > MOST_MB:
            missed.append(f"{memory:.0f} MB")
    return missed
