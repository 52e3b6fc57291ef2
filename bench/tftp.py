#!/usr/bin/env python3
"""How fast tftp is, beside dnsmasq, tftpd-hpa and atftpd in the same run; needs root and gcc.

Every byte is verified. Rounds are interleaved; on a machine whose processors are shared only ratios
of the same round mean much, and the tables have their medians. It ends with status 1 when a target
is missed. `tftp.py --quick` is one short round, `--cells lockstep-16,window` takes the cells whose
names begin so.
"""

import argparse
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.process import SYSTEM_PATH
from bench.tftp_lab import LOADER, Lab, Load, Order, Outcome
from bench.tftp_peers import NAMES, Peer, gather

BOOTYARD = "bootyard"
SECONDS = 3.0
QUICK_SECONDS = 1.0
TOLERANCE = 0.95
"""Differences of a twentieth are noise."""

KERNEL, INITRD, HALF = "images/bench/kernel", "images/bench/initrd", "images/bench/half"


@dataclass(frozen=True)
class Cell:
    """A load, and what is asked of Bootyard under it."""

    name: str
    order: Order
    least_ratio: float = 0.0
    """Of the best peer's bytes a second in the same round."""
    most_seconds: float = 0.0
    """For one transfer; the ratio is then that of the best peer's time to ours."""


def lockstep(clients: int, least: float, *, pinned: bool = False) -> Cell:
    """A block and its ACK at a time."""
    order = Order(name=KERNEL, clients=clients, seconds=SECONDS, pinned=pinned)
    return Cell(f"lockstep-{clients}", order, least)


def windowed(window: int, clients: int, least: float) -> Cell:
    """Several blocks for each ACK (RFC 7440)."""
    order = Order(name=KERNEL, clients=clients, seconds=SECONDS, window=window, pinned=clients == 1)
    return Cell(f"window-{window}-{clients}", order, least)


def lossy(name: str, window: int, least: float) -> Cell:
    """Sixteen machines on a wire that loses a datagram in a hundred."""
    order = Order(name=KERNEL, clients=16, seconds=2 * SECONDS, window=window, loss=0.01)
    return Cell(f"loss-{name}", order, least)


def one_file(percent: int, most_seconds: float) -> Cell:
    """A megabyte for one machine on a bad wire, eight times one after the other."""
    order = Order(name=INITRD, transfers=8, seconds=4 * SECONDS, loss=percent / 100)
    return Cell(f"megabyte-{percent}", order, most_seconds=most_seconds)


CELLS = (
    lockstep(1, 0.9, pinned=True),
    lockstep(16, 1.0),
    lockstep(64, 1.2),
    lockstep(256, 1.4),
    Cell("storm", Order(name=LOADER, clients=64, seconds=SECONDS), 1.0),
    windowed(8, 1, 2),
    windowed(8, 16, 2),
    windowed(64, 1, 4),
    windowed(64, 16, 4),
    lossy("lockstep", 1, 6),
    lossy("window-8", 8, 5),
    one_file(1, 0.8),
    one_file(5, 3.0),
    Cell("thousand", Order(name=HALF, clients=1000, transfers=1, seconds=45, spread=0.25)),
)

WORST_FIRST_BYTE, MOST_MB = 1.0, 150.0
"""Of the thousand: seconds, and the memory of all processes together."""

Results = dict[str, list[dict[str, Load]]]
"""By cell: of each round, what each server did."""


def file_seconds(load: Load) -> float:
    """The median time of a file; of one that did not end, the time that it had."""
    complete = [t.total for t in load.transfers if t.outcome == Outcome.COMPLETE]
    return statistics.median(complete) if complete else load.seconds


def ratio_in(cell: Cell, loads: dict[str, Load]) -> float | None:
    """Bootyard to the best peer of one round; above 1 it is better."""
    peers = [load for name, load in loads.items() if name != BOOTYARD]
    if BOOTYARD not in loads or not peers:
        return None
    ours = loads[BOOTYARD]
    if cell.most_seconds:
        return min(file_seconds(load) for load in peers) / file_seconds(ours)
    best = max(load.mb_a_second for load in peers)
    return ours.mb_a_second / best if best else None


def ratio_of(cell: Cell, rounds: Sequence[dict[str, Load]]) -> float | None:
    """The median of the rounds' ratios."""
    ratios = [ratio for loads in rounds if (ratio := ratio_in(cell, loads)) is not None]
    return statistics.median(ratios) if ratios else None


