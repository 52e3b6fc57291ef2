"""How sizes, durations, steps and boots are written."""

from datetime import UTC

import pytest
from rich.console import Console

from bootyard.cli.documents import BootDocument, StepDocument, read
from bootyard.cli.output import (
    boot_line,
    duration,
    ending,
    moment,
    printable,
    size,
    step_text,
    table,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (9950, "10 kB"),
        (284_672, "285 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (4_700_000, "4.7 MB"),
        (38_000_000, "38 MB"),
        (1_450_000_000, "1.4 GB"),
        (5_000_000_000_000, "5.0 TB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_size(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "0.00 s"),
        (0.04, "0.04 s"),
        (0.099, "0.1 s"),
        (0.9, "0.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3785, "1 h 3 min"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (None, ""),
        ("2026-01-01T00:30:00Z", "2026-01-01 00:30:00 UTC"),
        ("2026-01-01T02:30:00.25+02:00", "2026-01-01 00:30:00 UTC"),
        ("soon\x1b[2J", "soon?[2J"),
    ],
)
def test_moment(timestamp: str | None, text: str) -> None:
    assert moment(timestamp, UTC) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nuc-3 → ü", "nuc-3 → ü"),
        ("\x1b]0;owned\x07", "?]0;owned?"),
        ("a\nb\tc", "a?b?c"),
        ("\u202egpj", "?gpj"),
    ],
    ids=["plain", "escape", "newline", "right-to-left"],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (StepDocument("discovered", at=0.0), "discovered 0.00"),
        (StepDocument("offered", at=0.0123), "offered 0.01"),
        (StepDocument("loader", at=4.2, seconds=0.1, bytes=284_672), "loader 285 kB 0.1 s"),
        (StepDocument("loader", at=4.2, bytes=284_672, outcome="complete"), "loader 285 kB"),
        (
            StepDocument("initrd", seconds=30, bytes=100, outcome="timeout"),
            "initrd 100 B 30 s timeout",
        ),
        (StepDocument("kernel", at=5.0, outcome="not_found"), "kernel not_found"),
        (StepDocument("script", at=4.4), "script"),
        (StepDocument("system_up", at=60.0), "system_up"),
        (StepDocument("offered", at=0.01, strategy="compatible"), "offered 0.01"),
        (
            StepDocument("offered", at=0.01, strategy="menu", note="as a boot menu, which is not"),
            "offered 0.01 (menu)",
        ),
        (
            StepDocument("acked", at=0.02, outcome="other_server", note="192.0.2.66 offers too"),
            "acked 0.02 (192.0.2.66 offers too)",
        ),
        (
            StepDocument("offered", at=0.02, outcome="other_server"),
            "offered 0.02 (by another server)",
        ),
    ],
)
def test_step(step: StepDocument, text: str) -> None:
    assert step_text(step) == text


def test_line_of_a_running_boot() -> None:
    document = b"""{"id":"b-41","mac":"52:54:00:12:34:56","firmware":"uefi-x64","image":"debian-12",
    "started":"2026-01-01T00:00:00Z","outcome":"running","verdict":null,"steps":[
    {"step":"discovered","at":0.0},{"step":"offered","at":0.01},
    {"step":"loader","at":4.2,"seconds":0.1,"bytes":284672,"path":"x","transport":"tftp"},
    {"step":"script","at":4.5},{"step":"kernel","at":4.6},
    {"step":"initrd","at":5.5,"seconds":0.9,"bytes":38000000},{"step":"system_up","at":20}]}"""
    assert boot_line(read(document, BootDocument)) == (
        "52:54:00:12:34:56 uefi-x64  discovered 0.00 → offered 0.01 → loader 285 kB 0.1 s"
        " → script → kernel → initrd 38 MB 0.9 s → system_up"
    )


def test_line_of_a_boot_that_is_over() -> None:
    boot = BootDocument(
        "b-1",
        "52:54:00:12:34:56",
        outcome="stopped_loader",
        verdict="the loader never arrived",
        steps=(StepDocument("offered", at=0.5),),
    )
    assert boot_line(boot) == (
        "52:54:00:12:34:56 ?  offered 0.50  [stopped_loader: the loader never arrived]"
    )


def test_line_before_any_step() -> None:
    assert boot_line(BootDocument("b-1", "52:54:00:12:34:56", "bios")) == "52:54:00:12:34:56 bios"


def test_ending_without_a_verdict() -> None:
    assert ending(BootDocument("b-1", "m", outcome="local_disk")) == "local_disk"


def test_table_leaves_empty_columns_out_and_never_reads_markup() -> None:
    console = Console(width=80, markup=True, color_system=None)
    with console.capture() as captured:
        console.print(
            table(("ID", "NOTHING", "TITLE"), [("a", None, "[red]x"), ("b", "", "y\x1b")])
        )
    text = captured.get()
    assert "NOTHING" not in text
    assert "[red]x" in text
    assert "\x1b" not in text
