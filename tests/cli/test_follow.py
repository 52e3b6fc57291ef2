"""What `boots --follow` shows of boots that change."""

import io

import pytest
from rich.console import Console

from bootyard.cli.documents import BootDocument, StepDocument
from bootyard.cli.follow import JSONDisplay, LineDisplay, LiveDisplay


def _boot(number: int, *steps: str, outcome: str = "running") -> BootDocument:
    return BootDocument(
        id=f"b-{number}",
        mac=f"52:54:00:00:00:{number:02x}",
        firmware="bios",
        outcome=outcome,
        steps=tuple(StepDocument(step) for step in steps),
    )


def test_a_pipe_gets_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay()
    for boot in (
        _boot(1, "script"),
        _boot(1, "script"),
        _boot(2, "script"),
        _boot(1, "script", "kernel"),
        _boot(1, "script", "kernel", outcome="local_disk"),
        _boot(1, "script", "kernel", outcome="local_disk"),
    ):
        display.show(boot, b"{}")
    assert capsys.readouterr().out.splitlines() == [
        "52:54:00:00:00:01 bios  script",
        "52:54:00:00:00:02 bios  script",
        "52:54:00:00:00:01 bios  script → kernel",
        "52:54:00:00:00:01 bios  script → kernel  [local_disk]",
    ]


def test_programs_get_one_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    JSONDisplay().show(_boot(1), b'{\n  "id": "b-1",\n "extra": [1, 2]}')
    assert capsys.readouterr().out == '{"id":"b-1","extra":[1,2]}\n'


def test_a_terminal_ends_with_one_line_for_each_boot() -> None:
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, color_system=None, width=80, height=24, markup=False
    )
    with LiveDisplay(console) as display:
        display.show(_boot(1, "script"), b"{}")
        display.show(_boot(2, "script"), b"{}")
        display.show(_boot(1, "script", "kernel"), b"{}")
        display.show(_boot(1, "script", "kernel", outcome="local_disk"), b"{}")
    assert _seen(screen.getvalue()) == [
        "52:54:00:00:00:01 bios  script → kernel  [local_disk]",
        "52:54:00:00:00:02 bios  script",
    ]


def _seen(output: str) -> list[str]:
    """Play what a terminal is sent: cursor up, erase line, carriage return and line feed."""
    lines, row, at = [""], 0, 0
    while at < len(output):
        if output.startswith("\x1b[", at):
            end = at + 2
            while not output[end].isalpha():
                end += 1
            if output[end] == "A":
                row -= int(output[at + 2 : end] or 1)
            elif output[end] == "K":
                lines[row] = ""
            at = end + 1
            continue
        if output[at] == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif output[at] != "\r":
            lines[row] += output[at]
        at += 1
    return [line.rstrip() for line in lines if line.strip()]
