#!/usr/bin/env python3
"""Whether tftp's memory and descriptors stay flat under mixed load; needs root and gcc.

Loads follow one another for as long as was asked: machines in lockstep, machines with windows, a
storm of small files, machines that vanish, and each kind with one datagram in a hundred lost. The
service runs as it is. Memory (PSS) and open descriptors of all its processes are read every five
seconds. It ends with status 1 when either has grown, when the service died, or when a byte was
wrong: `grown` has the rule. `tftp_soak.py --minutes 15` is the long one.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.process import Group
from bench.tftp import install_what_is_missing
from bench.tftp_cells import HALF, INITRD, KERNEL
from bench.tftp_lab import LOADER, Lab
from bench.tftp_loads import Load, Order, Outcome
from bench.tftp_report import machine

SAMPLE_SECONDS = 5.0
LOAD_SECONDS = 3.0
VANISHING_SECONDS = 0.05
SETTLED_SECONDS = 120.0
SHORTEST_MINUTES = 3
FIFTHS = 5

GROWTH_SHARE, GROWTH_MB, GROWTH_DESCRIPTORS = 0.05, 3.0, 16
"""What of memory is noise, and how many descriptors: the larger of share and figure."""


class Sample(NamedTuple):
    """What all processes of the service have at one moment."""

    seconds: float
    memory_mb: float
    descriptors: int


def mixed(seconds: float) -> list[Order]:
    """The loads of one turn; of those that vanish, the machines leave in the middle of a file."""
    orders = [
        Order(name=KERNEL, clients=16, seconds=seconds),
        Order(name=KERNEL, clients=16, window=8, seconds=seconds),
        Order(name=INITRD, clients=4, window=64, seconds=seconds),
        Order(name=LOADER, clients=64, seconds=seconds),
        Order(name=HALF, clients=200, window=4, seconds=seconds),
    ]
    vanishing = Order(name=KERNEL, clients=300, seconds=VANISHING_SECONDS)
    lossy = [replace(order, loss=0.01) for order in orders]
    return [*orders, vanishing, *lossy, vanishing]


def middle(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def part(samples: Sequence[Sample], number: int, count: int) -> Sequence[Sample]:
    """One of so many equal parts of the samples, counted from 0; one sample at least."""
    first = number * len(samples) // count
    return samples[first : max((number + 1) * len(samples) // count, first + 1)]


def grown(samples: Sequence[Sample]) -> list[str]:
    """What has grown after the first two minutes, in which caches fill.

    Of what is left, the median of the last fifth is above that of the first: memory by more than a
    twentieth or 3 MB, descriptors by more than a twentieth or 16, whichever is more.
    """
    settled = [sample for sample in samples if sample.seconds >= SETTLED_SECONDS]
    if len(settled) < FIFTHS:
        return ["too few samples after two minutes to tell"]
    early, late = part(settled, 0, FIFTHS), part(settled, FIFTHS - 1, FIFTHS)
    figures = [
        ("memory", "MB", GROWTH_MB, [[s.memory_mb for s in some] for some in (early, late)]),
        (
            "descriptors",
            "open",
            float(GROWTH_DESCRIPTORS),
            [[float(s.descriptors) for s in some] for some in (early, late)],
        ),
    ]
    return [
        f"{name}: from {middle(before):.1f} to {middle(after):.1f} {unit}"
        for name, unit, least, (before, after) in figures
        if middle(after) - middle(before) > max(least, GROWTH_SHARE * middle(before))
    ]


class Watch(threading.Thread):
    """Reads memory and descriptors every few seconds."""

    def __init__(self, group: Group) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._group = group
        self._began = time.monotonic()
        self._is_over = threading.Event()

    def run(self) -> None:
        """Sample until it is told to stop."""
        while not self._is_over.wait(SAMPLE_SECONDS):
            seconds = time.monotonic() - self._began
            self.samples.append(
                Sample(seconds, self._group.memory_mb(), descriptors(self._group.processes()))
            )

    def stop(self) -> None:
        """Sample no more."""
        self._is_over.set()
        self.join()


def descriptors(processes: Iterable[int]) -> int:
    """Count what these processes have open."""
    found = 0
    for process in processes:
        with suppress(OSError):  # it has just ended
            found += len(list(Path(f"/proc/{process}/fd").iterdir()))
    return found


def table(samples: Sequence[Sample], loads: Sequence[Load]) -> str:
    """The tenths of the time, and what was loaded."""
    lines = ["| from s | memory, MB | descriptors |", "| ---: | ---: | ---: |"]
    for number in range(10):
        some = part(samples, number, 10)
        memory, opened = middle(s.memory_mb for s in some), middle(s.descriptors for s in some)
        lines.append(f"| {some[0].seconds:.0f} | {memory:.1f} | {opened:.0f} |")
    complete = sum(load.count(Outcome.COMPLETE) for load in loads)
    left = sum(load.count(Outcome.UNFINISHED) for load in loads)
    failed = sum(load.count(Outcome.FAILED) for load in loads)
    gigabytes = sum(load.bytes for load in loads) / 1e9
    told = f"{complete} transfers complete, {left} left by their machines, {failed} failed"
    return "\n".join((*lines, "", f"{told}; {gigabytes:.1f} GB in {len(loads)} loads"))


def faults(samples: Sequence[Sample], loads: Sequence[Load]) -> list[str]:
    """What must not be."""
    found = grown(samples)
    if any(load.died for load in loads):
        found.append("it died")
    if wrong := sum(load.count(Outcome.WRONG) for load in loads):
        found.append(f"{wrong} transfers had wrong bytes or options")
    return found


class SoakLab(Lab):
    """A lab whose service is looked at while it runs."""

    def watch(self) -> Watch:
        """Begin to read what the service that runs now has."""
        assert self._group is not None
        watch = Watch(self._group)
        watch.start()
        return watch


def soak(lab: SoakLab, minutes: float) -> tuple[list[Sample], list[Load]]:
    """Load for so long."""
    loads: list[Load] = []
    with lab.bootyard(pinned=False):
        watch = lab.watch()
        ends = time.monotonic() + 60 * minutes
        try:
            for order in cycle(mixed(LOAD_SECONDS)):
                if time.monotonic() >= ends:
                    break
                loads.append(lab.load(order))
        finally:
            watch.stop()
    return watch.samples, loads


def main() -> int:
    """Soak and report; 1 when something has grown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=SHORTEST_MINUTES)
    asked = parser.parse_args()
    if asked.minutes < SHORTEST_MINUTES:
        parser.error(f"less than {SHORTEST_MINUTES} minutes tell nothing")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that it cleans up
    install_what_is_missing()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, SoakLab(Path(name)) as lab:
        samples, loads = soak(lab, asked.minutes)
    print(f"{machine()}\n\n{table(samples, loads)}\n")
    found = faults(samples, loads)
    for line in found:
        print(f"missed: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
