"""What every machine is doing now, for the API and the metrics."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import msgspec

from bootyard.model.document import decode
from bootyard.model.events import MachineState
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Snapshot
from bootyard.runtime.snapshots import SnapshotHolder
from services.catalog.boots.boot import Boot
from services.catalog.boots.outcome import machine_state
from services.catalog.boots.timeline import Timeline
from services.catalog.metrics import BootMetrics

REFRESH_SECONDS = 1.0


class MachineStates:
    """Machines that are registered, and those that were seen to boot."""

    def __init__(self, snapshots: SnapshotHolder, timeline: Timeline, metrics: BootMetrics) -> None:
        self._snapshots = snapshots
        self._timeline = timeline
        self._metrics = metrics
        self._names: Mapping[MACAddress, str] = {}
        self._changed = asyncio.Event()
        self._named_in: Snapshot | None = None
        snapshots.on_adopt(self._adopt)

    def state(self, mac: MACAddress) -> MachineState:
        """Name what a machine is doing."""
        return machine_state(self._timeline.latest(mac), self._snapshots.snapshot.targets)

    def boot_changed(self, _: Boot) -> None:
        """Bring the metrics up to date soon."""
        self._changed.set()

    async def keep(self) -> None:
        """Keep the metrics up to date until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            # Off the loop: there may be thousands of machines.
            await asyncio.to_thread(self._read_names)
            self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    def refresh(self) -> None:
        """Bring the metrics up to date."""
        self._read_names()
        seen = {mac: self.state(mac) for mac in self._timeline.machines()}
        counts = Counter(seen.values())
        registered = self._snapshots.snapshot.machines.keys()
        counts[MachineState.IDLE] += len(registered - seen.keys())
        named = {name: seen.get(mac, MachineState.IDLE) for mac, name in self._names.items()}
        self._metrics.machines_are(counts, named)

    def _adopt(self, snapshot: Snapshot) -> None:
        self._metrics.declare_images(snapshot.images)
        self._changed.set()

    def _read_names(self) -> None:
        """Read who is called how, when that may have changed."""
        snapshot = self._snapshots.snapshot
        if snapshot is not self._named_in:
            self._names, self._named_in = names_of(snapshot), snapshot


def names_of(snapshot: Snapshot) -> dict[MACAddress, str]:
    """Name the registered machines that have a name."""
    named = ((mac, decode(raw, _Named).name) for mac, raw in snapshot.machines.items())
    return {MACAddress(mac): name for mac, name in named if name}


class _Named(msgspec.Struct, frozen=True):
    """What the metrics say of a machine."""

    name: str | None = None
