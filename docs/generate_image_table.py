#!/usr/bin/env python3
"""Writes the table in docs/images.md: every family of images, as the built-in recipes have it.

.venv/bin/python docs/generate_image_table.py
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.generated import with_table  # noqa: E402
from services.catalog.library.recipes.load import built_in_recipes  # noqa: E402
from services.catalog.library.recipes.parse import each  # noqa: E402
from services.catalog.library.recipes.patterns import fill, names_in  # noqa: E402
from services.catalog.library.recipes.schema import Recipe  # noqa: E402

PAGE = ROOT / "docs/images.md"
BEGIN = "<!-- written by docs/generate_image_table.py: change that instead -->"
END = "<!-- end of what is written by it -->"


class Row(NamedTuple):
    """One line of the table."""

    image: str
    recipe: str
    containers: str
    kind: str
    starts: str
    memory: str
    unattended: str
    status: str


HEAD = Row(
    "image", "recipe", "as", "kind", "entries", "least memory", "answers are named by", "status"
)


def table() -> str:
    """Give the table as Markdown."""
    lines = [_line(HEAD), "|" + "---|" * len(HEAD)]
    return "\n".join([*lines, *(_line(row) for row in rows())])


def rows() -> Iterator[Row]:
    """Give a row for each recipe, and for each of the families that share one; by name."""
    found = [row for recipe in built_in_recipes() for row in _rows(recipe)]
    yield from sorted(found, key=lambda row: (row.image.casefold(), row.recipe))


def _rows(recipe: Recipe) -> Iterator[Row]:
    for title in [family.title for family in recipe.families] or [""]:
        yield Row(
            image=_image(recipe, title),
            recipe=f"`{recipe.id}`",
            containers=", ".join(recipe.detect.containers),
            kind=recipe.kind,
            starts=_starts(recipe),
            memory=_memory(recipe),
            unattended=f"`{recipe.unattended}`" if recipe.unattended else "-",
            status="instead" if recipe.replace is not None else recipe.status,
        )


def _image(recipe: Recipe, title: str) -> str:
    """Name what a recipe is for, without what only an image tells."""
    if title:
        return title
    names = dict.fromkeys(names_in(recipe.title), "")
    plain = " ".join(fill(recipe.title, names).split())
    return plain or recipe.id.replace("-", " ")


def _starts(recipe: Recipe) -> str:
    if recipe.replace is not None:
        return recipe.replace.problem
    loader = (recipe.boot and recipe.boot.loader) or "linux"
    titles = dict.fromkeys(boot.title or name for name, boot in recipe.variants.items())
    return "; ".join([f"`{loader}`", *titles])


def _memory(recipe: Recipe) -> str:
    memory = recipe.memory
    if recipe.replace is not None or not (memory.least_mb or memory.of):
        return "-"
    if not memory.of:
        return f"{memory.least_mb} MB"
    of = "the image" if memory.of == "{iso}" else f"`{each(memory.of)[0].rpartition('/')[2]}`"
    return f"{memory.least_mb} MB + {memory.times:g} x {of}"


def _line(row: Row) -> str:
    return f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |"


def page() -> str:
    """Give docs/images.md as it should be."""
    return with_table(PAGE, BEGIN, END, table())


if __name__ == "__main__":
    PAGE.write_text(page())
