"""A wire with a TFTP load generator at one end and a server at the other.

server s0 198.18.0.1/16 ──── c0 198.18.0.2 machines (their own addresses: 198.18.64.0/22)

The servers are Bootyard's tftp as it is (every check, metrics, events to a real Valkey, logs to a
file) and its peers, which serve the same files under the same names. One runs at a time. Everything
is in network namespaces and ends with the process that made it; needs root.
"""

import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from bench.process import SYSTEM_PATH, Group, Process, start_valkey
from bench.tftp_loads import Load, Order, Outcome, read_transfers
from bench.tftp_peers import Peer
from bootyard.model.snapshot import BootTarget, Image, Root, Slice, Snapshot, TargetKind
from tests.namespaces import End, Namespaces, entering, ip, lay_wire, run

REPOSITORY = Path(__file__).parents[1]
SERVER = "198.18.0.1"
GENERATOR = "198.18.0.2"
FIRST_MACHINE = "198.18.64.0"
BEHIND_ONE_NEIGHBOUR = ("198.18.65.0/24", "198.18.66.0/23")
"""Machines from the 257th on: the kernel's neighbour table has room for a few hundred."""

BLOCK = 1468
ONE_CPU = 0
"""Where one machine loads, server and generator take turns on it: waking another processor takes
longer than answering does, and as long as the host of a virtual machine likes."""
DESCRIPTORS = 8192
READY_SECONDS = 20.0
SETTLED_SECONDS = 0.2

LOADER = "loaders/uefi-x64/snponly.efi"
FILES = {
    LOADER: 64 << 10,
    "images/bench/kernel": 8 << 20,
    "images/bench/initrd": 1 << 20,
    "images/bench/half": 512 << 10,
}
"""Names on the server, and their sizes."""


