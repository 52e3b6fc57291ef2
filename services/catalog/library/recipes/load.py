"""Recipe files: those that come with Bootyard, and the operator's own in front of them."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from bootyard.runtime.log import get_logger
from services.catalog.library import names
from services.catalog.library.recipes.parse import MAX_BYTES, RecipeInvalid, parse_recipe
from services.catalog.library.recipes.schema import Recipe, RecipeProblem, Recipes

log = get_logger(__name__)

BUILT_IN = Path(__file__).parent / "data"
MAX_FILES = 500


def load_recipes(folder: Path | None = None) -> Recipes:
    """Read all recipes; `folder` has the operator's own, as `*.toml`, and need not be there.

    A file that cannot be used is a problem, and the others go on. One of the operator's takes the
    place of a built-in one with the same id. Blocks.
    """
    own: dict[str, Recipe] = {}
    problems = []
    for path in _files(folder):
        file_name = names.printable(path.name)
        try:
            with path.open("rb") as opened:
                recipe = parse_recipe(opened.read(MAX_BYTES + 1), file_name)
            if recipe.id in own:
                raise RecipeInvalid(f"{file_name}: id = {recipe.id!r} is another recipe's already")
        except RecipeInvalid as error:
            problems.append(RecipeProblem(file_name, str(error)))
        except OSError as error:
            reason = f"{file_name} cannot be read: {error.strerror or error}"
            problems.append(RecipeProblem(file_name, reason))
        else:
            own[recipe.id] = recipe
    for problem in problems:
        log.warning("recipe not used", file=problem.file, problem=problem.problem)
    built_in = [recipe for recipe in built_in_recipes() if recipe.id not in own]
    return Recipes((*_ordered(own.values()), *built_in), tuple(problems))


@cache
def built_in_recipes() -> tuple[Recipe, ...]:
    """Read the recipes that come with Bootyard, in their order. Raises RecipeInvalid."""
    files = sorted(BUILT_IN.glob("*.toml"))
    return _ordered(parse_recipe(file.read_bytes(), file.name) for file in files)


def _ordered(recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    return tuple(sorted(recipes, key=lambda recipe: (-recipe.priority, recipe.id)))


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".toml")
    except OSError:
        return []
    return found[:MAX_FILES]
