"""What an image is and how it boots: by a recipe, by what was said, or by its own menus. Pure."""

from bootyard.model.architecture import Firmware
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import TargetKind
from services.catalog.library.description import Description
from services.catalog.library.pick import pick
from services.catalog.library.recipes import patterns
from services.catalog.library.recipes.fallback import guess
from services.catalog.library.recipes.match import Finder, Match, Values, match
from services.catalog.library.recipes.material import ImageTree, Recognised
from services.catalog.library.recipes.outcome import Draft, outcome
from services.catalog.library.recipes.plan import Start, plan
from services.catalog.library.recipes.schema import Recipe, Recipes
from services.catalog.library.recipes.text import check_names, one_line
from services.catalog.library.secureboot import ChainFiles
from services.catalog.library.titles import naming_of, with_kind


def recognise_tree(
    tree: ImageTree, said: Description, image_id: str, recipes: Recipes
) -> Recognised:
    """Decide what an image is and how it boots.

    The first recipe that fits decides; what was said wins over it, and a kernel that was named
    also over a recipe that refuses the image. Without a recipe, what the image says of itself is a
    guess. Raises ImageRejected, and OSError when the image cannot be read.
    """
    finder = Finder(tree)
    for recipe in recipes.recipes:
        found = match(recipe, finder)
        if found is None:
            continue
        if recipe.replace is not None:
            if said.kernel is not None:
                continue
            values = _named(recipe, found.values)
            raise ImageRejected(
                *(one_line(patterns.fill(text, values), 600) for text in _replacement(recipe))
            )
        starts = plan(recipe, finder, found.values)
        if starts:
            return outcome(_draft(recipe, found, starts, finder), said, tree, image_id)
    if said.kernel is not None:
        return outcome(_described(said, tree), said, tree, image_id)
    return outcome(guess(finder), said, tree, image_id)


def _replacement(recipe: Recipe) -> tuple[str, str]:
    assert recipe.replace is not None  # noqa: S101
    return recipe.replace.problem, recipe.replace.cure


def _draft(recipe: Recipe, found: Match, starts: tuple[Start, ...], finder: Finder) -> Draft:
    values = _named(recipe, found.values)
    first = starts[0]
    served = (finder.first(path, values) for path in recipe.serve)
    return Draft(
        recipe=recipe.id,
        status=recipe.status,
        title=_title(recipe, values),
        family=_family(recipe, found.values),
        version=values["version"],
        starts=starts,
        architectures=recipe.architectures,
        architecture_hint=_architecture(recipe, first, finder, values),
        chains=_chains(recipe, finder, values) if recipe.secureboot else None,
        served=tuple(path[0] for path in served if path is not None),
        evidence=found.evidence,
        notes=tuple(one_line(patterns.fill(note, values), 600) for note in recipe.notes),
    )


def _named(recipe: Recipe, found: Values) -> Values:
    """Add what titles name: the version, from the file's name if need be, and the system."""
    version = found.get("version") or naming_of(found["name"]).version
    told = found.get(recipe.family_of, "")
    own = (f.title for f in recipe.families if patterns.search(f.match, told) is not None)
    name = naming_of(found["name"]).title
    system = next(own, told) or name
    return {**found, "version": one_line(version, 40), "system": system, "name": name}


def _title(recipe: Recipe, values: Values) -> str:
    """Make a title; of an image that does not say what it is, its name is all there is."""
    if recipe.family_of and not values.get(recipe.family_of):
        return values["name"]
    return patterns.fill(recipe.title, values)


def _family(recipe: Recipe, found: Values) -> str:
    told = found.get(recipe.family_of, "")
    own = (f.family for f in recipe.families if patterns.search(f.match, told) is not None)
    return next(own, recipe.family)


def _architecture(recipe: Recipe, first: Start, finder: Finder, values: Values) -> str:
    """Say what paths or files tell of the processor."""
    if values.get("arch"):
        return values["arch"]
    if recipe.boot is None or not recipe.boot.kernel:
        return ""
    kernel = finder.first(recipe.boot.kernel, values)
    return kernel[1].get("arch", "") if kernel is not None and kernel[0] == first.kernel else ""


def _chains(recipe: Recipe, finder: Finder, values: Values) -> tuple[ChainFiles, ...]:
    chains: dict[Firmware, ChainFiles] = {}
    for chain in recipe.secureboot:
        shim, grub = (finder.first(path, values) for path in (chain.shim, chain.grub))
        if shim is not None and grub is not None:
            check_names((shim[0], grub[0]))
            chains.setdefault(chain.firmware, ChainFiles(shim[0], grub[0], chain.firmware))
    return tuple(chains.values())


def _described(said: Description, tree: ImageTree) -> Draft:
    """Take an image for what was said of it, when nothing else is known. Raises ImageRejected."""
    picked = pick(frozenset(tree.paths()), said)
    check_names((picked.kernel, *picked.initrds))
    naming = naming_of(one_line(tree.name, 120))
    kind = said.kind or TargetKind.INSTALLER
    return Draft(
        recipe="kernel-initrd",
        status="unverified",
        title=with_kind(naming, kind),
        family=naming.family,
        version=naming.version,
        starts=(
            Start(
                variant="",
                title="",
                kind=kind,
                loader="linux",
                kernel=picked.kernel,
                initrds=picked.initrds,
            ),
        ),
        evidence=("its description names the kernel",),
    )
