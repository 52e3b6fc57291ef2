"""`grub.cfg` as far as it tells what can be booted: entries, variables, other files. Pure.

Conditions are not decided: the commands of every branch are read as if they ran.
"""

import re
from collections.abc import Callable, Iterator

from services.catalog.library.recipes.own_entry import (
    MAX_ENTRIES,
    OwnEntry,
    lines_of,
    path_in_image,
)

MAX_VARIABLES = 64
MAX_VALUE = 1000
MAX_DEPTH = 6
"""Of files that name files."""

_KERNEL = frozenset({"linux", "linux16", "linuxefi"})
_INITRD = frozenset({"initrd", "initrd16", "initrdefi"})
_FOLLOW = frozenset({"source", ".", "configfile", "extract_entries_source"})
_TOKEN = re.compile(
    r"'(?P<single>[^']*)'"
    r'|"(?P<double>(?:\\.|[^"\\])*)"'
    r"|(?P<plain>(?:\\.|\$\{\w+\}|[^\s'\";{}\\])+)"
    r"|(?P<mark>[;{}])"
)
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


class _Reader:
    def __init__(self, read: Callable[[str], str | None]) -> None:
        self._read = read
        self._variables: dict[str, str] = {}
        self.entries: list[OwnEntry] = []
        self._title = self._kernel = self._line = self._file = ""
        self._initrds: list[str] = []

    def file(self, text: str, path: str, depth: int = 0) -> None:
        for line in lines_of(text):
            for command in _commands(line):
                if len(self.entries) >= MAX_ENTRIES:
                    return
                self._file = path
                self._command([self._expanded(word) for word in command], path, depth)
        self._finish()

    def _command(self, words: list[str], path: str, depth: int) -> None:
        name, *rest = words
        if name in {"menuentry", "submenu"}:
            self._finish()
            self._title = rest[0] if rest else ""
        elif name == "set" and rest:
            self._set("".join(rest[:1]))
        elif name in _KERNEL and rest:
            self._finish()
            self._kernel, self._line = rest[0], " ".join(rest[1:])
        elif name in _INITRD:
            self._initrds += rest
        elif name in _FOLLOW and rest and depth < MAX_DEPTH:
            self._finish()
            followed = path_in_image(rest[-1], path.rpartition("/")[0])
            text = self._read(followed)
            if text is not None:
                self.file(text, followed, depth + 1)

    def _set(self, assignment: str) -> None:
        name, equals, value = assignment.partition("=")
        if equals and (name in self._variables or len(self._variables) < MAX_VARIABLES):
            self._variables[name] = value[:MAX_VALUE]

    def _expanded(self, word: tuple[str, bool]) -> str:
        text, expands = word
        if not expands or "$" not in text:
            return text

        def value(found: re.Match[str]) -> str:
            return self._variables.get(found[1] or found[2], "")

        return _VARIABLE.sub(value, text[:MAX_VALUE])[: 4 * MAX_VALUE]

    def _finish(self) -> None:
        """Keep what was gathered, if it has a kernel; its title stays for a second kernel."""
        kernel = path_in_image(self._kernel) if self._kernel else ""
        if kernel:
            self.entries.append(
                OwnEntry(
                    title=self._title,
                    kernel=kernel,
                    initrds=tuple(path_in_image(path) for path in self._initrds),
                    command_line=self._line,
                    file=self._file,
                )
            )
        self._kernel = self._line = ""
        self._initrds = []


def parse_grub(text: str, path: str, read: Callable[[str], str | None]) -> list[OwnEntry]:
    """List the entries of a `grub.cfg` and of the files that it names; `read` gives their text."""
    reader = _Reader(read)
    reader.file(text, path)
    return reader.entries


def _commands(line: str) -> Iterator[list[tuple[str, bool]]]:
    """Split a line into commands of words; each with whether variables in it are expanded."""
    words: list[tuple[str, bool]] = []
    word, expands, end = "", False, -1
    for found in _TOKEN.finditer(line):
        if found["mark"] is None and found.start() == end and word:
            word, expands = word + _plain(found), expands and found["single"] is None
            words[-1] = (word, expands)
        elif found["mark"] is not None:
            if words:
                yield words
            words, word = [], ""
        else:
            word, expands = _plain(found), found["single"] is None
            if word.startswith("#") and found["plain"] is not None:
                break
            words.append((word, expands))
        end = found.end()
    if words:
        yield words


def _plain(found: re.Match[str]) -> str:
    if found["single"] is not None:
        return found["single"]
    return re.sub(r"\\(.)", r"\1", found["plain"] or found["double"] or "")
