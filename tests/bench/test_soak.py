"""What the soak concludes from its samples."""

import os

import pytest

from bench.tftp_loads import Load, Outcome, Transfer
from bench.tftp_soak import Sample, descriptors, faults, grown, mixed, part, table


def samples(*memory: float, opened: int = 40) -> list[Sample]:
    """One every minute."""
    return [Sample(60.0 * number, mb, opened) for number, mb in enumerate(memory)]


def load(*outcomes: Outcome, died: bool = False) -> Load:
    return Load(
        seconds=3.0,
        bytes=1_000_000_000,
        again=0,
        repeated=0,
        generator_cpu=0.5,
        server_cpu=0.5,
        peak_mb=50.0,
        died=died,
        transfers=[Transfer(0.1, 0.2, outcome, 0) for outcome in outcomes],
    )


@pytest.mark.parametrize("count", [1, 7, 10, 36, 180])
def test_parts_have_samples(count: int) -> None:
    taken = samples(*range(count))
    assert all(part(taken, number, 10) for number in range(10))
    assert part(taken, 9, 10)[-1] == taken[-1]


def test_what_fills_at_first_is_no_growth() -> None:
    assert grown(samples(20, 40, *[60] * 18)) == []


@pytest.mark.parametrize(("last", "is_growth"), [(62.9, False), (63.1, True)])
def test_three_megabytes_are_noise(last: float, is_growth: bool) -> None:
    assert bool(grown(samples(*[60.0] * 16, *[last] * 4))) is is_growth


@pytest.mark.parametrize(("last", "is_growth"), [(104.9, False), (105.1, True)])
def test_so_is_a_twentieth(last: float, is_growth: bool) -> None:
    assert bool(grown(samples(*[100.0] * 16, *[last] * 4))) is is_growth


def test_a_run_that_is_too_short_tells_nothing() -> None:
    assert grown(samples(60.0, 60.0, 60.0)) == ["too few samples after two minutes to tell"]


def test_a_leak_of_descriptors_is_growth() -> None:
    taken = samples(*[60.0] * 20)
    leaking = [sample._replace(descriptors=40 + 2 * n) for n, sample in enumerate(taken)]
    assert grown(taken) == []
    assert grown(leaking) == ["descriptors: from 46.0 to 75.0 open"]


def test_a_death_and_wrong_bytes_are_faults() -> None:
    flat = samples(*[60.0] * 20)
    good = load(Outcome.COMPLETE, Outcome.UNFINISHED, Outcome.FAILED)
    assert faults(flat, [good]) == []
    assert faults(flat, [load(died=True)]) == ["it died"]
    assert faults(flat, [load(Outcome.WRONG)]) == ["1 transfers had wrong bytes or options"]


def test_the_table_has_ten_rows_and_a_sum() -> None:
    lines = table(samples(*range(20)), [load(Outcome.COMPLETE, Outcome.UNFINISHED)] * 2).split("\n")
    assert len(lines) == 14
    assert lines[2] == "| 0 | 0.5 | 40 |"
    told = "2 transfers complete, 2 left by their machines, 0 failed; 2.0 GB in 2 loads"
    assert lines[-1] == told


def test_every_kind_of_load_is_in_the_mix() -> None:
    orders = mixed(3.0)
    assert {order.window for order in orders} >= {1, 8}
    assert {order.loss for order in orders} == {0.0, 0.01}
    assert any(order.seconds < 1 for order in orders)


def test_descriptors_of_processes_that_are_gone_are_none() -> None:
    assert descriptors([os.getpid()]) > 0
    assert descriptors([2**22 + 1]) == 0
