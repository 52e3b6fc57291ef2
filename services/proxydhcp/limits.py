"""How many packets are looked at: token buckets, for everybody together and for each machine.

A datagram over the limit is dropped, never delayed: the machine asks again by itself.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from bootyard.model.mac import MACAddress

K = TypeVar("K")
V = TypeVar("V")

REMEMBERED = 4096
"""Machines that are kept in mind; the one not heard for the longest time goes first."""

TOTAL_RATE, TOTAL_BURST = 500.0, 500.0
MACHINE_RATE, MACHINE_BURST = 4.0, 10.0


class Recent(OrderedDict[K, V], Generic[K, V]):
    """A mapping that forgets what was not set or asked for lately."""

    def __init__(self, size: int = REMEMBERED) -> None:
        super().__init__()
        self._size = size

    def note(self, key: K, value: V) -> None:
        """Set a value as the most recent one."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._size:
            self.popitem(last=False)

    def recall(self, key: K) -> V | None:
        """Get a value, which makes it the most recent one."""
        if key not in self:
            return None
        self.move_to_end(key)
        return self[key]


@dataclass(slots=True)
class TokenBucket:
    """`rate` tokens a second, at most `burst` at once."""

    rate: float
    burst: float
    tokens: float
    at: float

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class RateLimiter:
    """The two limits of the service."""

    def __init__(self) -> None:
        self._total = TokenBucket(TOTAL_RATE, TOTAL_BURST, TOTAL_BURST, 0.0)
        self._machines: Recent[MACAddress, TokenBucket] = Recent()

    def admits(self, now: float) -> bool:
        """Ask before a datagram is read."""
        return self._total.take(now)

    def admits_machine(self, mac: MACAddress, now: float) -> bool:
        """Ask before a machine's packet is looked into."""
        bucket = self._machines.recall(mac)
        if bucket is None:
            bucket = TokenBucket(MACHINE_RATE, MACHINE_BURST, MACHINE_BURST, now)
            self._machines.note(mac, bucket)
        return bucket.take(now)
