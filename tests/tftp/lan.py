"""A boot host and a client on one wire, in network namespaces; needs root.

host e0 192.0.2.10, 192.0.2.11 ──── e0 192.0.2.50 client
host e1 198.51.100.1 ────────────── e1 198.51.100.50 client     (not served)
"""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from bootyard.model.snapshot import (
    BootTarget,
    Fingerprint,
    Image,
    Policy,
    Root,
    Slice,
    Snapshot,
    TargetKind,
)
from services.tftp.packet import Ack, Options, Packet, ReadRequest, parse
from services.tftp.worker import COUNTS_SECONDS
from tests.namespaces import End, Namespaces, entering, inside, lay_wire, run

REPOSITORY = Path(__file__).parents[2]
HOST = "192.0.2.10"
SECOND = "192.0.2.11"
CLIENT = "192.0.2.50"
UNSERVED = "198.51.100.1"
READY_SECONDS = 20.0
OWN = "bootyard_tftp"


class Lan:
    """The wires, the service as a process, and a library of one image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._namespaces = Namespaces()
        self.host = self._namespaces.name("host")
        self.client = self._namespaces.name("client")
        self.log = folder / "service.log"
        self.service: subprocess.Popen[bytes] | None = None
        self.settings: dict[str, str] = {}
        """More of the service's environment."""
        self._sockets: list[socket.socket] = []
        for name in ("images", "loaders", "state/tftp"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def build(self) -> None:
        """Make the namespaces and lay the wires."""
        for short in ("host", "client"):
            self._namespaces.add(short)
        lay_wire(
            End(self.host, "e0", (f"{HOST}/24", f"{SECOND}/24")),
            End(self.client, "e0", (f"{CLIENT}/24",)),
        )
        lay_wire(
            End(self.host, "e1", (f"{UNSERVED}/24",)),
            End(self.client, "e1", ("198.51.100.50/24",)),
        )

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Build everything and start the service, for a while."""
        try:
            self.build()
            self.start()
            yield self
        finally:
            self.close()

    def close(self) -> None:
        """Remove everything."""
        if self.service is not None:
            self.service.kill()
            self.service.wait(10)
        for opened in self._sockets:
            opened.close()
        self._namespaces.close()

    def add_loader(self, name: str, content: bytes) -> None:
        """Put a loader where the user's are."""
        path = self.folder / "loaders" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def publish(
        self,
        files: dict[str, Path],
        loaders: dict[str, Slice] | None = None,
        policy: Policy | None = None,
    ) -> None:
        """Leave a snapshot on the service's disk, as one it held before: image `test`."""
        named = {
            name: Slice(
                root=Root.IMAGES,
                path=str(path.relative_to(self.folder / "images")),
                extents=((0, path.stat().st_size),),
                fingerprint=Fingerprint(
                    path.stat().st_size, path.stat().st_mtime_ns, path.lstat().st_ino
                ),
            )
            for name, path in files.items()
        }
        found = {
            path.relative_to(self.folder / "loaders").as_posix(): Slice(
                root=Root.LOADERS,
                path=path.relative_to(self.folder / "loaders").as_posix(),
                extents=((0, path.stat().st_size),),
            )
            for path in (self.folder / "loaders").glob("*/*")
        }
        image = Image(id="test", revision=1, title="Test", architectures=(), files=named)
        target = BootTarget(
            id="test", image="test", title="Test", kind=TargetKind.LIVE, kernel="linux"
        )
        snapshot = Snapshot(
            epoch="test",
            number=1,
            http_port=8080,
            loaders={**found, **(loaders or {})},
            images={"test": image},
            targets={"test": target},
            policy=policy or Policy(),
        )
        (self.folder / "state/tftp/snapshot.json").write_bytes(snapshot.to_json())

    def start(self, log: Path | None = None) -> None:
        """Start the service and wait until it is ready; `log`: where it writes from now on."""
        self.log = log or self.log
        self.launch()
        self.wait_for(lambda: self.get("/readyz")[0] == 200)

    def launch(self) -> None:
        """Start the service."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "BOOTYARD_STATE_DIR": str(self.folder / "state"),
            "BOOTYARD_IMAGES_DIR": str(self.folder / "images"),
            "BOOTYARD_LOADERS_DIR": str(self.folder / "loaders"),
            "BOOTYARD_INTERFACES": "e0",
            "BOOTYARD_LOG_LEVEL": "debug",
            "BOOTYARD_LOG_FORMAT": "json",
            **self.settings,
        }
        with self.log.open("wb") as log:
            self.service = subprocess.Popen(
                entering(self.host, sys.executable, "-m", "services.tftp"),
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """Stop the service as systemd and Docker do; returns its exit code."""
        assert self.service is not None
        self.service.send_signal(signal.SIGTERM)
        code = self.service.wait(15)
        self.service = None
        return code

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program on the client."""
        return self.run_in(self.client, *command, check=False)

    def run_in(
        self, namespace: str, *command: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a namespace."""
        return run(namespace, *command, check=check, cwd=self.folder)

    def talk(self, source: str = "0.0.0.0", port: int = 0, *, on_host: bool = False) -> "Talk":
        """Open a TFTP client's socket."""

        def make() -> socket.socket:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind((source, port))
            opened.settimeout(3)
            return opened

        opened = inside(self.host if on_host else self.client, make)
        self._sockets.append(opened)
        return Talk(opened)

    def get(self, path: str) -> tuple[int, str]:
        """Fetch from the metrics port."""

        def connect() -> socket.socket:
            return socket.create_connection(("127.0.0.1", 9169), 2)

        with inside(self.host, connect) as connection:
            client = http.client.HTTPConnection("127.0.0.1")
            client.sock = connection
            client.request("GET", path)
            response = client.getresponse()
            return response.status, response.read().decode()

    def metric(self, sample: str) -> float:
        """Read one sample."""
        return (self.metrics() if sample.startswith(OWN) else self._samples())[sample]

    def check_faults(self) -> None:
        """Check that the service had none of its own."""
        for place in ("request", "transfer"):
            assert self.metric(f'bootyard_internal_errors_total{{where="tftp.{place}"}}') == 0

    def metrics(self) -> dict[str, float]:
        """Read this service's own samples, with all that its workers counted until now."""
        if self.settings.get("BOOTYARD_TFTP_WORKERS") != "1":
            time.sleep(1.5 * COUNTS_SECONDS)
        return self.metrics_at_once()

    def metrics_at_once(self) -> dict[str, float]:
        """Read them as they are now."""
        return {name: value for name, value in self._samples().items() if name.startswith(OWN)}

    def _samples(self) -> dict[str, float]:
        lines = self.get("/metrics")[1].splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def logged(self, event: str, *, traceback_follows: bool = False) -> list[dict[str, object]]:
        """Read the service's log lines of one kind."""
        written = self.log.read_text().splitlines()
        read = [line for line in written if not traceback_follows or line.startswith("{")]
        return [line for line in map(json.loads, read) if line["event"] == event]

    def wait_for(self, holds: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except (OSError, http.client.HTTPException):
                pass
            if self.service is not None and self.service.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"waited in vain; the service said:\n{self.log.read_text()}")


class Talk:
    """A client's socket, for what real clients cannot be made to do."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.peer: tuple[str, int] = (HOST, 69)

    @property
    def port(self) -> int:
        """Its own port."""
        return int(self.socket.getsockname()[1])

    def ask(self, path: str, options: Options = (), server: str = HOST) -> None:
        """Send an RRQ."""
        self.send_raw(ReadRequest(path, "octet", options).to_bytes(), (server, 69))

    def send_raw(self, datagram: bytes, to: tuple[str, int] | None = None) -> None:
        """Send any bytes."""
        self.socket.sendto(datagram, to or self.peer)

    def ack(self, block: int) -> None:
        """Acknowledge to whoever answered last."""
        self.send_raw(Ack(block & 0xFFFF).to_bytes())

    def receive(self) -> Packet:
        """Wait for a packet, and remember where it came from."""
        datagram, self.peer = self.socket.recvfrom(70_000)
        return parse(datagram)

    def hears_nothing(self, seconds: float = 0.4) -> bool:
        """Tell whether no datagram comes."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recvfrom(70_000)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(3)
        return False
