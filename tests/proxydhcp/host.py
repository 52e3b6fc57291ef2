"""A host and machines on wires of their own, in network namespaces; needs root.

host s0 10.77.0.1 ──── c0 (10.77.0.50) machine0
host s1 10.78.0.1 ──── c1 (10.78.0.50) machine1
"""

import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from services.proxydhcp.packet import DHCPPacket
from tests.namespaces import End, Namespaces, entering, inside, lay_wire

REPOSITORY = Path(__file__).parents[2]
BROADCAST = "255.255.255.255"
READY_SECONDS = 20.0


class Machine:
    """A machine at the end of a wire."""

    def __init__(self, namespace: str, device: str, address: IPv4Address) -> None:
        self.namespace = namespace
        self.device = device
        self.address = address
        self._sockets: list[socket.socket] = []

    def socket(self, port: int, bound_to: str = "0.0.0.0") -> socket.socket:
        """Open a UDP socket on the wire."""

        def make() -> socket.socket:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.device.encode())
            opened.bind((bound_to, port))
            opened.settimeout(2)
            return opened

        opened = inside(self.namespace, make)
        self._sockets.append(opened)
        return opened

    def close(self) -> None:
        """Close its sockets."""
        for opened in self._sockets:
            opened.close()


class Host:
    """The host that runs the service, with a wire to each of its machines."""

    def __init__(self, state: Path, wires: int = 2) -> None:
        self._state = state
        self._namespaces = Namespaces()
        self.name = self._namespaces.add("host")
        self.machines: list[Machine] = []
        self._service: subprocess.Popen[bytes] | None = None
        self.log = state / "service.log"
        for number in range(wires):
            self.add_wire(number)
        for loader in ("uefi-x64/snponly.efi", "bios/undionly.kpxe"):
            path = state / "loaders" / loader
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"a loader")

    def add_wire(self, number: int) -> Machine:
        """Plug in one more machine."""
        network = f"10.{77 + number}.0"
        far = self._namespaces.add(f"machine{number}")
        machine = Machine(far, f"c{number}", IPv4Address(f"{network}.50"))
        lay_wire(
            End(self.name, f"s{number}", (f"{network}.1/24",)),
            End(far, machine.device, (f"{machine.address}/24",)),
        )
        self.machines.append(machine)
        return machine

    def start(self, *through: str, ready: bool = True, **settings: str) -> None:
        """Start the service, by a command that runs it, and wait until it serves."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "BOOTYARD_STATE_DIR": str(self._state),
            "BOOTYARD_LOADERS_DIR": str(self._state / "loaders"),
            "BOOTYARD_LOG_LEVEL": "debug",
            **settings,
        }
        with self.log.open("wb") as log:
            self._service = subprocess.Popen(
                entering(self.name, *through, sys.executable, "-m", "services.proxydhcp"),
                cwd=REPOSITORY,
                env=environment,
                stderr=log,
                stdout=log,
            )
        self.wait_for(lambda: self.get("/readyz")[0] in ({200} if ready else {200, 503}))

    def stop(self) -> int:
        """Stop the service as systemd and Docker do."""
        assert self._service is not None
        self._service.send_signal(signal.SIGTERM)
        code = self._service.wait(10)
        self._service = None
        return code

    def close(self) -> None:
        """Remove everything."""
        if self._service is not None:
            self._service.kill()
            self._service.wait(10)
        for machine in self.machines:
            machine.close()
        self._namespaces.close()

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except (OSError, http.client.HTTPException):
                pass
            if self._service is not None and self._service.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"waited in vain; the service said:\n{self.log.read_text()}")

    def get(self, path: str) -> tuple[int, str]:
        """Fetch from the metrics port."""

        def connect() -> socket.socket:
            return socket.create_connection(("127.0.0.1", 9167), 2)

        with inside(self.name, connect) as connection:
            client = http.client.HTTPConnection("127.0.0.1")
            client.sock = connection
            client.request("GET", path)
            response = client.getresponse()
            return response.status, response.read().decode()

    def metric(self, sample: str) -> float:
        """Read one sample."""
        lines = self.get("/metrics")[1].splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{sample} "))


def receive(from_socket: socket.socket) -> tuple[DHCPPacket, tuple[str, int]]:
    """Wait for a packet and tell where it came from."""
    data, source = from_socket.recvfrom(4096)
    return DHCPPacket.parse(data), source


def hears_nothing(on_socket: socket.socket, seconds: float = 0.5) -> bool:
    """Tell whether a socket stays quiet."""
    on_socket.settimeout(seconds)
    try:
        on_socket.recvfrom(4096)
    except TimeoutError:
        return True
    finally:
        on_socket.settimeout(2)
    return False
