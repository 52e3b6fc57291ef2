"""How iPXE parts a script into lines, commands and words (`image/script.c`, `core/exec.c`).

Settings are expanded after a line was parted; older versions did it before. Both come to the same
where no value that is expanded has a blank or an operator in it, and none of ours has.
"""

import re
from dataclasses import dataclass

OPERATORS = ("||", "&&", ";")

_SETTING = re.compile(r"\$\{([^${}]*(?:\$\{[^${}]*\}[^${}]*)*)\}")


@dataclass(frozen=True)
class Line:
    """A line as it is executed: a label, and commands with what stands between them."""

    label: str | None
    commands: tuple[tuple[str, ...], ...]
    operators: tuple[str, ...]


def lines(script: str) -> list[Line]:
    """Part a script; its first line must be the magic one."""
    magic, *rest = _joined(script)
    assert magic == "#!ipxe", magic
    return [_line(text) for text in rest]


def _joined(script: str) -> list[str]:
    done, held = [], ""
    for raw in script.removesuffix("\n").split("\n"):
        text = held + raw.removesuffix("\r")
        held = ""
        if text.endswith("\\"):
            held = text[:-1]
        else:
            done.append(text)
    assert not held, "the script ends in the middle of a line"
    return done


def _line(text: str) -> Line:
    label = None
    command = text.lstrip(" \t\r\v\f")
    if command.startswith(":"):
        label, _, command = command[1:].partition(" ")
    commands: list[list[str]] = [[]]
    operators: list[str] = []
    for word in command.split():
        if word.startswith("#"):
            break
        if word in OPERATORS:
            operators.append(word)
            commands.append([])
        else:
            commands[-1].append(word)
    return Line(label, tuple(tuple(words) for words in commands), tuple(operators))


def expanded(script: str) -> set[str]:
    """Name every setting that is expanded anywhere in a script."""
    return set(_SETTING.findall(script))