class Lab:
    """The wire, and what runs at its ends."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tree = directory / "tree"
        self._generator = directory / "tftp_load"
        self._log = directory / "log"
        self._namespaces = Namespaces()
        self._redis: subprocess.Popen[bytes] | None = None
        self._redis_url = ""
        self._server: Process | None = None
        self._group: Group | None = None
        self._pinned = False
        self._host = self._client = ""

    def __enter__(self) -> Self:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        source = Path(__file__).with_name("tftp_load.c")
        compiler = ("gcc", "-O2", "-Wall", "-o", str(self._generator), str(source))
        subprocess.run(compiler, check=True, timeout=60)
        random = Random(1)
        for name, size in FILES.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.randbytes(size))
        try:
            self._lay_wire()
            self._redis, self._redis_url = start_valkey(self.directory)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        self.stop()
        if self._redis is not None:
            self._redis.kill()
            self._redis.wait()
        self._namespaces.close()

    def _lay_wire(self) -> None:
        self._host = self._namespaces.add("host")
        self._client = self._namespaces.add("client")
        lay_wire(
            End(self._host, "s0", (f"{SERVER}/16",)),
            End(self._client, "c0", (f"{GENERATOR}/16",)),
        )
        ip("-n", self._client, "route", "add", "local", f"{FIRST_MACHINE}/22", "dev", "lo")
        for network in BEHIND_ONE_NEIGHBOUR:
            ip("-n", self._host, "route", "add", network, "via", GENERATOR)

    @contextmanager
    def bootyard(self, *, pinned: bool) -> Iterator[None]:
        """Run `python -m services.tftp` with a snapshot that it held before."""
        state = self.directory / "state"
        shutil.rmtree(state, ignore_errors=True)
        (state / "tftp").mkdir(parents=True)
        (state / "tftp" / "snapshot.json").write_bytes(_snapshot().to_json())
        environment = {
            "PATH": SYSTEM_PATH,
            "BOOTYARD_STATE_DIR": str(state),
            "BOOTYARD_IMAGES_DIR": str(self.tree / "images"),
            "BOOTYARD_LOADERS_DIR": str(self.tree / "loaders"),
            "BOOTYARD_INTERFACES": "s0",
            "BOOTYARD_REDIS_URL": self._redis_url,
            "BOOTYARD_LOG_FORMAT": "json",
        }
        with self._running(environment, (sys.executable, "-m", "services.tftp"), pinned=pinned):
            yield

    @contextmanager
    def peer(self, peer: Peer, *, pinned: bool) -> Iterator[None]:
        """Run another server."""
        environment = {"PATH": SYSTEM_PATH, "LD_LIBRARY_PATH": peer.library_path}
        command = peer.command(self.tree, SERVER, self.directory / f"{peer.name}.log")
        with self._running(environment, command, pinned=pinned):
            yield

    @contextmanager
    def _running(
        self, environment: dict[str, str], command: tuple[str, ...], *, pinned: bool
    ) -> Iterator[None]:
        self._group = Group()
        self._pinned = pinned
        pin = ("taskset", "-c", str(ONE_CPU)) if pinned else ()
        with self._log.open("wb") as output:
            popen = subprocess.Popen(
                entering(self._host, *self._group.joining(*pin, *command)),
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._server = Process(popen)
        try:
            self._wait()
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._group is not None:
            self._group.remove()
            self._group = None

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        asking = Order(name=LOADER, transfers=1, seconds=0.3)
        while time.monotonic() < deadline:
            if self._generate(asking).count(Outcome.COMPLETE):
                time.sleep(SETTLED_SECONDS)
                return
            time.sleep(0.05)
        said = self._log.read_text(errors="replace").splitlines()[-20:]
        raise SystemExit("\n".join(("the server does not answer; it said:", *said)))

    def load(self, order: Order) -> Load:
        """Let the machines load, and measure the server."""
        with self._losing(order.loss):
            return self._generate(order)

    @contextmanager
    def _losing(self, probability: float) -> Iterator[None]:
        """Lose datagrams in each direction."""
        if not probability:
            yield
            return
        rule = ("-p", "udp", "-m", "statistic", "--mode", "random")
        for end in (self._host, self._client):
            chance = ("--probability", str(probability), "-j", "DROP")
            run(end, "iptables", "-w", "-A", "INPUT", *rule, *chance)
        # A segmented send (UDP_SEGMENT) would cross this wire, and be lost, as one packet.
        ip("-n", self._host, "link", "set", "dev", "s0", "gso_max_segs", "1")
        try:
            yield
        finally:
            ip("-n", self._host, "link", "set", "dev", "s0", "gso_max_segs", "65535")
            for end in (self._host, self._client):
                run(end, "iptables", "-w", "-F", "INPUT")

    def _generate(self, order: Order) -> Load:
        assert self._group is not None
        assert self._server is not None
        results = self.directory / "results"
        pin = ("taskset", "-c", str(ONE_CPU)) if self._pinned else ()
        command = (
            *(str(self._generator), SERVER, FIRST_MACHINE, order.name),
            *(str(self.tree / order.name), str(order.clients), str(order.transfers), str(BLOCK)),
            *(str(order.window), str(order.seconds), str(order.spread), str(results)),
        )
        cpu, peak = self._group.cpu_seconds(), self._group.memory_mb()
        generator = subprocess.Popen(
            entering(self._client, *pin, *command), stdout=subprocess.PIPE, text=True
        )
        try:
            deadline = time.monotonic() + order.seconds + 20
            pause = 0.25
            while time.monotonic() < deadline:
                try:
                    generator.wait(pause)
                    break
                except subprocess.TimeoutExpired:
                    began = time.monotonic()
                    peak = max(peak, self._group.memory_mb())
                    # Looking at a thousand processes takes long enough to disturb them.
                    pause = max(0.25, 20 * (time.monotonic() - began))
        finally:
            generator.kill()
        said, _ = generator.communicate()
        if generator.returncode != 0:
            raise SystemExit(f"the load generator ended with {generator.returncode}: {said}")
        cpu = self._group.cpu_seconds() - cpu
        peak = max(peak, self._group.memory_mb())
        seconds, size, again, repeated, generator_cpu = said.split()
        return Load(
            seconds=float(seconds),
            bytes=int(size),
            again=int(again),
            repeated=int(repeated),
            generator_cpu=float(generator_cpu),
            server_cpu=cpu,
            peak_mb=peak,
            died=self._server.has_ended(),
            transfers=read_transfers(results),
        )


def _snapshot() -> Snapshot:
    slices = {
        name: Slice(root=root, path=name.partition("/")[2], extents=((0, size),))
        for name, size in FILES.items()
        for root in (Root.IMAGES if name.startswith("images/") else Root.LOADERS,)
    }
    image = Image(
        id="bench",
        revision=1,
        title="Bench",
        architectures=(),
        files={
            name.rpartition("/")[2]: found
            for name, found in slices.items()
            if found.root is Root.IMAGES
        },
    )
    target = BootTarget(
        id="bench", image="bench", title="Bench", kind=TargetKind.LIVE, kernel="kernel"
    )
    return Snapshot(
        epoch="bench",
        number=1,
        http_port=8080,
        loaders={found.path: found for found in slices.values() if found.root is Root.LOADERS},
        images={"bench": image},
        targets={"bench": target},
    )
