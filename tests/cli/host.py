"""A host with Bootyard's services as processes, and a machine on a wire; needs root.

host e0 192.0.2.10 ──── e0 192.0.2.50 machine (52:54:00:12:34:56)
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tests.namespaces import End, Namespaces, entering, lay_wire, run

REPOSITORY = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("bootyard")
HOST = "192.0.2.10"
MACHINE = "192.0.2.50"
MAC = "52:54:00:12:34:56"
WAIT_SECONDS = 60.0


class BootHost:
    """Namespaces, services and the command; all state below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "images"
        self._namespaces = Namespaces()
        self._name = self._namespaces.name("host")
        self._machine = self._namespaces.name("machine")
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        self._others: list[subprocess.Popen[bytes]] = []
        for name in ("images", "loaders", "state"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def build(self) -> None:
        """Make the namespaces and lay the wire."""
        for short in ("host", "machine"):
            self._namespaces.add(short)
        lay_wire(
            End(self._name, "e0", (f"{HOST}/24",)),
            End(self._machine, "e0", (f"{MACHINE}/24",), MAC),
        )

    def close(self) -> None:
        """Remove everything."""
        for process in (*self._services.values(), *self._others):
            process.kill()
            process.wait(10)
        self._namespaces.close()

    def start(self, service: str) -> None:
        """Start a service and wait until it is healthy, as a container would."""
        with (self.folder / f"{service}.log").open("ab") as log:
            self._services[service] = subprocess.Popen(
                entering(self._name, sys.executable, "-m", f"services.{service}"),
                cwd=REPOSITORY,
                env=self._environment(),
                stdout=log,
                stderr=log,
            )
        self.wait_for(lambda: self.run("health", service).returncode == 0)

    def stop(self, service: str) -> None:
        """Stop a service as systemd and Docker do."""
        process = self._services.pop(service)
        process.terminate()
        process.wait(10)

    @contextlib.contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        """Stop a service from running, without ending it, for as long as the context lasts."""
        process = psutil.Process(self._services[service].pid)
        family = (process, *process.children(recursive=True))
        for member in family:
            member.suspend()
        try:
            yield
        finally:
            for member in family:
                member.resume()

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the command on the host."""
        return run(
            *(self._name, str(COMMAND), *arguments),
            check=False,
            cwd=self.folder,
            env=self._environment() | settings,
        )

    def run_on(self, output: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the command on the host, its stdout and stderr in a file."""
        with output.open("wb") as file:
            process = subprocess.Popen(
                # A shell starts what it runs in the background with SIGINT ignored.
                entering(self._name, "env", "--default-signal=INT", str(COMMAND), *arguments),
                cwd=self.folder,
                env=self._environment(),
                stdout=file,
                stderr=file,
            )
        self._others.append(process)
        return process

    def fetch(self, path: str) -> str:
        """Let the machine get something over HTTP."""
        return subprocess.run(
            entering(self._machine, "curl", "-sS", "-f", f"http://{HOST}:8080/{path}"),
            capture_output=True,
            check=True,
            timeout=WAIT_SECONDS,
        ).stdout.decode(errors="replace")

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        logs = "\n".join(log.read_text() for log in self.folder.glob("*.log"))
        raise AssertionError(f"waited in vain; the services said:\n{logs}")

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "BOOTYARD_IMAGES_DIR": str(self.images),
            "BOOTYARD_STATE_DIR": str(self.folder / "state"),
            "BOOTYARD_LOADERS_DIR": str(self.folder / "loaders"),
        }
