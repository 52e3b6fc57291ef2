"""Token buckets and what is remembered; time is arithmetic."""

from bootyard.model.mac import MACAddress
from services.proxydhcp.limits import MACHINE_BURST, TOTAL_BURST, RateLimiter, Recent, TokenBucket
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
    other = MACAddress.parse("02:00:00:00:00:02")
    assert [limiter.admits_machine(MAC, 5.0) for _ in range(12)].count(True) == MACHINE_BURST
    assert limiter.admits_machine(other, 5.0)
    assert [limiter.admits_machine(MAC, 6.0) for _ in range(12)].count(True) == 4


def test_all_machines_together_have_a_limit() -> None:
    limiter = RateLimiter()
    assert sum(limiter.admits(5.0) for _ in range(2000)) == TOTAL_BURST
    assert sum(limiter.admits(5.125) for _ in range(2000)) == 62


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
