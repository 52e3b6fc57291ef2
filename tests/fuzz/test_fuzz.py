"""The fuzz targets hold for their corpus, for changes of it, and for a while of fuzzing."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import FOUND, seeds
from tests.fuzz.run import fuzz, mutate_for, mutated
from tests.fuzz.targets import TARGETS

LONG_SECONDS = 15


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_nothing(name: str) -> None:
    assert seeds(name)
    for seed in seeds(name):
        TARGETS[name](seed)
    TARGETS[name](b"")


@pytest.mark.parametrize("name", TARGETS)
def test_a_changed_corpus_breaks_nothing(name: str) -> None:
    chance = random.Random(name)
    for _ in range(300):
        data = mutated(chance.choice(seeds(name)), chance)
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_break_nothing(name: str) -> None:
    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=400))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


def test_what_was_found_belongs_to_a_target() -> None:
    assert {path.name for path in FOUND.glob("*") if path.is_dir()} <= TARGETS.keys()


def test_a_fault_is_found_and_its_input_kept(tmp_path: Path) -> None:
    def target(data: bytes) -> None:
        assert b"\xff" not in data

    with pytest.raises(AssertionError):
        mutate_for(target, (b"seed",), tmp_path, 60)
    assert b"\xff" in (tmp_path / "found-input").read_bytes()


@pytest.mark.long
@pytest.mark.timeout(LONG_SECONDS + 330)
@pytest.mark.parametrize("name", TARGETS)
def test_fuzzing_finds_nothing(name: str) -> None:
    found = fuzz(name, LONG_SECONDS)
    assert found is None, found