def worst_first_byte(load: Load) -> float:
    """Seconds; a transfer without one has waited until its end."""
    return max((t.first if t.first >= 0 else t.total for t in load.transfers), default=0.0)


def failed(cell: Cell, load: Load) -> int:
    """Transfers that did not go as they should; where time ends them, that is no failure."""
    bad = load.count(Outcome.FAILED, Outcome.WRONG)
    return bad + (load.count(Outcome.UNFINISHED) if cell.order.transfers == 1 else 0)


def over(
    rounds: Sequence[dict[str, Load]], server: str, value: Callable[[Load], float]
) -> float | None:
    """The median of a server's value over the rounds."""
    values = [value(loads[server]) for loads in rounds if server in loads]
    return statistics.median(values) if values else None


def misses(results: Results, cells: Sequence[Cell]) -> list[str]:
    """Name the targets that were missed."""
    missed: list[str] = []
    for cell in cells:
        rounds = results[cell.name]
        ours = [loads[BOOTYARD] for loads in rounds if BOOTYARD in loads]
        if not ours:
            continue
        ratio = ratio_of(cell, rounds)
        if cell.least_ratio and ratio is not None and ratio < cell.least_ratio * TOLERANCE:
            missed.append(f"{cell.name}: {ratio:.2f} of the best peer, not {cell.least_ratio}")
        seconds = statistics.median(file_seconds(load) for load in ours)
        if cell.most_seconds and seconds > cell.most_seconds:
            missed.append(f"{cell.name}: {seconds:.2f} s, not {cell.most_seconds}")
        if any(load.count(Outcome.WRONG) for load in ours):
            missed.append(f"{cell.name}: wrong bytes")
        if cell.order.clients >= 1000:
            first = statistics.median(worst_first_byte(load) for load in ours)
            memory = statistics.median(load.peak_mb for load in ours)
            bad = sum(failed(cell, load) for load in ours)
            if bad or first > WORST_FIRST_BYTE or memory > MOST_MB:
                missed.append(f"{cell.name}: {bad} failed, first {first:.2f} s, {memory:.0f} MB")
    return missed


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shown(value: float | None, form: str = "{:.1f}") -> str:
    """Write a number, or a dash."""
    return "-" if value is None else form.format(value)


def report(results: Results, cells: Sequence[Cell], servers: Sequence[str]) -> str:
    """The tables, in Markdown."""
    speeds, costs, faults = [], [], []
    for cell in cells:
        rounds = results[cell.name]
        is_timed = bool(cell.most_seconds)
        value: Callable[[Load], float] = file_seconds if is_timed else Load.mb_a_second.__get__
        form = "{:.2f} s" if is_timed else "{:.1f}"
        each = [ratio for loads in rounds if (ratio := ratio_in(cell, loads)) is not None]
        target = f"≤ {cell.most_seconds} s" if is_timed else f"≥ {cell.least_ratio}"
        speeds.append(
            [
                cell.name,
                *(shown(over(rounds, server, value), form) for server in servers),
                shown(ratio_of(cell, rounds), "**{:.2f}**"),
                " ".join(f"{ratio:.2f}" for ratio in each),
                target if is_timed or cell.least_ratio else "",
            ]
        )
        costs.append(
            [
                cell.name,
                *(shown(over(rounds, s, lambda load: load.cpu_a_gb), "{:.1f}") for s in servers),
                *(shown(over(rounds, s, lambda load: load.peak_mb), "{:.0f}") for s in servers),
            ]
        )
        faults.append(
            [
                cell.name,
                *(
                    " / ".join(
                        (
                            shown(over(rounds, s, partial(failed, cell)), "{:.0f}"),
                            shown(over(rounds, s, worst_first_byte), "{:.2f}"),
                            shown(over(rounds, s, lambda load: load.again), "{:.0f}"),
                            shown(over(rounds, s, busy), "{:.0f} %"),
                        )
                    )
                    for s in servers
                ),
            ]
        )
    return "\n\n".join(
        (
            "MB/s, or seconds for a file; ratio to the best peer: median, and of each round",
            table(["cell", *servers, "ratio", "rounds", "target"], speeds),
            "Processor seconds of the server for a GB, then memory of all its processes, MB",
            table(["cell", *(f"{s} s/GB" for s in servers), *(f"{s} MB" for s in servers)], costs),
            "Failed transfers / worst first byte, s / blocks that were sent in vain /"
            " how busy the load generator was",
            table(["cell", *servers], faults),
        )
    )


