"""How much is taken on: packets, events and log lines, by token buckets. Time is an argument.

A datagram over a limit is dropped, never delayed: the machine asks again by itself. Machines that
are known have budgets of their own, so that a flood of made-up ones takes nothing from them.
"""

from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

REMEMBERED = 4096
"""Machines that are kept in mind; the one not heard for the longest time goes first."""
SPARED = 8
"""How many that are to be kept are passed over before one goes all the same."""

MACHINE_RATE, MACHINE_BURST = 4.0, 10.0
"""Packets of one machine. Firmware sends three in its first seconds, iPXE four."""
STRANGERS_RATE, STRANGERS_BURST = 30_000.0, 30_000.0
"""Packets of all machines that are not known: about what one fast processor can answer."""
KNOWN_RATE, KNOWN_BURST = 5_000.0, 5_000.0

NEWCOMERS_RATE, NEWCOMERS_BURST = 30.0, 2_000.0
"""Machines heard for the first time that are told of: power comes back to a whole site at once,
and after that nobody switches on more than a few a second."""
UNDER_WAY_SECONDS = 900.0
"""How long a machine counts as known after a step of its boot."""

STRANGERS_EVENTS_RATE, KNOWN_EVENTS_RATE, EVENTS_BURST = 100.0, 500.0, 5_000.0
LINES_RATE, LINES_BURST = 50.0, 300.0
SUMMARY_SECONDS = 1.0


class Recent(OrderedDict[K, V], Generic[K, V]):
    """A mapping that forgets what was not set or asked for lately; what `keeps` names, last."""

    def __init__(self, size: int = REMEMBERED, keeps: Callable[[K], bool] | None = None) -> None:
        super().__init__()
        self._size = size
        self._keeps = keeps

    def note(self, key: K, value: V) -> None:
        """Set a value as the most recent one."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._size:
            self._forget_one()

    def recall(self, key: K) -> V | None:
        """Get a value, which makes it the most recent one."""
        if key not in self:
            return None
        self.move_to_end(key)
        return self[key]

    def _forget_one(self) -> None:
        oldest = next(iter(self))
        if self._keeps is not None:
            for _ in range(SPARED):
                if not self._keeps(oldest):
                    break
                self.move_to_end(oldest)
                oldest = next(iter(self))
        del self[oldest]


@dataclass(slots=True)
class TokenBucket:
    """`rate` tokens a second, at most `burst` at once."""

    rate: float
    burst: float
    tokens: float
    at: float

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        passed = now - self.at
        self.at = now
        tokens = self.tokens + passed * self.rate if passed > 0 else self.tokens
        tokens = min(tokens, self.burst)
        if tokens < 1:
            self.tokens = tokens
            return False
        self.tokens = tokens - 1
        return True


def full_bucket(rate: float, burst: float) -> TokenBucket:
    """Make a bucket whose first tokens are there from the start."""
    return TokenBucket(rate, burst, burst, 0.0)


class KnownMachines:
    """Machines that are registered, and ones that went on with a boot lately.

    Anybody can send packets of many machines that seem to go on: more than a site has become known
    no faster than newcomers do.
    """

    def __init__(self) -> None:
        self.registered: Container[str] = ()
        self._under_way: Recent[str, float] = Recent()
        self._newcomers = full_bucket(NEWCOMERS_RATE, NEWCOMERS_BURST)

    def note_step(self, mac: str, now: float) -> None:
        """Note that a machine went on: it took an offer, or runs a loader."""
        if mac in self._under_way or self._newcomers.take(now):
            self._under_way.note(mac, now)

    def knows(self, mac: str, now: float) -> bool:
        """Tell whether a machine is known."""
        if mac in self.registered:
            return True
        step = self._under_way.get(mac)
        return step is not None and now - step <= UNDER_WAY_SECONDS

    def keeps(self, mac: str) -> bool:
        """Tell whether what is remembered of a machine outlives what is of others."""
        return mac in self._under_way or mac in self.registered


class RateLimiter:
    """Packets that are looked at: of each machine, and of all known ones and all others."""

    def __init__(self) -> None:
        self._known = full_bucket(KNOWN_RATE, KNOWN_BURST)
        self._strangers = full_bucket(STRANGERS_RATE, STRANGERS_BURST)
        self._of_known: Recent[str, TokenBucket] = Recent()
        self._of_strangers: Recent[str, TokenBucket] = Recent()

    def admits_unread(self, now: float) -> bool:
        """Ask for a datagram that does not tell whose it is."""
        return self._strangers.take(now)

    def refusal(self, mac: str, now: float, *, known: bool) -> str | None:
        """Ask before a machine's packet is looked into; tells whose limit is reached, if one is."""
        machines = self._of_known if known else self._of_strangers
        bucket = machines.recall(mac)
        if bucket is None:
            bucket = TokenBucket(MACHINE_RATE, MACHINE_BURST, MACHINE_BURST, now)
            machines.note(mac, bucket)
        if not bucket.take(now):
            return "this machine"
        if not (self._known if known else self._strangers).take(now):
            return "all known machines together" if known else "all other machines together"
        return None


class EventBudget:
    """Events that are sent: a flood must not bury those of real machines, in memory or on disk."""

    def __init__(self) -> None:
        self._newcomers = full_bucket(NEWCOMERS_RATE, NEWCOMERS_BURST)
        self._told: Recent[str, bool] = Recent()
        """Strangers that were told of before."""
        self._of_strangers = full_bucket(STRANGERS_EVENTS_RATE, EVENTS_BURST)
        self._of_known = full_bucket(KNOWN_EVENTS_RATE, EVENTS_BURST)

    def admits(self, mac: str, now: float, *, known: bool) -> bool:
        """Ask before an event about a machine is made."""
        if known:
            return self._of_known.take(now)
        if self._told.recall(mac) is None:
            if not self._newcomers.take(now):
                return False
            self._told.note(mac, True)
        return self._of_strangers.take(now)


class LineBudget:
    """Log lines about offers: one each, until there are too many to read."""

    def __init__(self) -> None:
        self._lines = full_bucket(LINES_RATE, LINES_BURST)
        self._left_out = 0
        self._since = 0.0

    def admits(self, now: float) -> bool:
        """Ask before a line is written; what is not is counted."""
        if self._lines.take(now):
            return True
        if not self._left_out:
            self._since = now
        self._left_out += 1
        return False

    def left_out(self, now: float) -> int:
        """Count the lines that were not written, once a second; 0 when it is too early to tell."""
        if not self._left_out or now - self._since < SUMMARY_SECONDS:
            return 0
        count, self._left_out = self._left_out, 0
        return count
