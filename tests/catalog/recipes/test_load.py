"""The operator's recipes beside those that are built in."""

from pathlib import Path

from services.catalog.library.description import NOTHING_SAID
from services.catalog.library.recipes.load import built_in_recipes, load_recipes
from services.catalog.library.recipes.recognise import recognise_tree
from tests.catalog.images import KERNEL
from tests.catalog.recipes.test_parse import GOOD
from tests.catalog.recipes.trees import MemoryTree


def test_without_a_folder_the_built_in_ones_are_there(tmp_path: Path) -> None:
    assert load_recipes().recipes == built_in_recipes()
    assert load_recipes(tmp_path / "none").recipes == built_in_recipes()
    assert len(built_in_recipes()) >= 28


def test_recipes_are_tried_from_the_highest_priority_down() -> None:
    priorities = [recipe.priority for recipe in built_in_recipes()]
    assert priorities == sorted(priorities, reverse=True)
    assert len({recipe.id for recipe in built_in_recipes()}) == len(priorities)


def test_a_bad_file_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(GOOD.replace("[detect]", "[detec]"))
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "twice.toml").write_text(GOOD)
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "notes.txt").write_text("not a recipe")
    recipes = load_recipes(tmp_path)
    assert recipes.recipes[0].id == "mine"
    assert recipes.recipes[1:] == built_in_recipes()
    problems = {problem.file: problem.problem for problem in recipes.problems}
    assert set(problems) == {"bad.toml", "twice.toml", "folder.toml"}
    assert problems["bad.toml"].startswith("bad.toml: line 8: 'detec' is no key of a recipe")
    assert "another recipe's already" in problems["twice.toml"]


def test_an_own_recipe_goes_before_all_others(tmp_path: Path) -> None:
    """Though its priority is lower, and the image is one that a built-in recipe knows."""
    (tmp_path / "mine.toml").write_text(GOOD)
    tree = MemoryTree(
        {
            "arch/boot/x86_64/vmlinuz-linux": KERNEL,
            "arch/boot/x86_64/initramfs-linux.img": 9,
            "arch/x86_64/airootfs.sfs": 9,
            "sys/kernel": KERNEL,
            "sys/initrd": 9,
        },
        volume_id="MINE_7",
    )
    found = recognise_tree(tree, NOTHING_SAID, "img", load_recipes(tmp_path))
    assert (found.recipe, found.title) == ("mine", "Mine 7")
    assert found.targets[0].command_line == "base=sys fetch={tree}/root.img"
    assert found.targets[1].command_line == "base=sys fetch={tree}/root.img text"


def test_an_own_recipe_takes_the_place_of_a_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "arch.toml").write_text(GOOD.replace('id = "mine"', 'id = "arch"'))
    recipes = load_recipes(tmp_path).recipes
    assert [recipe.title for recipe in recipes if recipe.id == "arch"] == ["Mine {version}"]
