"""When to send again: a timer from measured round trips (RFC 6298, Karn's rule). Pure arithmetic.

Peers wait one or two fixed seconds, and one lost packet in a hundred makes them ten times slower.
A repeat that comes too early costs a datagram and is answered by a duplicate ACK, which is ignored.
"""

FIRST_INTERVAL = 0.25
"""Before a round trip was measured: slow ROMs answer the first OACK after a few hundred ms, and its
repeats with the same ACK again."""

UNKNOWN_ROUND_TRIP = 0.02
"""Assumed where it matters before one was measured."""

MIN_INTERVAL = 0.02
MAX_INTERVAL = 2.0


class RetransmissionTimer:
    """The interval after which what is not acknowledged is sent again.

    `shortest` is a setting: no measured round trip makes the first interval shorter.
    """

    def __init__(self, longest: float = MAX_INTERVAL, shortest: float | None = None) -> None:
        self._shortest = MIN_INTERVAL if shortest is None else shortest
        self._longest = max(min(longest, MAX_INTERVAL), self._shortest)
        self._variation = 0.0
        self._samples = 0
        self.round_trip = 0.0
        """Smoothed; 0 before the first sample."""
        self.interval = self._first = FIRST_INTERVAL if shortest is None else shortest

    def measured(self, seconds: float) -> None:
        """Take a round trip of datagrams that were sent only once."""
        self._samples += 1
        if self._samples == 1 or (self._samples == 2 and seconds < self.round_trip):
            # Slow ROMs think about an OACK, not about a block.
            self.round_trip, self._variation = seconds, seconds / 2
        else:
            self._variation += (abs(self.round_trip - seconds) - self._variation) / 4
            self.round_trip += (seconds - self.round_trip) / 8
        self.interval = self._usual_interval()

    def expired(self) -> None:
        """Wait twice as long, until a round trip is measured again."""
        self.interval = min(self.interval * 2, self._longest)

    def answered(self, seconds: float) -> None:
        """Take the time between a repeat and the ACK behind it, which may answer either sending.

        Karn's rule keeps the longer interval, as the round trip may have grown. When the answer
        takes as long as ever after the repeat, it did not grow: the first datagram was lost. Where
        none was ever measured, as no window arrives whole, a short one is as good.
        """
        usual = self.round_trip or UNKNOWN_ROUND_TRIP
        if self.round_trip / 2 <= seconds <= 2 * usual + 0.002:
            self.interval = self._usual_interval()

    def _usual_interval(self) -> float:
        if not self.round_trip:
            return self._first
        slack = max(4 * self._variation, self.round_trip)
        return min(max(self.round_trip + slack, self._shortest), self._longest)
