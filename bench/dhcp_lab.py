"""A wire with a DHCP load generator at one end and a proxyDHCP server at the other.

host s0 10.79.0.1/16 ──── c0 10.79.0.50 machines (their own addresses: 10.79.64.0/18)

The servers are Bootyard's proxydhcp as it is (decoding, decisions, metrics, events to a real
Valkey, logs) and dnsmasq in proxy mode, offering the same file. Everything is in network
namespaces and ends with the process that made it; needs root.
"""

import shutil
import socket
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from bench.process import SYSTEM_PATH, Process, start_valkey
from bootyard.model.document import encode
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Machine, Root, Slice, Snapshot
from tests.namespaces import End, Namespaces, entering, inside, ip, lay_wire

REPOSITORY = Path(__file__).parents[1]
SERVER = "10.79.0.1"
MACHINES = "10.79.0.50"
LEASES = IPv4Address("10.79.64.0")
BOOT_FILE = "loaders/uefi-x64/snponly.efi"
METRICS_PORT = 9167

FIRST = ("nice", "-n", "-15")
"""Both servers and the generator go before what else the machine does."""

NONE, WRONG = -1.0, -2.0
_REQUEST = struct.Struct("=d4s6sB5x")


class Kind(IntEnum):
    """What a machine sends."""

    DISCOVER = 1
    REQUEST = 3
    """To its DHCP server, by broadcast: no answer is expected."""
    REQUEST_4011 = 4


@dataclass(frozen=True, slots=True)
class Request:
    """One packet of a schedule; `at` is in seconds after the start."""

    at: float
    machine: int
    kind: Kind = Kind.DISCOVER

    def packed(self) -> bytes:
        address = int(LEASES) + self.machine % 16000
        return _REQUEST.pack(self.at, address.to_bytes(4), mac(self.machine).octets, self.kind)


def mac(machine: int) -> MACAddress:
    """The hardware address of a machine."""
    return MACAddress.from_bytes(b"\x52\x54" + machine.to_bytes(4))


@dataclass
class Answers:
    """How the requests of a schedule were answered, in the order of the schedule."""

    seconds: list[float]
    late: float
    """How far the generator fell behind its schedule, in seconds."""
    sent: int = field(init=False)
    answered: int = field(init=False)
    wrong: int = field(init=False)

    def __post_init__(self) -> None:
        self.sent = len(self.seconds)
        self.answered = sum(s >= 0 for s in self.seconds)
        self.wrong = sum(s == WRONG for s in self.seconds)

    @property
    def lost(self) -> int:
        """Requests that were not answered rightly."""
        return self.sent - self.answered

    def percentile(self, percent: float) -> float:
        """Milliseconds; what was not answered counts as infinitely late."""
        times = sorted(s * 1000 if s >= 0 else float("inf") for s in self.seconds)
        return times[min(len(times) - 1, int(len(times) * percent / 100))]


