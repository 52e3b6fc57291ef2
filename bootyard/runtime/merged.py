"""Metrics of several processes in one registry: the sums of what each of them counted.

prometheus_client's own multiprocess mode keeps a dead process's gauges and its files (design §4
says what is wanted instead).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

GAUGE = "gauge"

Values = tuple[float, ...]
"""Of all samples of a registry, in the order in which it collects them."""


def read_values(registry: CollectorRegistry) -> Values:
    """Read what a process counted since it began; the set of its samples never changes."""
    return tuple(sample.value for family in registry.collect() for sample in family.samples)


class _State(NamedTuple):
    ended: Values
    running: Mapping[int, Values]


class MergedCollector(Collector):
    """Sums over processes, each with a registry like `template`, which itself counts nothing.

    A process that has ended stays in the counters and leaves the gauges. Numbers of processes are
    not used again. Reading is safe from other threads.
    """

    def __init__(self, template: CollectorRegistry) -> None:
        self._template = template
        families = list(template.collect())
        self._stays = tuple(family.type != GAUGE for family in families for _ in family.samples)
        self._state = _State((0.0,) * len(self._stays), {})

    def update(self, number: int, values: Sequence[float]) -> None:
        """Take what a running process has counted; raises ValueError when it is of another kind."""
        if len(values) != len(self._stays):
            raise ValueError(f"{len(values)} values, not {len(self._stays)}")
        ended, running = self._state
        self._state = _State(ended, {**running, number: tuple(values)})

    def end(self, number: int) -> None:
        """Let go of a process."""
        ended, running = self._state
        last = running.get(number)
        if last is None:
            return
        left = {other: values for other, values in running.items() if other != number}
        kept = (
            total + value if stays else total
            for total, value, stays in zip(ended, last, self._stays, strict=True)
        )
        self._state = _State(tuple(kept), left)

    def collect(self) -> Iterable[Metric]:
        """Give the families with the sums."""
        ended, running = self._state
        sums = map(sum, zip(ended, *running.values(), strict=True))
        for family in self._template.collect():
            family.samples = [sample._replace(value=next(sums)) for sample in family.samples]
            yield family

    def describe(self) -> Iterable[Metric]:
        """Give the families' names."""
        return self._template.collect()
