"""Patterns of recipes: templates with names in braces, paths with wildcards, regular expressions.

A recipe may be a user's, and what it is held against may be anybody's file, so every pattern is of
a shape that cannot run away: few wildcards in a part of a path, and regular expressions without
repeated groups, with few repetitions and choices, which see short lines only. Then the work grows
with a small power of at most `MAX_LINE` characters; the limits of the process that indexes images
hold for the rest. Pure.
"""

import re
from collections.abc import Mapping

from bootyard.model.snapshot import PLACEHOLDERS

MAX_PATTERN = 300
MAX_REPEATS = 3
"""Of `*`, `+` and `{…}` in a regular expression."""
MAX_CHOICES = 10
"""Of `?` and `|` in a regular expression."""
MAX_LINE = 200
"""Characters of a line that a regular expression sees."""
MAX_LINES = 400
MAX_WILDCARDS = 4
"""In one part of a path."""

_NAME = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_KEPT = frozenset(word.strip("{}") for word in PLACEHOLDERS)
_DIGITS = re.compile(r"(\d+)")


def names_in(template: str) -> frozenset[str]:
    """List the names in braces, those aside that are filled in when a script is rendered."""
    return frozenset(_NAME.findall(template)) - _KEPT


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in place of names; one without a value becomes nothing."""

    def value(found: re.Match[str]) -> str:
        return found[0] if found[1] in _KEPT else values.get(found[1], "")

    return _NAME.sub(value, template)


def regex_problem(pattern: str) -> str:
    """Say why a regular expression is not taken; empty for one that is."""
    if len(pattern) > MAX_PATTERN:
        return f"has more than {MAX_PATTERN} characters"
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    plain = _CLASS.sub("x", re.sub(r"\\.", "x", pattern))
    if re.search(r"\)[*+{]", plain) or re.search(r"\(\?P=|\(\?\(", plain):
        return "repeats a group or refers to one: write it without, so that it cannot run for ever"
    if re.search(r"\\[1-9]", pattern):
        return "refers to a group: write it without, so that it cannot run for ever"
    if len(re.findall(r"[*+]|\{", plain)) > MAX_REPEATS:
        return f"has more than {MAX_REPEATS} of *, + and {{}}: shorten it"
    if len(re.findall(r"\||(?<!\()\?", plain)) > MAX_CHOICES:
        return f"has more than {MAX_CHOICES} of | and ?: shorten it"
    return ""


def search(pattern: str, text: str) -> dict[str, str] | None:
    """Find the first line that has the pattern: its named groups, or None."""
    compiled = re.compile(pattern, re.IGNORECASE)
    for line in text.splitlines()[:MAX_LINES] or [""]:
        found = compiled.search(line[:MAX_LINE])
        if found is not None:
            return {name: value or "" for name, value in found.groupdict().items()}
    return None


def groups_in(pattern: str) -> frozenset[str]:
    """List the names of a regular expression's groups."""
    return frozenset(re.compile(pattern).groupindex)


def glob_problem(pattern: str) -> str:
    """Say why a path with wildcards is not taken; empty for one that is."""
    parts = pattern.split("/")
    if len(pattern) > MAX_PATTERN:
        return f"has more than {MAX_PATTERN} characters"
    if not pattern or pattern.startswith("/") or ".." in parts or "" in parts:
        return "is no path inside an image: no / in front, no .."
    if any(_wildcards(part) > MAX_WILDCARDS for part in parts):
        return f"has more than {MAX_WILDCARDS} wildcards in one part"
    return ""


def _wildcards(part: str) -> int:
    return len(re.findall(r"\*|\?|\{[a-z]", part))


def as_glob(pattern: str, values: Mapping[str, str]) -> str:
    """Make a path with names into one that `ImageTree.glob` takes: known names are filled in."""
    return _NAME.sub(lambda found: values.get(found[1]) or "*", pattern)


def captured(pattern: str, values: Mapping[str, str], path: str) -> dict[str, str] | None:
    """Give the values that a path has in the place of names, with those known already.

    None when the path does not match. The first of a name's places tells; others have to agree.
    """
    expression, seen = "", set[str]()
    for piece in re.split(r"(\{[a-z][a-z0-9_]*\}|\*|\?)", pattern):
        name = piece[1:-1] if piece.startswith("{") else ""
        if values.get(name):
            expression += re.escape(values[name])
        elif name in seen:
            expression += f"(?P={name})"
        elif name:
            seen.add(name)
            expression += f"(?P<{name}>[^/]+)"
        else:
            expression += {"*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))
    found = re.fullmatch(expression, path, re.IGNORECASE | re.DOTALL)
    return None if found is None else {**values, **found.groupdict()}


def newest(paths: list[str]) -> str:
    """Choose one of several paths: the last one where numbers count as numbers."""
    return max(paths, key=lambda path: [_order(part) for part in _DIGITS.split(path)])


def _order(part: str) -> tuple[int, int, str]:
    return (1, int(part[:18]), part) if part.isdecimal() else (0, 0, part)
