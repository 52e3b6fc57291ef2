"""What the catalog counts. Labels are enumerations, image ids and names that an operator gave."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bootyard.model.architecture import Firmware
from bootyard.model.events import (
    BootOutcome,
    FileClass,
    MachineState,
    Step,
    TransferOutcome,
)

HANDLERS = ("boot", "tree", "api", "events", "ui", "telemetry", "other")
CODES = (200, 204, 206, 304, 400, 401, 404, 405, 409, 412, 413, 416, 421, 422, 500, 503)
RATE_BUCKETS = tuple(2.0**power for power in range(17, 33))
"""128 KiB/s to 4 GiB/s."""
SECONDS_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300)
STEP_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 2, 4, 8, 15, 30, 60, 300)
MIN_RATED_BYTES = 64 * 1024
MAX_NAMED_MACHINES = 256


class HTTPMetrics:
    """Requests and file transfers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "bootyard_http_requests",
            "HTTP requests answered",
            ["handler", "code"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "bootyard_http_request_duration_seconds",
            "From a request's headers to the end of its answer",
            ["handler"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.transfers = Counter(
            "bootyard_http_transfers",
            "Files of the boot tree asked for, by how that ended",
            ["file_class", "outcome"],
            registry=registry,
        )
        self.sent_bytes = Counter(
            "bootyard_http_sent_bytes",
            "Bytes of files given to the network, while they are sent",
            ["file_class"],
            registry=registry,
        )
        self.rate = Histogram(
            "bootyard_http_transfer_rate_bytes_per_second",
            "Speed of complete transfers of 64 KiB and more",
            buckets=RATE_BUCKETS,
            registry=registry,
        )
        self.unproven = Counter(
            "bootyard_http_unproven_machines",
            "Boot scripts for a client that is not, or not provably, the machine it says it is",
            registry=registry,
        )
        for handler in HANDLERS:
            self.request_seconds.labels(handler)
            for code in CODES:
                self.requests.labels(handler, code)
        for file_class in FileClass:
            self.sent_bytes.labels(file_class)
            for outcome in TransferOutcome:
                self.transfers.labels(file_class, outcome)

    def transferred(
        self, file_class: FileClass, outcome: TransferOutcome, size: int, seconds: float
    ) -> None:
        """Count a transfer that has ended."""
        self.transfers.labels(file_class, outcome).inc()
        if outcome is TransferOutcome.COMPLETE and size >= MIN_RATED_BYTES:
            self.rate.observe(size / max(seconds, 1e-6))


class BootMetrics:
    """Boots and machines."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._boots = Counter(
            "bootyard_boots", "Boots by how they ended", ["firmware", "outcome"], registry=registry
        )
        self._image_boots = Counter(
            "bootyard_image_boots",
            "Boots of an image by how they ended",
            ["image", "outcome"],
            registry=registry,
        )
        self._step_seconds = Histogram(
            "bootyard_boot_step_duration_seconds",
            "From the step before to this one",
            ["step"],
            buckets=STEP_BUCKETS,
            registry=registry,
        )
        self._machines = Gauge(
            "bootyard_machines", "Machines by what they do", ["state"], registry=registry
        )
        self._machine_state = Gauge(
            "bootyard_machine_state",
            "1 for what a named machine does (256 machines at most)",
            ["machine", "state"],
            registry=registry,
        )
        self._named: dict[str, MachineState] = {}
        self._declared: set[str] = set()
        for firmware in Firmware:
            for outcome in BootOutcome:
                self._boots.labels(firmware, outcome)
        for step in Step:
            self._step_seconds.labels(step)
        for state in MachineState:
            self._machines.labels(state)

    def declare_images(self, images: Iterable[str]) -> None:
        """Make the children of images that can be booted exist."""
        for image in images:
            if image not in self._declared:
                self._declared.add(image)
                for outcome in BootOutcome:
                    self._image_boots.labels(image, outcome)

    def boot_counted(
        self, firmware: Firmware | None, image: str | None, outcome: BootOutcome
    ) -> None:
        """Count a boot, once."""
        self._boots.labels(firmware or Firmware.OTHER, outcome).inc()
        if image is not None:
            self._image_boots.labels(image, outcome).inc()

    def step_taken(self, step: Step, seconds: float) -> None:
        """Observe how long a machine took to come to a step."""
        self._step_seconds.labels(step).observe(seconds)

    def machines_are(
        self, counts: Mapping[MachineState, int], named: Mapping[str, MachineState]
    ) -> None:
        """Set what machines do now, in numbers and (for the first ones) by name."""
        for state in MachineState:
            self._machines.labels(state).set(counts.get(state, 0))
        told = dict(sorted(named.items())[:MAX_NAMED_MACHINES])
        for gone in self._named.keys() - told.keys():
            for state in MachineState:
                self._machine_state.remove(gone, state)
        for name, current in told.items():
            if self._named.get(name) is not current:
                for state in MachineState:
                    self._machine_state.labels(name, state).set(int(state is current))
        self._named = told


class LibraryMetrics:
    """What is stored."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._size = Gauge(
            "bootyard_image_size_bytes",
            "What an image takes on disk",
            ["image"],
            registry=registry,
        )
        self._free = Gauge(
            "bootyard_storage_free_bytes",
            "Free space where a volume lies",
            ["volume"],
            registry=registry,
        )
        self._known: set[str] = set()
        for volume in ("images", "state"):
            self._free.labels(volume)

    def images_are(self, sizes: Mapping[str, int]) -> None:
        """Set the sizes of all images there are."""
        for gone in self._known - sizes.keys():
            self._size.remove(gone)
        for image, size in sizes.items():
            self._size.labels(image).set(size)
        self._known = set(sizes)

    def free_space(self, volume: str, size: int) -> None:
        """Set the free space of a volume."""
        self._free.labels(volume).set(size)
