"""Requests that wait to be served, by turns of their sources. Pure.

A machine that floods port 69, or asks from 50 000 ports, fills its own queue; the next machine's
request is served after at most one of every other source.
"""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

PER_SOURCE = 64
SOURCES = 1024


class Inbox(Generic[T]):
    """Queues of bounded length, one for each source."""

    def __init__(self, per_source: int = PER_SOURCE, sources: int = SOURCES) -> None:
        self._per_source = per_source
        self._sources = sources
        self._queues: dict[str, deque[T]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, source: str, request: T) -> bool:
        """Queue a request; False when its source has too many, or there are too many sources."""
        queue = self._queues.get(source)
        if queue is None:
            if len(self._queues) >= self._sources:
                return False
            queue = self._queues[source] = deque()
        if len(queue) >= self._per_source:
            return False
        queue.append(request)
        return True

    def take(self) -> T:
        """Take the oldest request of the source whose turn it is; raises StopIteration."""
        source = next(iter(self._queues))
        queue = self._queues.pop(source)
        request = queue.popleft()
        if queue:
            self._queues[source] = queue  # behind all others
        return request
