"""Text of a recipe file, checked to the last key. Pure."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator

import msgspec

from bootyard.boot.menus.ipxe_words import unsafe_words
from services.catalog.library.description import ARCHITECTURES
from services.catalog.library.recipes import schema
from services.catalog.library.recipes.patterns import (
    fill,
    glob_problem,
    groups_in,
    names_in,
    regex_problem,
)
from services.catalog.library.recipes.schema import Boot, Paths, Recipe
from services.catalog.library.recipes.sniff import MARKS

MAX_BYTES = 64 * 1024
BUILT_IN_NAMES = frozenset({"name", "volume_id", "arch", "version", "system"})
"""Values that every recipe can use; `system` is the title of its family, `arch` and `version` are
empty unless something tells them."""

_TABLES = (
    *(schema.Recipe, schema.Detect, schema.ReadFile, schema.Boot, schema.Inject),
    *(schema.ModuleFile, schema.Rewrite, schema.Memory, schema.Chain, schema.Replace),
    schema.FamilyName,
)
_KEYS = sorted({field.name for table in _TABLES for field in msgspec.structs.fields(table)})
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_WHERE = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_FORMATS = ("regex", "ini", "shell")
_NO_KERNEL = ("sanboot", "memdisk", "wimboot")


class RecipeInvalid(ValueError):
    """A recipe that cannot be used: one sentence with the file and the line or key."""


def parse_recipe(data: bytes, file_name: str) -> Recipe:
    """Read the text of a recipe. Raises RecipeInvalid."""
    text = _text(data, file_name)
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        last = f"at line {len(text.splitlines())}, the end of the file"
        reason = reason.replace("at end of document", last)
        raise RecipeInvalid(f"{file_name} does not parse: {reason}") from error
    if values.get("schema") != schema.SCHEMA:
        raise RecipeInvalid(
            f"{file_name}: schema = {values.get('schema')!r} is none that this version reads;"
            f" write schema = {schema.SCHEMA}"
        )
    try:
        recipe = msgspec.convert(values, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeInvalid(f"{file_name}: {_explained(str(error), text)}") from error
    problem = next(_problems(recipe), None)
    if problem is not None:
        raise RecipeInvalid(f"{file_name}: {problem}")
    return recipe


def _text(data: bytes, file_name: str) -> str:
    if len(data) > MAX_BYTES:
        raise RecipeInvalid(f"{file_name} has more than {MAX_BYTES // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecipeInvalid(f"{file_name} is not UTF-8 text (at line {line})") from error


def _explained(error: str, text: str) -> str:
    """Say a decoder's error as `line N: …`, naming the nearest key for one that does not exist."""
    where = _WHERE.search(error)
    place = where[1] if where is not None else ""
    message = _WHERE.sub("", error)
    unknown = _UNKNOWN.search(error)
    if unknown is None:
        key = re.sub(r"\[.*?\]", "", place).rpartition(".")[2]
        return f"{_line_of(key, text)}{place or 'the file'}: {message}"
    near = difflib.get_close_matches(unknown[1], _KEYS, n=1)
    mean = f"; did you mean {near[0]!r}?" if near else ""
    table = f"[{place}]" if place else "a recipe"
    return f"{_line_of(unknown[1], text)}{unknown[1]!r} is no key of {table}{mean}"


def _line_of(key: str, text: str) -> str:
    """Find where a key is written, for a message; empty when that is not plain."""
    written = re.compile(rf"^\s*(?:\[+[\w.-]*\b)?{re.escape(key)}\b|[{{,]\s*{re.escape(key)}\s*=")
    for number, line in enumerate(text.splitlines(), start=1):
        if key and written.search(line):
            return f"line {number}: "
    return ""


def _problems(recipe: Recipe) -> Iterator[str]:
    """Give what is wrong beyond types, one sentence each that starts with the key."""
    if not _SLUG.fullmatch(recipe.id):
        yield f"id = {recipe.id!r} is no slug: a-z, 0-9 and single -"
    if recipe.status not in ("golden", "verified", "unverified", "guess"):
        yield f"status = {recipe.status!r} is unknown"
    for variant in recipe.variants:
        if not _SLUG.fullmatch(variant):
            yield f"variants.{variant}: the name is no slug: a-z, 0-9 and single -"
    if (recipe.boot is None) == (recipe.replace is None):
        yield "a recipe has either [boot] or [replace]"
    for architecture in recipe.architectures:
        if architecture not in ARCHITECTURES.values():
            yield f"architectures: {architecture!r} is unknown"
    yield from _detect_problems(recipe)
    for key, boot in _boots(recipe):
        yield from _boot_problems(key, boot)
    yield from _name_problems(recipe)