def busy(load: Load) -> float:
    """Per cent of a processor that the generator used."""
    return 100 * load.generator_cpu / load.seconds


def measure(lab: Lab, server: str, peers: dict[str, Peer], cell: Cell) -> Load:
    """Start one server, and put one cell's load on it."""
    pinned = cell.order.pinned
    running = (
        lab.bootyard(pinned=pinned)
        if server == BOOTYARD
        else lab.peer(peers[server], pinned=pinned)
    )
    with running:
        return lab.load(cell.order)


def machine() -> str:
    """The machine in a few words, without its name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return (
        f"{len(models)} x {models[0] if models else platform.machine()}, "
        f"{int(memory) >> 20} GB, Linux {platform.release()}, Python {platform.python_version()}"
    )


def install_what_is_missing() -> None:
    """Install the compiler, the firewall and the peer that can be installed, where apt can."""
    needed = {
        "gcc": ("gcc", "libc6-dev"),
        "dnsmasq": ("dnsmasq-base",),
        "iptables": ("iptables",),
    }
    packages = [
        p
        for tool, names in needed.items()
        if not shutil.which(tool, path=SYSTEM_PATH)
        for p in names
    ]
    if packages:
        install = ("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of short loads")
    parser.add_argument("--cells", default="", help="names, or how they begin, with commas")
    parser.add_argument("--servers", default=",".join((BOOTYARD, *NAMES)), help="with commas")
    parser.add_argument("--minutes", type=float, default=30, help="begin no round after these")
    return parser.parse_args()


def chosen_cells(wanted: str, *, is_quick: bool) -> list[Cell]:
    """The cells whose names begin so."""
    beginnings = tuple(name for name in wanted.split(",") if name) or ("",)
    cells = [cell for cell in CELLS if cell.name.startswith(beginnings)]
    if not cells:
        raise SystemExit(f"no such cell; there are {', '.join(cell.name for cell in CELLS)}")
    if not is_quick:
        return cells
    return [
        replace(
            cell, order=replace(cell.order, seconds=cell.order.seconds * QUICK_SECONDS / SECONDS)
        )
        for cell in cells
    ]


def main() -> int:
    """Measure and report; 1 when a target is missed."""
    asked = arguments()
    rounds = 1 if asked.quick else asked.rounds
    cells = chosen_cells(asked.cells, is_quick=asked.quick)
    install_what_is_missing()
    results: Results = {cell.name: [] for cell in cells}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Lab(Path(name)) as lab:
        wanted = [server for server in asked.servers.split(",") if server != BOOTYARD]
        peers = {peer.name: peer for peer in gather(wanted, Path(name))}
        servers = [s for s in asked.servers.split(",") if s == BOOTYARD or s in peers]
        for number in range(rounds):
            if number and (time.monotonic() - began) * (number + 1) / number > 60 * asked.minutes:
                print(f"no time for more than {number} rounds")
                break
            turn = number % len(servers)
            for cell in cells:
                loads = {
                    server: measure(lab, server, peers, cell)
                    for server in (*servers[turn:], *servers[:turn])
                }
                results[cell.name].append(loads)
                print(
                    f"{cell.name:16}", *(one_line(cell, s, loads[s]) for s in servers), flush=True
                )
            print(f"round {number + 1} of {rounds}: {time.monotonic() - began:.0f} s", flush=True)
    versions = ", ".join(f"{peer.name} {peer.version}" for peer in peers.values())
    print(f"\n{machine()}; {versions}\n\n{report(results, cells, servers)}\n")
    missed = misses(results, cells)
    for name in missed:
        print(f"missed: {name}")
    return 1 if missed else 0


def one_line(cell: Cell, server: str, load: Load) -> str:
    """What is printed while it runs."""
    value = f"{file_seconds(load):.2f} s" if cell.most_seconds else f"{load.mb_a_second:.1f}"
    bad = failed(cell, load)
    return f"{server} {value}" + (f" ({bad} failed)" if bad else "")


if __name__ == "__main__":
    raise SystemExit(main())
