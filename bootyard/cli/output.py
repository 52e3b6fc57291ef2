"""How things look: sizes, durations, times, a boot's line, and tables. Pure but for `print_…`."""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bootyard.cli.documents import BootDocument, Page, StepDocument
from bootyard.model.document import encode

PIPED_WIDTH = 10_000
"""Tables that a program reads are not folded."""

UNITS = ("kB", "MB", "GB", "TB")

STEPS_WITH_TIME = frozenset({"discovered", "offered", "acked", "addressed"})
"""Steps of the DHCP exchange, shown with the second they happened at."""


def size(count: int | None) -> str:
    """Write bytes as people say them: `285 kB`, `4.7 MB`, `38 MB`."""
    if count is None:
        return ""
    if count < 1000:
        return f"{count} B"
    power = 1
    while power < len(UNITS) and round(count / 1000**power) >= 1000:
        power += 1
    value, unit = count / 1000**power, UNITS[power - 1]
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def duration(seconds: float | None) -> str:
    """Write seconds as people say them: `0.1 s`, `12 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds is None:
        return ""
    if seconds < 0.095:
        return f"{seconds:.2f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(timestamp: str | None, zone: tzinfo | None = None) -> str:
    """Write an RFC 3339 timestamp as date and time of `zone`; None: that of this host."""
    if not timestamp:
        return ""
    try:
        return datetime.fromisoformat(timestamp).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    except ValueError:
        return printable(timestamp)


def printable(text: str) -> str:
    """Replace what could steer a terminal: names on the network are anybody's text."""
    return "".join("?" if unicodedata.category(c) in {"Cc", "Cf", "Cs"} else c for c in text)


def boot_line(boot: BootDocument) -> str:
    """Write a boot in one line: its machine, its steps and, when it is over, how it ended."""
    steps = " → ".join(step_text(step) for step in boot.steps)
    parts = [f"{boot.mac} {boot.firmware or '?'}"]
    if steps:
        parts.append(steps)
    if not boot.is_running:
        parts.append(f"[{ending(boot)}]")
    return printable("  ".join(parts))


def step_text(step: StepDocument) -> str:
    """Write one step: `offered 0.01 (menu)`, `loader 285 kB 0.1 s`, `kernel timeout`.

    In brackets is what is special: a strategy that is not the usual one, another server's offer.
    """
    parts = [step.step]
    if step.bytes is not None:
        parts += [size(step.bytes), duration(step.seconds)]
    elif step.step in STEPS_WITH_TIME and step.at is not None:
        parts.append(f"{step.at:.2f}")
    if not step.is_ours:
        parts.append(f"({step.note or 'by another server'})")
    elif step.note:
        parts.append(f"({step.strategy or step.note})")
    if step.is_ours and step.outcome and step.outcome != "complete":
        parts.append(step.outcome)
    return " ".join(filter(None, parts))


def ending(boot: BootDocument) -> str:
    """Write how a boot stands, and why when the catalog knows."""
    return f"{boot.outcome}: {boot.verdict}" if boot.verdict else boot.outcome


def table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Table:
    """Make a table; columns that are empty in every row are left out."""
    cells = [[printable(cell or "") for cell in row] for row in rows]
    kept = [i for i, _ in enumerate(columns) if any(row[i] for row in cells)]
    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i in kept:
        made.add_column(columns[i], overflow="fold")
    for row in cells:
        made.add_row(*(Text(row[i]) for i in kept))
    return made


def make_console() -> Console:
    """Give the console for stdout; text is never read as markup."""
    piped = not sys.stdout.isatty()
    return Console(markup=False, emoji=False, highlight=False, width=PIPED_WIDTH if piped else None)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str | None]], none: str) -> None:
    """Print a table, or the sentence `none` when there are no rows."""
    if not rows:
        print(none)
        return
    console = make_console()
    with console.capture() as captured:
        console.print(table(columns, rows))
    for line in captured.get().splitlines():
        print(line.rstrip())


def print_json(document: bytes | msgspec.Raw) -> None:
    """Print a JSON document, indented."""
    print(msgspec.json.format(bytes(document), indent=2).decode())


def print_collection(page: Page) -> None:
    """Print a collection in the API's shape."""
    print_json(encode(page))
