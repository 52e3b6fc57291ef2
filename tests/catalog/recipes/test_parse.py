"""Recipe files: what is refused, and with which words."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.library.recipes import patterns
from services.catalog.library.recipes.parse import MAX_BYTES, RecipeInvalid, parse_recipe

GOOD = """\
schema = 1
id = "mine"
title = "Mine {version}"
family = "mine"
kind = "live"
priority = 10

[detect]
volume_id = '^MINE_(?P<version>\\d+)'
all = ["{folder}/kernel"]

[boot]
kernel = "{folder}/kernel"
initrds = ["{folder}/initrd"]
cmdline = "base={folder} fetch={tree}/root.img"

[variants.text]
title = "text mode"
append = "text"
"""


def _refusal(text: str | bytes) -> str:
    with pytest.raises(RecipeInvalid) as refusal:
        parse_recipe(text if isinstance(text, bytes) else text.encode(), "mine.toml")
    return str(refusal.value)


def test_a_good_recipe() -> None:
    recipe = parse_recipe(GOOD.encode(), "mine.toml")
    assert (recipe.id, recipe.kind, recipe.status) == ("mine", "live", "unverified")
    assert recipe.variants["text"].append == "text"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("schema = 1", "schema = 2", "mine.toml: schema = 2 is none that this version reads"),
        ("schema = 1", "", "schema = None"),
        ("[boot]", "[boot", "mine.toml does not parse: .*line 12"),
        ("cmdline =", "cmdlin =", "line 15: 'cmdlin' is no key of .boot.; did you mean 'cmdline'"),
        ('family = "mine"', 'famly = "mine"', "line 4: 'famly' is no key of a recipe; .*'family'"),
        ("append", "appends", "line 19: 'appends' is no key of .variants.*; did you mean 'append'"),
        ("priority = 10", 'priority = "x"', "line 6: priority: Expected `int`"),
        ('kind = "live"', 'kind = "disco"', "line 5: kind: Invalid enum value 'disco'"),
        ('id = "mine"', 'id = "Mine!"', "id = 'Mine!' is no slug"),
        ('kernel = "{folder}/kernel"\n', "", "boot has no kernel"),
        (
            "base={folder}",
            "base={fodler}",
            "boot: {fodler} gets its value from nothing; .*{folder}",
        ),
        ("Mine {version}", "Mine {verzion}", "title: {verzion} gets its value from nothing"),
        ("base={folder}", "a ${net0/mac}", "boot: a boot script cannot carry"),
        ("base={folder}", "a || b", r"cannot carry '\|\|'"),
        ('"{folder}/initrd"', '"/initrd"', "boot: '/initrd' is no path inside an image"),
        ('"{folder}/initrd"', '"a/../initrd"', "is no path inside an image"),
        ('"{folder}/initrd"', '"a*b*c*d*e*"', "more than 4 wildcards"),
        ('title = "text mode"\n', "", "variants.text has no title"),
        (r"'^MINE_(?P<version>\d+)'", "'('", "detect.volume_id is no regular expression"),
        ('kind = "live"', 'kind = "live"\narchitectures = ["vax"]', "'vax' is unknown"),
        ("[boot]", '[boot]\nfetches_with = "magic"', "fetches_with = 'magic' is none of"),
        ("[boot]", '[replace]\nproblem = "a"\ncure = "b"\n[boot]', "either .boot. or .replace."),
        ("schema = 1", "schema = 1\n" + "a" * MAX_BYTES, "more than 64 KiB"),
    ],
)
def test_what_is_refused_says_where(old: str, new: str, problem: str) -> None:
    assert old in GOOD
    assert re.search(problem, _refusal(GOOD.replace(old, new)), re.DOTALL)


def test_a_recipe_for_every_image_is_refused() -> None:
    detect = GOOD[GOOD.index("[detect]") : GOOD.index("[boot]")]
    text = GOOD.replace(detect, '[detect]\nnone = ["x"]\n').replace("{folder}", "a")
    assert "every image would match" in _refusal(text.replace("{version}", ""))


def test_bytes_that_are_no_text() -> None:
    assert _refusal(b"schema = 1\n\xff") == "mine.toml is not UTF-8 text (at line 2)"


@given(st.binary() | st.text().map(str.encode) | st.text().map(lambda t: (GOOD + t).encode()))
def test_any_bytes_are_a_recipe_or_refused(data: bytes) -> None:
    with suppress(RecipeInvalid):
        parse_recipe(data, "mine.toml")


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a*)*",
        "(?:a|aa)+$",
        "(a{2,})*",
        r"(a)\1",
        "(?P<x>a)(?P=x)",
        "a*a*a*a*b",
        "a?" * 11 + "a",
        "|".join("abcdefghijkl"),
        "x" * (patterns.MAX_PATTERN + 1),
        "[",
    ],
)
def test_regular_expressions_that_may_run_for_ever_are_refused(pattern: str) -> None:
    assert patterns.regex_problem(pattern)


@pytest.mark.parametrize("pattern", ["", r"^v(?P<a>[+*(){}]+)", r"\(a\)\+\+\+\+", "(?:a)?b+c*"])
def test_plain_regular_expressions_are_taken(pattern: str) -> None:
    assert patterns.regex_problem(pattern) == ""


def test_a_regular_expression_sees_short_lines_only() -> None:
    assert patterns.search("x$", "a" * 10_000 + "x") is None
    assert patterns.search("(?P<last>b)", "a\n" * 399 + "b") == {"last": "b"}
    assert patterns.search("b", "a\n" * 400 + "b") is None


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("boot/{arch}/linux", "boot/x86_64/linux", {"arch": "x86_64"}),
        ("boot/{arch}/linux", "BOOT/X/LINUX", {"arch": "X"}),
        ("{a}/x/{a}", "b/x/b", {"a": "b"}),
        ("{a}/x/{a}", "b/x/c", None),
        ("a*/?", "abc/d", {}),
        ("a*", "abc/d", None),
        ("a.b", "axb", None),
    ],
)
def test_paths_give_values(pattern: str, path: str, values: dict[str, str] | None) -> None:
    assert patterns.captured(pattern, {}, path) == values


def test_a_value_that_is_known_is_kept() -> None:
    assert patterns.captured("{a}/x", {"a": "b"}, "c/x") is None
    assert patterns.as_glob("{a}/{b}/*", {"a": "x"}) == "x/*/*"


def test_numbers_in_paths_count_as_numbers() -> None:
    assert patterns.newest(["v-6.9", "v-6.12", "v-6.1"]) == "v-6.12"
