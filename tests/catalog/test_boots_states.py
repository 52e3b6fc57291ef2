"""What machines do now, as metrics."""

from prometheus_client import CollectorRegistry, generate_latest

from bootyard.boot.tree import BootTree
from bootyard.model.document import encode
from bootyard.model.events import BootOutcome, FileClass, MachineState, Step
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Image, Machine, Snapshot
from bootyard.runtime.snapshots import SnapshotHolder
from services.catalog.boots.states import MachineStates
from services.catalog.boots.timeline import Timeline
from services.catalog.metrics import MAX_NAMED_MACHINES, BootMetrics, HTTPMetrics
from tests.catalog.test_boots_timeline import MAC, OTHER, TARGETS, event


def snapshot(*machines: Machine, number: int = 1) -> Snapshot:
    image = Image(id="debian-12", revision=1, title="Debian", architectures=(), files={})
    return Snapshot(
        epoch="test",
        number=number,
        http_port=8080,
        loaders={},
        images={"debian-12": image},
        targets=TARGETS,
        machines={str.__str__(m.mac): encode(m) for m in machines},  # type: ignore[misc] # raw JSON
    )


class Watched:
    def __init__(self, *machines: Machine) -> None:
        self.registry = CollectorRegistry()
        self.timeline = Timeline()
        self.holder = SnapshotHolder(snapshot(*machines))
        self.states = MachineStates(self.holder, self.timeline, BootMetrics(self.registry))

    def machines(self) -> dict[str, float]:
        self.states.refresh()
        return {
            state.value: self.registry.get_sample_value("bootyard_machines", {"state": state.value})
            or 0.0
            for state in MachineState
        }

    def named(self, name: str) -> list[str]:
        labels = [(s.value, {"machine": name, "state": s.value}) for s in MachineState]
        return [
            state
            for state, label in labels
            if self.registry.get_sample_value("bootyard_machine_state", label) == 1
        ]


async def test_registered_machines_and_those_that_only_booted() -> None:
    watched = Watched(Machine(mac=MAC, name="nuc-3"))
    assert watched.machines() == {"idle": 1, "booting": 0, "installing": 0, "failed": 0}
    watched.timeline.observe(event("discovered", 1), 10_000, TARGETS)
    watched.timeline.observe(event("loader", 1, mac=OTHER), 10_000, TARGETS)
    assert watched.machines() == {"idle": 0, "booting": 2, "installing": 0, "failed": 0}
    assert watched.named("nuc-3") == ["booting"]
    watched.timeline.sweep(10_000, TARGETS)
    assert watched.machines() == {"idle": 1, "booting": 0, "installing": 0, "failed": 1}


async def test_a_machine_that_is_renamed_leaves_no_old_name() -> None:
    watched = Watched(Machine(mac=MAC, name="old"))
    watched.machines()
    assert watched.named("old") == ["idle"]
    watched.holder.adopt(BootTree(snapshot(Machine(mac=MAC, name="new"), number=2)))
    watched.machines()
    assert watched.named("old") == []
    assert watched.named("new") == ["idle"]


async def test_names_have_a_limit() -> None:
    many = [
        Machine(mac=MACAddress.from_bytes(bytes([2, 0, 0, 0, n >> 8, n & 255])), name=f"m{n}")
        for n in range(MAX_NAMED_MACHINES + 10)
    ]
    watched = Watched(*many)
    assert watched.machines()["idle"] == len(many)
    exposed = generate_latest(watched.registry).decode()
    assert exposed.count("bootyard_machine_state{") == MAX_NAMED_MACHINES * len(MachineState)


async def test_every_child_of_an_enumeration_exists_from_the_start() -> None:
    watched = Watched()
    HTTPMetrics(watched.registry)
    exposed = generate_latest(watched.registry).decode()
    assert exposed.count("bootyard_boots_total{") == 15 * len(BootOutcome)
    assert exposed.count("bootyard_image_boots_total{") == len(BootOutcome)
    assert exposed.count("bootyard_boot_step_duration_seconds_count{") == len(Step)
    assert exposed.count("bootyard_http_sent_bytes_total{") == len(FileClass)
    assert exposed.count("bootyard_http_transfers_total{") == len(FileClass) * 8
