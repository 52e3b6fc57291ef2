"""The tables of tftp.py, in Markdown: speed, costs, and what went wrong."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.tftp_cells import (
    Cell,
    Round,
    file_seconds,
    generator_share,
    median,
    worst_first_byte,
)
from bench.tftp_loads import Load, Outcome

Results = Mapping[str, Sequence[Round]]
"""The rounds of each cell."""


def report(results: Results, cells: Sequence[Cell], servers: Sequence[str]) -> str:
    """All tables; figures are medians of the rounds."""
    measured = [(cell, results[cell.name]) for cell in cells if results[cell.name]]
    per_gb, memory = ([f"{server} {unit}" for server in servers] for unit in ("s/GB", "MB"))
    return "\n\n".join(
        (
            "MB/s, or seconds for a file; the ratio to the best peer of the same round, its median"
            " and each:",
            _table(
                ["cell", *servers, "ratio", "rounds", "target"],
                [_speed(cell, rounds, servers) for cell, rounds in measured],
            ),
            "Processor seconds of the server for a GB, and the memory of all its processes:",
            _table(
                ["cell", *per_gb, *memory],
                [_costs(cell, rounds, servers) for cell, rounds in measured],
            ),
            "Failed transfers / worst first byte, s / blocks sent in vain / the load generator's"
            " share of a processor:",
            _table(
                ["cell", *servers],
                [_faults(cell, rounds, servers) for cell, rounds in measured],
            ),
        )
    )


def one_line(cell: Cell, loads: Round) -> str:
    """What is printed while it runs."""
    parts = [f"{cell.name:14}"]
    for server, load in loads.items():
        bad = f" ({cell.failed(load)} failed)" if cell.failed(load) else ""
        died = " (died)" if load.died else ""
        parts.append(f"{server} {_value(cell, load)}{bad}{died}")
    return "  ".join(parts)


def machine() -> str:
    """The machine in a few words, without its name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    gigabytes = round(int(Path("/proc/meminfo").read_text().split()[1]) / 1e6)
    return (
        f"{len(models)} x {models[0] if models else platform.machine()}, {gigabytes} GB, "
        f"Linux {platform.release()}, Python {platform.python_version()}"
    )


def _value(cell: Cell, load: Load) -> str:
    if not cell.is_timed:
        return f"{load.mb_a_second:.1f}"
    is_over = load.count(Outcome.COMPLETE) == 0
    return f"{'> ' if is_over else ''}{file_seconds(load):.2f} s"


def _speed(cell: Cell, rounds: Sequence[Round], servers: Sequence[str]) -> list[str]:
    ratios = cell.ratios(rounds)
    target = f"≥ {cell.least_ratio}" if cell.least_ratio else ""
    return [
        cell.name,
        *(_middle(cell, [loads[s] for loads in rounds if s in loads]) for s in servers),
        f"**{statistics.median(ratios):.2f}**" if ratios else "-",
        " ".join(f"{ratio:.2f}" for ratio in ratios),
        f"≤ {cell.most_seconds} s" if cell.is_timed else target,
    ]


def _middle(cell: Cell, loads: list[Load]) -> str:
    """The load whose value is the median: the lower one of two."""
    if not loads:
        return "-"
    loads.sort(key=cell.value)
    died = " (died)" if any(load.died for load in loads) else ""
    return _value(cell, loads[(len(loads) - 1) // 2]) + died


def _costs(cell: Cell, rounds: Sequence[Round], servers: Sequence[str]) -> list[str]:
    return [
        cell.name,
        *(_shown(median(rounds, s, lambda load: load.cpu_a_gb), 1) for s in servers),
        *(_shown(median(rounds, s, lambda load: load.peak_mb), 0) for s in servers),
    ]


def _faults(cell: Cell, rounds: Sequence[Round], servers: Sequence[str]) -> list[str]:
    def of(server: str) -> str:
        return " / ".join(
            (
                _shown(median(rounds, server, cell.failed), 0),
                _shown(median(rounds, server, worst_first_byte), 2),
                _shown(median(rounds, server, lambda load: load.again), 0),
                _shown(median(rounds, server, generator_share), 0) + " %",
            )
        )

    return [cell.name, *(of(server) for server in servers)]


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
