"""Every family of operating systems, by a miniature of its image against a recorded file."""

import pytest

from bootyard.boot.menus.ipxe_words import unsafe_words
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import TargetKind
from services.catalog.library.recipes.load import built_in_recipes
from services.catalog.library.recipes.material import Recognised
from tests.catalog.recipes.goldens import GOLDEN, shown
from tests.catalog.recipes.miniatures import MINIATURES
from tests.catalog.recipes.trees import recognise


def _recognised(name: str) -> Recognised | None:
    try:
        return recognise(MINIATURES[name])
    except ImageRejected:
        return None


@pytest.mark.parametrize("name", MINIATURES)
def test_a_family_boots_as_recorded(name: str) -> None:
    """After a change that is meant: .venv/bin/python -m tests.catalog.recipes.goldens"""
    assert shown(MINIATURES[name]) == (GOLDEN / f"{name}.txt").read_text()


def test_every_recorded_file_is_of_a_miniature() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(MINIATURES)


def test_every_recipe_has_a_miniature() -> None:
    used = {found.recipe for name in MINIATURES if (found := _recognised(name)) is not None}
    replaced = {recipe.id for recipe in built_in_recipes() if recipe.replace is not None}
    assert {recipe.id for recipe in built_in_recipes()} - used == replaced
    refused = {name for name in MINIATURES if _recognised(name) is None}
    assert refused == replaced


def test_every_family_of_a_recipe_has_a_miniature() -> None:
    seen = {found.family for name in MINIATURES if (found := _recognised(name)) is not None}
    for recipe in built_in_recipes():
        assert {family.family for family in recipe.families} <= seen, recipe.id


@pytest.mark.parametrize("name", MINIATURES)
def test_targets_name_files_of_the_image_and_words_that_scripts_carry(name: str) -> None:
    found, tree = _recognised(name), MINIATURES[name]
    if found is None:
        return
    for file in found.files:
        assert tree.find(file) == file
    assert found.targets[0].id == "img"
    assert len({target.id for target in found.targets}) == len(found.targets)
    for target in found.targets:
        assert not unsafe_words(target.command_line)
        assert target.kind is not TargetKind.UNATTENDED
        assert {target.kernel, *target.initrds} - {""} <= {*found.files}
        assert {injected.file for injected in target.injected} - {""} <= {*found.files}
        assert "initrd=" not in target.command_line


def test_what_fetches_from_a_tree_ends_as_its_initrd_wants_it() -> None:
    """archiso joins without a slash; live-boot and dracut go by the last part of an address."""
    for name in ("arch", "systemrescue", "endeavouros", "manjaro"):
        found = _recognised(name)
        assert found is not None
        assert any(word.endswith("_http_srv={tree}/") for word in _words(found)), name
    for name in ("debian-live", "clonezilla", "gparted", "kali-live", "vyos", "grml"):
        found = _recognised(name)
        assert found is not None
        (fetch,) = (word for word in _words(found) if word.startswith("fetch="))
        assert fetch.startswith("fetch={tree}/live/")
        assert fetch.endswith(".squashfs")


def _words(found: Recognised) -> list[str]:
    return found.targets[0].command_line.split()
