"""From a recipe that fits an image to the ways in which the image boots. Pure."""

from collections.abc import Iterable, Iterator

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import ISO, TREE, Injected, Module, TargetKind, TargetLoader
from services.catalog.library.recipes.match import Finder, Values
from services.catalog.library.recipes.parse import each
from services.catalog.library.recipes.patterns import fill, names_in
from services.catalog.library.recipes.rewrite import MAX_REWRITTEN, rewritten
from services.catalog.library.recipes.schema import Boot, Inject, Memory, Paths, Recipe
from services.catalog.library.recipes.text import check_names, is_plain

MIB = 1024 * 1024


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A way to boot one image, with the paths that its files have there."""

    variant: str
    """Empty for the first one."""
    title: str
    kind: TargetKind
    loader: TargetLoader
    kernel: str
    initrds: tuple[str, ...] = ()
    injected: tuple[Injected, ...] = ()
    modules: tuple[Module, ...] = ()
    command_line: str = ""
    firmware: tuple[Firmware, ...] = ()
    least_memory_mb: int = 0
    templates: dict[str, str] = {}

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that it names."""
        own = (self.kernel, *self.initrds, *(module.file for module in self.modules))
        return tuple(file for file in (*own, *(i.file for i in self.injected)) if file)


class _Missing(Exception):
    """An image that lacks a file of this way to boot it."""


def plan(recipe: Recipe, finder: Finder, values: Values) -> tuple[Start, ...]:
    """Find the files of every way to boot that works with this image; the first is the default.

    Empty when nothing of the recipe works: then it is not the right one. Raises ImageRejected for
    names that a boot script cannot carry, OSError.
    """
    starts = []
    for variant, boot in _boots(recipe):
        try:
            starts.append(_start(recipe, variant, boot, finder, values))
        except _Missing:
            continue
    if starts and starts[0].variant:
        starts[0] = msgspec.structs.replace(starts[0], variant="")
    return tuple(starts)


def _boots(recipe: Recipe) -> Iterator[tuple[str, Boot]]:
    """Give every way to boot, completed by what the first one says."""
    if recipe.boot is None:
        return
    yield "", recipe.boot
    for variant, boot in recipe.variants.items():
        said = {
            name: value
            for name in boot.__struct_fields__
            if (value := getattr(boot, name)) is not None
        }
        appended = " ".join(filter(None, (recipe.boot.append, boot.append)))
        merged = {"append": appended, "least_memory_mb": _memory_said(recipe.boot, boot)}
        yield variant, msgspec.structs.replace(recipe.boot, **said | merged)


def _memory_said(default: Boot, variant: Boot) -> int:
    return variant.least_memory_mb or default.least_memory_mb


def _start(recipe: Recipe, variant: str, boot: Boot, finder: Finder, values: Values) -> Start:
    _check_reach(recipe, boot, finder)
    for paths in boot.needs or ():
        _found(paths, finder, values)
    kernel = ""
    if boot.kernel:
        kernel, values = _found(boot.kernel, finder, values)
    early = [found[0] for path in boot.early_initrds or () if (found := finder.first(path, values))]
    initrds = [_found(paths, finder, values)[0] for paths in boot.initrds or ()]
    if boot.fetches_with and initrds:
        sniffed = finder.sniffed(initrds[-1])
        if sniffed.is_whole and boot.fetches_with not in sniffed.marks:
            raise _Missing
    modules = tuple(
        Module(
            file=_found(module.file, finder, values)[0],
            command_line=_command_line(module.cmdline, values),
        )
        for module in boot.modules or ()
    )
    start = Start(
        variant=variant,
        title=boot.title or "",
        kind=boot.kind or recipe.kind,
        loader=boot.loader or "linux",
        kernel=kernel,
        initrds=(*early, *initrds),
        injected=tuple(_injected(boot.inject or (), finder, values)),
        modules=modules,
        command_line=_command_line(f"{boot.cmdline or ''} {boot.append}", values),
        firmware=boot.firmware or (),
        least_memory_mb=boot.least_memory_mb or memory_needed(recipe.memory, finder, values),
        templates=_templates(boot, finder, values),
    )
    check_names((*start.files, *start.templates))
    check_distinct(start.initrds)
    return start


def _check_reach(recipe: Recipe, boot: Boot, finder: Finder) -> None:
    """Leave out what needs more of an image to be served than there is."""
    modules = " ".join(module.cmdline for module in boot.modules or ())
    text = f"{boot.cmdline or ''} {boot.append} {modules}"
    is_whole = boot.loader in {"sanboot", "memdisk"} and not boot.kernel
    needs_whole = is_whole or ISO in text or any(not i.file for i in boot.inject or ())
    if needs_whole and finder.tree.container != "disc":
        raise _Missing
    if (TREE in text or boot.rewrite) and not (finder.tree.is_complete or recipe.serve):
        raise _Missing


def _found(paths: Paths, finder: Finder, values: Values) -> tuple[str, Values]:
    found = finder.first(paths, values)
    if found is None:
        raise _Missing
    return found


def _injected(inject: Iterable[Inject], finder: Finder, values: Values) -> Iterator[Injected]:
    for each_ in inject:
        if not each_.file:
            yield Injected(path=each_.path, mode=each_.mode)
            continue
        found = finder.first(each_.file, values)
        if found is not None:
            yield Injected(path=each_.path, file=found[0], mode=each_.mode)
        elif each_.needed:
            raise _Missing


def _command_line(template: str, values: Values) -> str:
    """Fill in values. Raises ImageRejected for one that is no part of a word."""
    for name in names_in(template):
        if not is_plain(values.get(name, "")):
            raise ImageRejected(
                f"a boot script cannot carry {values[name]!r}, which the image says",
                "describe the image by hand: kernel, initrd and cmdline in a .toml beside it",
            )
    return " ".join(fill(template, values).split())


def memory_needed(memory: Memory, finder: Finder, values: Values) -> int:
    """Say what it takes to start, in MB; 0: not known."""
    if not memory.of:
        return memory.least_mb
    if memory.of == ISO:
        size = finder.tree.size
    else:
        found = finder.first(each(memory.of), values)
        size = finder.tree.size_of(found[0]) if found is not None else 0
    return memory.least_mb + round(memory.times * size / MIB)


def _templates(boot: Boot, finder: Finder, values: Values) -> dict[str, str]:
    """Rewrite the files that have to name our address."""
    made = {}
    for path, rewrite in (boot.rewrite or {}).items():
        found, _ = _found(path, finder, values)
        if finder.tree.size_of(found) > MAX_REWRITTEN:
            raise _Missing
        text = finder.tree.read(found, 0, MAX_REWRITTEN).decode("utf-8", "replace")
        made[found] = rewritten(text, rewrite)
    return made


def check_distinct(initrds: tuple[str, ...]) -> None:
    """Refuse initrds whose last names are the same: kernels are told them by that name."""
    lasts = [path.rpartition("/")[2].casefold() for path in initrds]
    if len(set(lasts)) < len(lasts):
        raise ImageRejected(
            f"initrds cannot be told apart by name: {', '.join(sorted(initrds))}",
            'name the right one in the description: initrd = ["…"]',
        )
