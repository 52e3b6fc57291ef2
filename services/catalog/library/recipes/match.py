"""Whether an image is what a recipe describes, and which values its names and files give. Pure."""

import configparser
import re

import msgspec

from services.catalog.library.recipes import patterns
from services.catalog.library.recipes.material import ImageTree
from services.catalog.library.recipes.parse import each
from services.catalog.library.recipes.schema import Detect, Paths, ReadFile, Recipe
from services.catalog.library.recipes.sniff import Sniffed, sniff
from services.catalog.library.recipes.text import one_line

MAX_READ = 64 * 1024
MAX_VALUE = 160

Values = dict[str, str]


class Match(msgspec.Struct, frozen=True):
    """An image that a recipe fits."""

    values: Values
    evidence: tuple[str, ...]
    """Why, in words for its owner."""


class Finder:
    """Looks for files of one image; what was looked for once is remembered."""

    def __init__(self, tree: ImageTree) -> None:
        self.tree = tree
        self._globs: dict[str, list[str]] = {}
        self._texts: dict[str, str] = {}
        self._sniffed: dict[str, Sniffed] = {}

    def first(self, paths: Paths, values: Values) -> tuple[str, Values] | None:
        """Find the first of several paths that is there, with the values that its names give."""
        for pattern in each(paths):
            glob = patterns.as_glob(pattern, values)
            if "*" not in glob and "?" not in glob:
                path = self.tree.find(glob)
                if path is not None:
                    return path, values
                continue
            if glob not in self._globs:
                self._globs[glob] = self.tree.glob(glob)
            # What a link leads to may have any name: it is taken as it is, without values.
            is_open = bool(patterns.names_in(pattern) - {n for n, v in values.items() if v})
            found = {
                path: own if own is not None else values
                for path in self._globs[glob]
                if (own := patterns.captured(pattern, values, path)) is not None or not is_open
            }
            if found:
                path = patterns.newest(list(found))
                return path, found[path]
        return None

    def text(self, path: str) -> str:
        """Read the start of a small text file. Raises OSError."""
        if path not in self._texts:
            data = self.tree.read(path, 0, MAX_READ)
            self._texts[path] = data.decode("utf-8-sig", "replace").replace("\0", " ")
        return self._texts[path]

    def sniffed(self, path: str) -> Sniffed:
        """Look through an initrd, once. Raises OSError."""
        if path not in self._sniffed:
            self._sniffed[path] = sniff(self.tree, path)
        return self._sniffed[path]


def match(recipe: Recipe, finder: Finder) -> Match | None:
    """Hold an image against a recipe; None when it is something else. Raises OSError."""
    tree, detect = finder.tree, recipe.detect
    if tree.container not in detect.containers:
        return None
    values: Values = {"name": one_line(tree.name, MAX_VALUE)}
    values["volume_id"] = one_line(tree.volume_id, MAX_VALUE)
    evidence: list[str] = []
    for what, pattern, text in (
        ("volume name", detect.volume_id, tree.volume_id),
        ("system name", detect.system_id, tree.system_id),
        ("file name", detect.name, tree.name),
    ):
        if not pattern:
            continue
        found = patterns.search(pattern, text)
        if found is None:
            return None
        values |= _clean(found)
        evidence.append(f"its {what} is {one_line(text, MAX_VALUE)}")
    by_files = _by_files(detect, finder, values)
    if by_files is None:
        return None
    values, paths = by_files
    evidence += [f"it has {path}" for path in paths]
    for read in detect.read:
        from_file = _read(read, finder, values)
        if from_file is not None:
            path, found = from_file
            values = values | {key: value for key, value in _clean(found).items() if value}
            evidence.append(f"{path} says so")
        elif read.needed:
            return None
    return Match(values, tuple(one_line(each_, 120) for each_ in evidence))


def _by_files(detect: Detect, finder: Finder, values: Values) -> tuple[Values, list[str]] | None:
    paths = []
    for pattern in detect.all:
        found = finder.first(pattern, values)
        if found is None:
            return None
        path, values = found
        paths.append(path)
    if detect.any:
        found = finder.first(detect.any, values)
        if found is None:
            return None
        path, values = found
        paths.append(path)
    if any(finder.first(pattern, values) is not None for pattern in detect.none):
        return None
    return values, paths


def _read(read: ReadFile, finder: Finder, values: Values) -> tuple[str, Values] | None:
    found = finder.first(read.file, values)
    if found is None:
        return None
    path, _ = found
    text = finder.text(path)
    if read.format == "regex":
        groups = patterns.search(read.pattern, text)
        return None if groups is None else (path, groups)
    table = _ini(text) if read.format == "ini" else _shell(text)
    named = {
        name: table[where.lower()] for name, where in read.keys.items() if where.lower() in table
    }
    return (path, named) if named else None


def _ini(text: str) -> dict[str, str]:
    """Read `[section]` and `key = value` as `section.key`; nothing of a file that is none."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, default_section="\0")
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return {
        f"{section}.{key}".lower(): value or ""
        for section in parser.sections()
        for key, value in parser.items(section)
    }


_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w{0,60})=(.*)")


def _shell(text: str) -> dict[str, str]:
    """Read the variables of a file that shells source; nothing is expanded."""
    found = (_ASSIGNMENT.fullmatch(line) for line in text.splitlines()[: patterns.MAX_LINES])
    return {m[1].lower(): m[2].strip().strip("\"'") for m in found if m is not None}


def _clean(values: Values) -> Values:
    return {name: one_line(value, MAX_VALUE) for name, value in values.items()}