class Lab:
    """The wire, and what runs at its ends."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._generator = directory / "dhcp_load"
        self._log = directory / "log"
        self._namespaces = Namespaces()
        self._redis: subprocess.Popen[bytes] | None = None
        self._server: Process | None = None
        self.host = ""
        self._client = ""

    def __enter__(self) -> Self:
        source = Path(__file__).with_name("dhcp_load.c")
        compiler = ("gcc", "-O2", "-Wall", "-o", str(self._generator), str(source), "-lpthread")
        subprocess.run(compiler, check=True, timeout=60)
        try:
            self._lay_wire()
        except BaseException:
            self._namespaces.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._namespaces.close()

    def _lay_wire(self) -> None:
        self.host = self._namespaces.add("host")
        self._client = self._namespaces.add("client")
        lay_wire(
            End(self.host, "s0", (f"{SERVER}/16",)),
            End(self._client, "c0", (f"{MACHINES}/16",)),
        )
        # Each machine has an address, and one neighbour entry stands for all of them.
        leases = f"{LEASES}/18"
        ip("-n", self._client, "route", "add", "local", leases, "dev", "lo")
        ip("-n", self.host, "route", "add", leases, "via", MACHINES)

    def start_bootyard(self, known: range) -> Process:
        """Start proxydhcp with Valkey; the machines of `known` are registered."""
        state = self.directory / "bootyard"
        shutil.rmtree(state, ignore_errors=True)
        (state / "proxydhcp").mkdir(parents=True)
        (state / "proxydhcp" / "snapshot.json").write_bytes(_snapshot(known).to_json())
        self._redis, redis_url = start_valkey(state)
        environment = {
            "PATH": SYSTEM_PATH,
            "BOOTYARD_STATE_DIR": str(state),
            "BOOTYARD_LOADERS_DIR": str(state),
            "BOOTYARD_REDIS_URL": redis_url,
        }
        command = (sys.executable, "-m", "services.proxydhcp")
        server = self._start("bootyard.log", environment, *command)
        self._wait(lambda: b'"redis": true' in self.fetch("/readyz"))
        return server

    def start_dnsmasq(self) -> Process:
        """Start dnsmasq in proxy mode, offering the same file; it does not log.

        With a `pxe-service` for UEFI its OFFER would leave the file to port 4011.
        """
        service = "x86PC,Bootyard,loaders/bios/undionly"
        server = self._start(
            "dnsmasq.log",
            {"PATH": SYSTEM_PATH},
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"),
            *("--user=root", "--pid-file", "--quiet-dhcp", "--interface=s0"),
            *(f"--dhcp-range={SERVER},proxy", f"--pxe-service={service}"),
            f"--dhcp-boot={BOOT_FILE},,{SERVER}",
        )
        self._wait(lambda: self.load([Request(0.0, 1)], settle=0.2).answered == 1)
        return server

    def stop(self) -> None:
        """End what was started."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._redis is not None:
            self._redis.kill()
            self._redis.wait()
            self._redis = None

    def load(self, schedule: list[Request], settle: float = 0.5) -> Answers:
        """Send a schedule and wait `settle` seconds for the last answers."""
        sent, results = self.directory / "schedule", self.directory / "results"
        sent.write_bytes(b"".join(request.packed() for request in schedule))
        arguments = ("c0", SERVER, BOOT_FILE, str(sent), str(results), str(settle))
        done = subprocess.run(
            entering(self._client, *FIRST, str(self._generator), *arguments),
            check=True,
            timeout=schedule[-1].at + settle + 20,
            stdout=subprocess.PIPE,
            text=True,
        )
        seconds = array("d")
        seconds.frombytes(results.read_bytes())
        return Answers(list(seconds), float(done.stdout))

    def fetch(self, path: str) -> bytes:
        """Fetch from the service's metrics port."""

        def connect() -> socket.socket:
            return socket.create_connection(("127.0.0.1", METRICS_PORT), 2)

        with inside(self.host, connect) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))

    def metric(self, sample: str) -> float:
        """Read one sample of the service."""
        lines = self.fetch("/metrics").decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{sample} "))

    def _start(self, log: str, environment: dict[str, str], *command: str) -> Process:
        self._log = self.directory / log
        with self._log.open("wb") as output:
            popen = subprocess.Popen(
                entering(self.host, *FIRST, *command),
                cwd=REPOSITORY,
                env=environment,
                stdout=output,
                stderr=output,
            )
        self._server = Process(popen)
        return self._server

    def _wait(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except OSError:
                pass
            time.sleep(0.1)
        said = self._log.read_text().splitlines()[-20:]
        raise SystemExit("\n".join(("the server does not answer; it said:", *said)))


def _snapshot(known: range) -> Snapshot:
    names = ("uefi-x64/snponly.efi", "uefi-x64/ipxe.efi", "bios/undionly.kpxe")
    machines = [Machine(mac=mac(number), name=f"machine-{number}") for number in known]
    return Snapshot(
        epoch="bench",
        number=1,
        http_port=8080,
        loaders={n: Slice(root=Root.LOADERS, path=n, extents=((0, 1),)) for n in names},
        machines={str(machine.mac): msgspec.Raw(encode(machine)) for machine in machines},
    )
