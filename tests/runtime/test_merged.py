"""Sums over processes that come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bootyard.runtime.merged import MergedCollector, read_values
from bootyard.runtime.telemetry import make_registry


class Process:
    """Counts as a worker does."""

    def __init__(self) -> None:
        self.registry = make_registry()
        self.served = Counter("served", "Served", ["kind"], registry=self.registry)
        self.running = Gauge("running", "Running", registry=self.registry)
        self.seconds = Histogram("seconds", "Seconds", buckets=(1, 2), registry=self.registry)
        for kind in "ab":
            self.served.labels(kind)


acts = st.lists(st.tuples(st.sampled_from("abgtude"), st.integers(0, 3)), max_size=60)


@given(acts)
def test_counters_stay_and_gauges_leave(steps: list[tuple[str, int]]) -> None:
    merged = MergedCollector(Process().registry)
    whole = CollectorRegistry()
    whole.register(merged)
    living = {place: (number, Process()) for place, number in enumerate(range(4))}
    told = {"a": 0.0, "b": 0.0, "t": 0.0}
    mine: dict[int, dict[str, float]] = {place: {} for place in living}
    numbers = 4
    before = dict.fromkeys(told, 0.0)
    for act, place in steps:
        number, process = living[place]
        match act:
            case "a" | "b":
                process.served.labels(act).inc()
            case "g":
                process.running.inc()
            case "t":
                process.seconds.observe(1.5)
            case "u":
                merged.update(number, read_values(process.registry))
                mine[place] = {
                    "a": process.registry.get_sample_value("served_total", {"kind": "a"}) or 0,
                    "b": process.registry.get_sample_value("served_total", {"kind": "b"}) or 0,
                    "t": process.registry.get_sample_value("seconds_count") or 0,
                    "g": process.registry.get_sample_value("running") or 0,
                }
            case _:
                merged.end(number)
                for name in told:
                    told[name] += mine[place].get(name, 0)
                mine[place] = {}
                living[place] = (numbers, Process())
                numbers += 1
        shown = {
            "a": whole.get_sample_value("served_total", {"kind": "a"}),
            "b": whole.get_sample_value("served_total", {"kind": "b"}),
            "t": whole.get_sample_value("seconds_count"),
        }
        for name, value in shown.items():
            assert value == told[name] + sum(counts.get(name, 0) for counts in mine.values())
            assert value >= before[name]
            before[name] = value
        bucket = whole.get_sample_value("seconds_bucket", {"le": "2.0"})
        assert bucket == shown["t"]
        assert whole.get_sample_value("running") == sum(c.get("g", 0) for c in mine.values())


def test_what_is_exposed_is_what_one_process_would_expose() -> None:
    process = Process()
    process.served.labels("a").inc(3)
    process.seconds.observe(0.5)
    merged, whole = MergedCollector(Process().registry), CollectorRegistry()
    whole.register(merged)
    merged.update(1, read_values(process.registry))
    assert generate_latest(whole) == generate_latest(process.registry)


def test_values_of_another_kind_of_process_are_refused() -> None:
    merged = MergedCollector(Process().registry)
    with pytest.raises(ValueError, match="2 values"):
        merged.update(1, (1.0, 2.0))
