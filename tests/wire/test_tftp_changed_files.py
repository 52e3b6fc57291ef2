"""A file that changes while it is served: its transfers end with an ERROR, others go on."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tftp.lan import Lan
from tests.tftp.machines import Machine, load

pytestmark = pytest.mark.needs("ip")

SIZE = 4_000_003
WAS = random.Random(11).randbytes(SIZE)
BECOMES = random.Random(12).randbytes(SIZE)
OTHER = random.Random(13).randbytes(SIZE)
BLOCK = 1468
BEGUN = 64
"""So many blocks each machine has when the file changes."""

CHANGED = 'bootyard_tftp_transfers_total{file_class="image",outcome="source_changed"}'


def truncate(path: Path) -> None:
    os.truncate(path, SIZE // 2)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(BECOMES)


def replace_at_once(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(BECOMES)
    new.replace(path)


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    made = Lan(tmp_path)
    images = tmp_path / "images"
    contents = {"linux": OTHER, "changes": WAS, "other": OTHER}
    for name, content in contents.items():
        (images / name).write_bytes(content)
        os.utime(images / name, (1, 1))  # at rest: its packets are kept
    made.publish({name: images / name for name in contents})
    with made.serving():
        yield made
        assert made.get("/readyz")[0] == 200
        made.check_faults()


def begin(lan: Lan) -> tuple[list[Machine], list[Machine]]:
    """Machines in the middle of the file that is to change, and in that of another one."""
    of_changing, of_other = (
        [
            Machine(lan, f"images/test@1/{name}", block_size=BLOCK, window_size=size)
            for size in (1, 1, 8, 64)
        ]
        for name in ("changes", "other")
    )
    machines = [*of_changing, *of_other]
    load(machines, until=lambda: all(machine.client.block >= BEGUN for machine in machines))
    assert all(machine.is_loading for machine in machines)
    return of_changing, of_other


@pytest.mark.parametrize("change", [truncate, rewrite, replace_at_once])
def test_transfers_of_a_file_that_changes_end_with_an_error(
    lan: Lan, change: Callable[[Path], None]
) -> None:
    of_changing, of_other = begin(lan)
    change(lan.folder / "images/changes")
    load([*of_changing, *of_other])
    for machine in of_changing:
        assert [error.code for error in machine.errors] == [0]
        assert not machine.client.is_done
        assert WAS.startswith(machine.received)
    for machine in of_other:
        assert machine.received == OTHER
    assert lan.metric(CHANGED) == len(of_changing)


@pytest.mark.parametrize("change", [truncate, rewrite, replace_at_once])
def test_what_changed_is_refused_until_it_is_indexed_again(
    lan: Lan, change: Callable[[Path], None]
) -> None:
    change(lan.folder / "images/changes")
    machines = [Machine(lan, f"images/test@1/{name}") for name in ("changes", "other")]
    load(machines)
    assert [error.code for error in machines[0].errors] == [0]
    assert not machines[0].received
    assert machines[1].received == OTHER
