"""docs/images.md says what the recipes say."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from services.catalog.library.recipes import patterns
from services.catalog.library.recipes.load import built_in_recipes
from services.catalog.library.recipes.parse import parse_recipe

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/images.md"


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs/generate_image_table.py"))


def test_the_table_is_what_the_recipes_say(generator: dict[str, Any]) -> None:
    """After a change: .venv/bin/python docs/generate_image_table.py"""
    assert generator["page"]() == PAGE.read_text()


def test_every_recipe_and_family_has_a_row(generator: dict[str, Any]) -> None:
    shown = {(row.image, row.recipe) for row in generator["rows"]()}
    recipes = {recipe for _, recipe in shown}
    assert recipes == {f"`{recipe.id}`" for recipe in built_in_recipes()}
    for recipe in built_in_recipes():
        for family in recipe.families:
            assert (family.title, f"`{recipe.id}`") in shown


def test_the_example_is_a_recipe() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert tomllib.loads(example)["id"] == "my-live"
    assert parse_recipe(example.encode(), "my-live.toml").variants["text"].append == "textmode"


def test_limits_on_the_page_are_those_of_the_code() -> None:
    page = " ".join(PAGE.read_text().split())
    assert f"at most {patterns.MAX_LINE} characters, {patterns.MAX_LINES} of them" in page
    assert (patterns.MAX_REPEATS, patterns.MAX_CHOICES) == (3, 10)
