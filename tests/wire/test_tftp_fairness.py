"""Clients of different kinds at the same time: nobody starves.

Bounds are ratios of blocks that all have loaded at one moment, and no times: the machine may be as
slow as it likes. The clients take one datagram each at a turn, so what is uneven is the server.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.tftp.lan import Lan
from tests.tftp.machines import Machine, load

pytestmark = pytest.mark.needs("ip")

PATH = "images/test@1/linux"
SIZE = 96 << 20
WINDOW = 64
UNEVEN = 4
"""A datagram that is lost in a full buffer holds its client up for a timer's time."""


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    made = Lan(tmp_path)
    with (tmp_path / "images/linux").open("wb") as sparse:
        sparse.truncate(SIZE)
    made.publish({"linux": tmp_path / "images/linux"})
    with made.serving():
        yield made


def blocks(machines: Sequence[Machine]) -> list[int]:
    return sorted(machine.client.block for machine in machines)


def load_until(machines: Sequence[Machine], watched: Sequence[Machine], wanted: int) -> None:
    """Let all load until each of the watched has so many blocks; nobody gets to the end."""
    load(machines, until=lambda: blocks(watched)[0] >= wanted)
    assert not any(machine.client.has_failed for machine in machines)


def test_equal_clients_are_served_alike(lan: Lan) -> None:
    machines = [Machine(lan, PATH) for _ in range(20)]
    load_until(machines, machines, 300)
    slowest, *_, fastest = blocks(machines)
    assert fastest <= UNEVEN * slowest


def test_a_large_window_does_not_starve_lockstep_clients(lan: Lan) -> None:
    """At its turn it gets a window, where the others get a block."""
    window = Machine(lan, PATH, window_size=WINDOW)
    lockstep = [Machine(lan, PATH) for _ in range(20)]
    load_until([window, *lockstep], lockstep, 200)
    slowest, *_, fastest = blocks(lockstep)
    assert fastest <= UNEVEN * slowest
    assert window.client.block <= UNEVEN * WINDOW * slowest
    # Nor do they starve it.
    assert window.client.block >= slowest


def test_large_windows_do_not_starve_a_lockstep_client(lan: Lan) -> None:
    windows = [Machine(lan, PATH, window_size=WINDOW) for _ in range(8)]
    lockstep = Machine(lan, PATH)
    load_until([*windows, lockstep], windows, 2000)
    fastest = blocks(windows)[-1]
    assert lockstep.client.block >= fastest // WINDOW // UNEVEN
    assert lockstep.client.block >= 1
