"""Token buckets and what is remembered; time is arithmetic."""

from services.proxydhcp.limits import (
    EVENTS_BURST,
    KNOWN_BURST,
    LINES_BURST,
    MACHINE_BURST,
    NEWCOMERS_BURST,
    NEWCOMERS_RATE,
    REMEMBERED,
    STRANGERS_BURST,
    STRANGERS_EVENTS_RATE,
    UNDER_WAY_SECONDS,
    EventBudget,
    KnownMachines,
    LineBudget,
    RateLimiter,
    Recent,
    TokenBucket,
)
from tests.proxydhcp.packets import MAC


def test_bucket_refills_with_time_and_not_above_its_size() -> None:
    bucket = TokenBucket(rate=2, burst=3, tokens=3, at=100)
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5) for _ in range(2)] == [True, False]
    assert [bucket.take(900) for _ in range(4)] == [True, True, True, False]


def test_clock_that_steps_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=2, burst=3, tokens=0, at=100)
    assert not bucket.take(50)
    assert bucket.take(50.5)


def test_each_machine_has_a_limit_of_its_own() -> None:
    limiter = RateLimiter()
    for known in (True, False):
        admitted = [limiter.refusal(MAC, 5.0, known=known) is None for _ in range(12)]
        assert admitted.count(True) == MACHINE_BURST
        assert limiter.refusal(MAC, 5.0, known=known) == "this machine"
        assert limiter.refusal("02:00:00:00:00:02", 5.0, known=known) is None
        admitted = [limiter.refusal(MAC, 6.0, known=known) is None for _ in range(12)]
        assert admitted.count(True) == 4


def test_strangers_together_have_a_limit_that_takes_nothing_from_known_machines() -> None:
    limiter = RateLimiter()
    admitted = sum(
        limiter.refusal(stranger(number), 5.0, known=False) is None
        for number in range(int(STRANGERS_BURST) + 100)
    )
    assert admitted == STRANGERS_BURST
    assert not limiter.admits_unread(5.0)
    assert limiter.refusal(MAC, 5.0, known=True) is None
    admitted = sum(
        limiter.refusal(stranger(number), 5.0, known=True) is None
        for number in range(int(KNOWN_BURST) + 100)
    )
    assert admitted == KNOWN_BURST - 1
    assert limiter.refusal("02:00:00:00:00:03", 5.0, known=True) is not None


def test_ten_thousand_strangers_a_second_are_admitted() -> None:
    limiter = RateLimiter()
    assert all(
        limiter.refusal(stranger(number), number / 10_000, known=False) is None
        for number in range(100_000)
    )


def test_a_machine_over_its_limit_takes_nothing_from_others() -> None:
    limiter = RateLimiter()
    for _ in range(int(STRANGERS_BURST) + 100):
        limiter.refusal(MAC, 5.0, known=False)
    assert limiter.refusal("02:00:00:00:00:02", 5.0, known=False) is None


def test_known_machines_are_registered_or_under_way() -> None:
    known = KnownMachines()
    known.registered = {"02:00:00:00:00:01"}
    assert known.knows("02:00:00:00:00:01", 0.0)
    assert not known.knows("02:00:00:00:00:02", 0.0)
    known.note_step("02:00:00:00:00:02", 10.0)
    assert known.knows("02:00:00:00:00:02", 10.0 + UNDER_WAY_SECONDS)
    assert not known.knows("02:00:00:00:00:02", 11.0 + UNDER_WAY_SECONDS)


def test_a_flood_of_steps_makes_few_machines_known() -> None:
    known = KnownMachines()
    known.note_step(MAC, 0.0)
    for number in range(50_000):
        known.note_step(stranger(number), number / 5_000)
    assert known.knows(MAC, 10.0)
    made_known = sum(known.knows(stranger(number), 10.0) for number in range(50_000))
    assert made_known <= NEWCOMERS_BURST + 10 * NEWCOMERS_RATE


def test_two_thousand_new_machines_are_told_of_and_a_flood_is_not() -> None:
    budget = EventBudget()
    storm = [budget.admits(stranger(n), 0.0, known=False) for n in range(2_000) for _ in range(2)]
    assert all(storm)
    told = sum(
        budget.admits(stranger(2_000 + number), number / 5_000, known=False)
        for number in range(50_000)
    )
    assert told <= 10 * NEWCOMERS_RATE
    assert budget.admits(MAC, 10.0, known=True)


def test_machines_told_of_cannot_flood_either() -> None:
    budget = EventBudget()
    for number in range(2_000):
        budget.admits(stranger(number), 0.0, known=False)
    told = sum(
        budget.admits(stranger(number % 2_000), number / 8_000, known=False)
        for number in range(80_000)
    )
    assert told <= EVENTS_BURST + 10 * STRANGERS_EVENTS_RATE


def test_lines_left_out_are_counted_once_a_second() -> None:
    lines = LineBudget()
    written = sum(lines.admits(5.0) for _ in range(1_000))
    assert written == LINES_BURST
    assert lines.left_out(5.5) == 0
    assert not any(lines.admits(5.0) for _ in range(3))
    assert lines.left_out(6.0) == 1_003 - LINES_BURST
    assert lines.left_out(60.0) == 0


def test_what_is_kept_outlives_a_flood() -> None:
    recent: Recent[str, int] = Recent(keeps=lambda key: key == "kept")
    recent.note("kept", 1)
    recent.note("lost", 2)
    for number in range(50_000):
        recent.note(stranger(number), number)
    assert recent.recall("kept") == 1
    assert recent.recall("lost") is None
    assert len(recent) == REMEMBERED


def test_keeping_everything_forgets_all_the_same() -> None:
    recent: Recent[int, int] = Recent(3, keeps=lambda _: True)
    for number in range(10):
        recent.note(number, number)
    assert len(recent) == 3


def test_what_was_not_used_lately_is_forgotten_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.note("a", 1)
    recent.note("b", 2)
    assert recent.recall("a") == 1
    recent.note("c", 3)
    assert list(recent) == ["a", "c"]
    assert recent.recall("b") is None
    recent.note("a", 4)
    assert recent.recall("a") == 4


def stranger(number: int) -> str:
    return f"06:00:{number:08x}"
