#!/usr/bin/env python3
"""How fast tftp is, beside dnsmasq, tftpd-hpa and atftpd in the same run; needs root and gcc.

Every byte is verified. Rounds are interleaved; on a machine whose processors are shared only ratios
of the same round mean much, and the tables have their medians. It ends with status 1 when a target
is missed. `tftp.py --quick` is one short round; `--cells lockstep-1,window` takes the cells that
are named so or begin so.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.process import SYSTEM_PATH
from bench.tftp_cells import BOOTYARD, CELLS, SECONDS, Cell, Round, misses
from bench.tftp_lab import Lab
from bench.tftp_loads import Load
from bench.tftp_peers import NAMES, Peer, gather
from bench.tftp_report import machine, one_line, report

QUICK_SECONDS = 1.0

TOOLS = {"gcc": ("gcc", "libc6-dev"), "dnsmasq": ("dnsmasq-base",), "iptables": ("iptables",)}
"""What apt installs when it is missing."""


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


def chosen(wanted: str, seconds: float) -> list[Cell]:
    """The cells of these names, and of those that begin so, with shorter or longer loads."""
    names = {cell.name for cell in CELLS}
    asked = [name for name in wanted.split(",") if name]
    beginnings = tuple(name for name in asked if name not in names)
    cells = [c for c in CELLS if not asked or c.name in asked or c.name.startswith(beginnings)]
    if not cells:
        raise SystemExit(f"no such cell; there are {', '.join(sorted(names))}")
    return [
        replace(cell, order=replace(cell.order, seconds=cell.order.seconds * seconds / SECONDS))
        for cell in cells
    ]


def run_rounds(
    lab: Lab, cells: Sequence[Cell], peers: dict[str, Peer], asked: argparse.Namespace
) -> dict[str, list[Round]]:
    """Measure; each round begins with another server. What time does not allow is left out."""
    results: dict[str, list[Round]] = {cell.name: [] for cell in cells}
    servers = [s for s in asked.servers.split(",") if s == BOOTYARD or s in peers]
    began = time.monotonic()
    for number in range(asked.rounds):
        first = number % len(servers)
        for cell in cells:
            if time.monotonic() - began > 60 * asked.minutes:
                print(f"{asked.minutes} minutes are over: {cell.name} is left out")
                continue
            turn = (*servers[first:], *servers[:first])
            loads = {server: measure(lab, server, peers, cell) for server in turn}
            results[cell.name].append({server: loads[server] for server in servers})
            print(one_line(cell, results[cell.name][-1]), flush=True)
        print(f"round {number + 1} of {asked.rounds}: {time.monotonic() - began:.0f} s", flush=True)
    return results


def install_what_is_missing() -> None:
    """Install the compiler, the firewall and the peer that runs only when it is started."""
    packages = [
        package
        for tool, packages in TOOLS.items()
        if not shutil.which(tool, path=SYSTEM_PATH)
        for package in packages
    ]
    if packages:
        install = ("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a load, mostly")
    parser.add_argument("--quick", action="store_true", help="one round of short loads")
    parser.add_argument("--cells", default="", help="names, or how they begin, with commas")
    parser.add_argument("--servers", default=",".join((BOOTYARD, *NAMES)), help="with commas")
    parser.add_argument("--minutes", type=float, default=25, help="begin nothing after these")
    asked = parser.parse_args()
    unknown = set(asked.servers.split(",")) - {BOOTYARD, *NAMES}
    if unknown:
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    if asked.quick:
        asked.rounds, asked.seconds = 1, QUICK_SECONDS
    return asked


def main() -> int:
    """Measure and report; 1 when a target is missed."""
    asked = arguments()
    cells = chosen(asked.cells, asked.seconds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that it cleans up
    install_what_is_missing()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        wanted = [server for server in asked.servers.split(",") if server != BOOTYARD]
        peers = {peer.name: peer for peer in gather(wanted, Path(name))}
        with Lab(Path(name)) as lab:
            results = run_rounds(lab, cells, peers, asked)
    versions = "; ".join(f"{peer.name} {peer.version}" for peer in peers.values())
    servers = [s for s in asked.servers.split(",") if s == BOOTYARD or s in peers]
    print(f"\n{machine()}\n{versions}\n\n{report(results, cells, servers)}\n")
    missed = [f"{cell.name}: {what}" for cell in cells for what in misses(cell, results[cell.name])]
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
