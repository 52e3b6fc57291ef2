"""How GRUB's shell parts a script into commands and words (GRUB manual, "Shell-like scripting")."""

import re
from collections.abc import Callable, Mapping

EXPANDED = "\0"
"""Stands in front of every `$` that GRUB expands."""

_TOKEN = re.compile(
    r"""
      '(?P<literal>[^']*)'
    | "(?P<quoted>(?:\\.|[^"\\])*)"
    | \\(?P<escaped>.)
    | (?P<comment>(?<!\S)\#[^\n]*)
    | (?P<blank>[ \t]+)
    | (?P<end>[\n;])
    | (?P<operator>[{}|&<>])
    | (?P<unclosed>['"\\])
    | (?P<plain>[^\s'"\\;{}|&<>]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def commands(script: str) -> list[list[str]]:
    """Part a script; raises ValueError for one that ends inside of quotes."""
    done: list[list[str]] = [[]]
    in_word = False
    for found in _TOKEN.finditer(script):
        kind, text = found.lastgroup, found[found.lastgroup or 0]
        if kind == "unclosed":
            raise ValueError(f"unclosed {text} at {found.start()}")
        part = _READ[kind](text) if kind in _READ else None
        if part is not None:
            if in_word:
                done[-1][-1] += part
            else:
                done[-1].append(part)
        elif kind == "operator":
            done[-1].append(text)
        elif kind == "end" and done[-1]:
            done.append([])
        in_word = part is not None
    return [words for words in done if words]


def _in_double_quotes(text: str) -> str:
    parts = re.findall(r'\\[$"\\]|.', text, re.DOTALL)
    return "".join(_expanded(part) if len(part) == 1 else part[1] for part in parts)


def _expanded(text: str) -> str:
    return text.replace("$", f"{EXPANDED}$")


_READ: Mapping[str | None, Callable[[str], str]] = {
    "literal": str,
    "escaped": str,
    "quoted": _in_double_quotes,
    "plain": _expanded,
}
