"""Timers by ticks."""

import random

from services.tftp.wheel import Wheel

TICK = 0.005


def test_nothing_comes_up_early_and_nothing_later_than_a_tick() -> None:
    rng = random.Random(1)
    wheel: Wheel[float] = Wheel(TICK, 100.0)
    dues = [100 + rng.random() * 3 for _ in range(500)]
    for due in dues:
        wheel.add(due, due)
    now, seen = 100.0, 0
    while wheel:
        now += TICK / 2
        for due in wheel.turn(now):
            assert due <= now <= due + 2 * TICK
            seen += 1
    assert seen == len(dues)


def test_what_is_overdue_comes_up_next() -> None:
    wheel: Wheel[str] = Wheel(TICK, 100.0)
    wheel.turn(105.0)
    wheel.add("late", 101.0)
    assert wheel.turn(105.0) == []
    assert wheel.turn(105.0 + TICK) == ["late"]


def test_a_long_pause_brings_all_in_order() -> None:
    wheel: Wheel[int] = Wheel(TICK, 0.0)
    for number in (3, 1, 2):
        wheel.add(number, float(number))
    assert wheel.turn(1000.0) == [1, 2, 3]
    assert not wheel