def _detect_problems(recipe: Recipe) -> Iterator[str]:
    detect = recipe.detect
    expressions = [
        ("detect.name", detect.name),
        ("detect.volume_id", detect.volume_id),
        ("detect.system_id", detect.system_id),
        *((f"families[{i}].match", family.match) for i, family in enumerate(recipe.families)),
    ]
    for i, read in enumerate(detect.read):
        key = f"detect.read[{i}]"
        if read.format not in _FORMATS:
            yield f"{key}.format = {read.format!r} is none of {', '.join(_FORMATS)}"
        if (read.format == "regex") != bool(read.pattern) or bool(read.pattern) == bool(read.keys):
            yield f"{key} has to have `pattern` for regex, or `keys` for ini and shell"
        expressions.append((f"{key}.pattern", read.pattern))
    for key, pattern in expressions:
        if problem := regex_problem(pattern):
            yield f"{key} {problem}"
    if not (detect.all or detect.any or detect.volume_id or detect.read or detect.name):
        yield "detect: every image would match; name files or a volume_id"
    for key, path in _paths(recipe):
        if problem := glob_problem(path):
            yield f"{key}: {path!r} {problem}"


def _boot_problems(key: str, boot: Boot) -> Iterator[str]:
    if key != "boot" and not boot.title:
        yield f"{key} has no title: menus tell it from the others by it"
    for text in (boot.cmdline or "", boot.append):
        unsafe = unsafe_words(fill(text, dict.fromkeys(names_in(text), "x")))
        if unsafe:
            yield f"{key}: a boot script cannot carry {' '.join(map(repr, unsafe))}"
    if key == "boot" and not boot.kernel and boot.loader not in _NO_KERNEL:
        yield "boot has no kernel"
    if boot.fetches_with is not None and boot.fetches_with not in MARKS:
        yield f"{key}.fetches_with = {boot.fetches_with!r} is none of {', '.join(sorted(MARKS))}"
    for inject in boot.inject or ():
        if not inject.path.strip("/") or " " in inject.path:
            yield f"{key}.inject: {inject.path!r} is no path"


def _name_problems(recipe: Recipe) -> Iterator[str]:
    """Check that every name in braces gets its value from somewhere."""
    known = set(BUILT_IN_NAMES)
    for pattern in (recipe.detect.name, recipe.detect.volume_id, recipe.detect.system_id):
        known |= groups_in(pattern)
    for read in recipe.detect.read:
        known |= groups_in(read.pattern) | read.keys.keys()
    for _, path in _paths(recipe):
        known |= names_in(path)
    used = [("title", recipe.title), *(("notes", note) for note in recipe.notes)]
    if recipe.family_of:
        used.append(("family_of", f"{{{recipe.family_of}}}"))
    if recipe.replace is not None:
        used += [("replace", recipe.replace.problem), ("replace", recipe.replace.cure)]
    for key, boot in _boots(recipe):
        modules = (module.cmdline for module in boot.modules or ())
        texts = (boot.cmdline or "", boot.append, *modules)
        used += [(key, text) for text in texts]
    for key, text in used:
        for name in sorted(names_in(text) - known):
            near = difflib.get_close_matches(name, known, n=1)
            mean = f"; did you mean {{{near[0]}}}?" if near else ""
            yield f"{key}: {{{name}}} gets its value from nothing{mean}"


def _boots(recipe: Recipe) -> Iterator[tuple[str, Boot]]:
    if recipe.boot is not None:
        yield "boot", recipe.boot
    for name, boot in recipe.variants.items():
        yield f"variants.{name}", boot


def _paths(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Give every path with wildcards, with its key."""
    detect = recipe.detect
    yield from (("detect.all", path) for path in detect.all)
    yield from (("detect.any", path) for path in detect.any)
    yield from (("detect.none", path) for path in detect.none)
    for read in detect.read:
        yield from (("detect.read", path) for path in each(read.file))
    for key, boot in _boots(recipe):
        groups: list[Paths] = [boot.kernel or (), *(boot.initrds or ()), *(boot.needs or ())]
        groups += [*(boot.early_initrds or ()), *(boot.rewrite or ())]
        groups += [inject.file for inject in boot.inject or () if inject.file]
        groups += [module.file for module in boot.modules or ()]
        yield from ((key, path) for path in _flat(groups))
    yield from (("memory.of", path) for path in each(recipe.memory.of) if path not in ("", "{iso}"))
    yield from (("serve", path) for path in recipe.serve)
    for chain in recipe.secureboot:
        yield from (("secureboot", path) for path in (chain.shim, chain.grub))


def each(paths: Paths) -> tuple[str, ...]:
    """Give the paths, one or several, in the order in which they are looked for."""
    return (paths,) if isinstance(paths, str) else paths


def _flat(groups: Iterable[Paths]) -> Iterator[str]:
    for group in groups:
        yield from each(group)
