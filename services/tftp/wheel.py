"""A coarse timer wheel: thousands of timers that mostly move before they fire. Pure."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Wheel(Generic[T]):
    """Items by the tick of `seconds` in which they are due: up to one tick late, never early."""

    def __init__(self, seconds: float, now: float) -> None:
        self._seconds = seconds
        self._slots: dict[int, list[T]] = {}
        self._turned = self._tick(now)

    def __bool__(self) -> bool:
        return bool(self._slots)

    def add(self, item: T, due: float) -> None:
        """Put an item where it comes up once; one that moves is put again."""
        tick = max(self._tick(due) + 1, self._turned + 1)
        self._slots.setdefault(tick, []).append(item)

    def turn(self, now: float) -> list[T]:
        """Take what has come up since the last turn, the oldest first."""
        tick = self._tick(now)
        self._turned = max(self._turned, tick)
        due = sorted(slot for slot in self._slots if slot <= tick)
        return [item for slot in due for item in self._slots.pop(slot)]

    def _tick(self, now: float) -> int:
        return int(now / self._seconds)
