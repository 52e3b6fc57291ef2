"""The catalog as a process, with a real Valkey and clients with MAC addresses of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from bootyard.model.document import encode
from bootyard.model.events import BootEvent, OfferStage, Step
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Snapshot
from bootyard.runtime.store import EVENT_FIELD, EVENTS_KEY, SNAPSHOT_KEY
from tests.catalog.http_catalog import write_image
from tests.namespaces import End, Namespaces, entering, ip, lay_wire
from tests.redis_server import RedisServer

pytestmark = pytest.mark.needs("ip", "curl")

REPOSITORY = Path(__file__).parents[2]
HOST = "192.0.2.10"
FIRST, FIRST_MAC = "192.0.2.50", MACAddress("52:54:00:12:34:56")
SECOND, SECOND_MAC = "192.0.2.51", MACAddress("52:54:00:00:00:02")
TOKEN = "a-token-for-tests-only"
SECONDS = 20.0
SCRIPT = f"http://{HOST}:8080/boot.ipxe?platform=efi&buildarch=x86_64&mac="
ARMED = "echo Bootyard: boot-once"


class Wire:
    """A boot host and two machines, each in a namespace of its own."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self._namespaces = Namespaces()
        self.name = self._namespaces.name("host")
        self.machines: dict[str, str] = {}
        self.log = folder / "service.log"
        self.service: subprocess.Popen[bytes] | None = None
        self._redis_url = redis_url
        self._sequence = 0

    def build(self) -> None:
        self._namespaces.add("host")
        ip("-n", self.name, "link", "add", "br0", "type", "bridge")
        ip("-n", self.name, "link", "set", "br0", "up")
        ip("-n", self.name, "addr", "add", f"{HOST}/24", "dev", "br0")
        for short, address, mac in (("a", FIRST, FIRST_MAC), ("b", SECOND, SECOND_MAC)):
            self.machines[address] = self._namespaces.add(short)
            machine = End(self.machines[address], "e0", (f"{address}/24",), mac)
            lay_wire(End(self.name, short), machine)
            ip("-n", self.name, "link", "set", "dev", short, "master", "br0")

    def close(self) -> None:
        if self.service is not None:
            self.service.kill()
            self.service.wait(10)
        self._namespaces.close()

    def launch(self) -> None:
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "BOOTYARD_STATE_DIR": str(self.folder / "state"),
            "BOOTYARD_IMAGES_DIR": str(self.folder / "images"),
            "BOOTYARD_LOADERS_DIR": str(self.folder / "loaders"),
            "BOOTYARD_REDIS_URL": self._redis_url,
            "BOOTYARD_ADMIN_TOKEN": TOKEN,
            "BOOTYARD_LOG_FORMAT": "json",
        }
        with self.log.open("ab") as log:
            self.service = subprocess.Popen(
                entering(self.name, sys.executable, "-m", "services.catalog"),
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        self.launch()
        self.wait_for(lambda: self.status("/readyz") == 200)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.service is not None
        self.service.send_signal(number)
        code = self.service.wait(SECONDS)
        self.service = None
        return code

    def wait_for(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds():
            if self.service is not None and self.service.poll() is not None:
                pytest.fail(f"the service ended: {self.log.read_text()}")
            if time.monotonic() > deadline:
                pytest.fail(f"it did not come: {self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def curl(self, *arguments: str, at: str | None = None) -> subprocess.CompletedProcess[bytes]:
        namespace = self.machines[at] if at is not None else self.name
        return subprocess.run(
            entering(namespace, "curl", "-sS", "--max-time", "15", *arguments),
            check=False,
            capture_output=True,
        )

    def status(self, path: str) -> int:
        got = self.curl("-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:8080{path}")
        return int(got.stdout or 0)

    def script(self, at: str, mac: MACAddress) -> str:
        got = self.curl(f"{SCRIPT}{mac}", at=at)
        assert got.returncode == 0, got.stderr
        return got.stdout.decode()

    def api(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        got = self.curl(
            *("-X", method, "-H", f"Authorization: Bearer {TOKEN}"),
            *(("-d", json.dumps(body)) if body is not None else ()),
            f"http://127.0.0.1:8080/api/v1{path}",
        )
        return json.loads(got.stdout)

    def boot(self, name: str) -> list[str]:
        return [step["step"] for step in self.api("GET", f"/boots/{name}").get("steps", [])]

    def report(self, connection: "redis.Redis", step: Step, mac: MACAddress) -> None:
        """Report an event as proxydhcp would."""
        self._sequence += 1
        stage = OfferStage.ROM if step is Step.DISCOVERED else None
        event = BootEvent(
            service="proxydhcp",
            run="wire",
            sequence=self._sequence,
            time=time.time(),
            step=step,
            mac=mac,
            stage=stage,
        )
        connection.xadd(EVENTS_KEY, {EVENT_FIELD: encode(event)})


@pytest.fixture
def wire(tmp_path: Path, server: RedisServer) -> Iterator[Wire]:
    write_image(tmp_path / "images", "debian-12")
    made = Wire(tmp_path, server.url)
    try:
        made.build()
        made.start()
        yield made
    finally:
        made.close()


def test_a_boot_from_discover_to_system(wire: Wire, connection: "redis.Redis") -> None:
    # The catalog is ready before Redis has its snapshot.
    wire.wait_for(lambda: connection.exists(SNAPSHOT_KEY) == 1)
    document = connection.get(SNAPSHOT_KEY)
    assert isinstance(document, bytes)
    assert list(Snapshot.from_json(document).images) == ["debian-12"]
    armed = wire.api("PUT", f"/machines/{FIRST_MAC}/boot-once", {"target": "debian-12"})
    assert armed["boot_once"]["state"] == "armed"
    for step in (Step.DISCOVERED, Step.OFFERED, Step.LOADER):
        wire.report(connection, step, FIRST_MAC)
    wire.wait_for(lambda: wire.boot("b-1") == ["discovered", "offered", "loader"])
    assert ARMED not in wire.script(SECOND, FIRST_MAC), "another machine says it is the first"
    script = wire.script(FIRST, FIRST_MAC)
    assert ARMED in script
    assert f"http://{HOST}:8080/tree" in script
    for name in ("linux", "initrd.gz"):
        got = wire.curl(f"http://{HOST}:8080/tree/images/debian-12@1/{name}", at=FIRST)
        assert got.stdout == (wire.folder / "images/debian-12" / name).read_bytes()
    # A system takes seconds to come up: by then the last bytes of its initrd are long counted.
    wire.wait_for(lambda: wire.boot("b-1")[3:] == ["script", "kernel", "initrd"])
    wire.report(connection, Step.SYSTEM_UP, FIRST_MAC)
    wire.wait_for(lambda: wire.boot("b-1")[6:] == ["system_up"])
    assert ARMED not in wire.script(FIRST, FIRST_MAC)
    boot = wire.api("GET", "/boots/b-1")
    assert (boot["mac"], boot["image"], boot["outcome"]) == (FIRST_MAC, "debian-12", "running")
    assert wire.api("GET", f"/machines/{FIRST_MAC}")["boot_once"]["state"] == "burned"


def test_killed_in_the_middle_of_a_boot(wire: Wire, connection: "redis.Redis") -> None:
    wire.report(connection, Step.DISCOVERED, FIRST_MAC)
    wire.wait_for(lambda: wire.boot("b-1") == ["discovered"])
    wire.stop(signal.SIGKILL)
    wire.report(connection, Step.LOADER, FIRST_MAC)
    wire.start()
    wire.script(FIRST, FIRST_MAC)
    wire.wait_for(lambda: wire.boot("b-1") == ["discovered", "loader", "script", "menu"])
    assert wire.boot("b-2") == []


async def test_a_frozen_redis_holds_nothing_up(wire: Wire, server: RedisServer) -> None:
    server.freeze()
    try:
        for _ in range(5):
            assert "item debian-12" in wire.script(FIRST, FIRST_MAC)
        assert wire.status("/readyz") == 200
        policy = {"timeout_seconds": 3}
        assert wire.api("PATCH", "/policy", policy)["timeout_seconds"] == 3
    finally:
        server.thaw()


async def test_a_flushed_redis_gets_the_snapshot_again(
    wire: Wire, connection: "redis.Redis"
) -> None:
    connection.flushall()
    wire.wait_for(lambda: connection.exists(SNAPSHOT_KEY) == 1)
    wire.report(connection, Step.DISCOVERED, FIRST_MAC)
    wire.wait_for(lambda: wire.boot("b-1") == ["discovered"])


def test_it_stops_with_clients_connected(wire: Wire) -> None:
    watching = subprocess.Popen(
        entering(wire.name, "curl", "-sN", "http://127.0.0.1:8080/api/v1/events"),
        stdout=subprocess.DEVNULL,
    )
    try:
        time.sleep(0.5)
        assert wire.stop() == 0
    finally:
        watching.kill()
        watching.wait()


def test_over_ipv6(wire: Wire) -> None:
    assert wire.curl("-g", "http://[::1]:8080/api/v1/policy").returncode == 0
    got = wire.curl("-g", "http://[::1]:8080/tree/images/debian-12/linux")
    assert got.stdout == (wire.folder / "images/debian-12/linux").read_bytes()


def test_a_port_in_use_is_named_and_waited_for(wire: Wire) -> None:
    wire.stop()
    holder = subprocess.Popen(
        entering(
            *(wire.name, sys.executable, "-m", "http.server"),
            *("8080", "--bind", "0.0.0.0"),
        ),
        cwd=wire.folder / "state",
        stderr=subprocess.DEVNULL,
    )
    try:
        wire.wait_for(lambda: wire.status("/") == 200)
        wire.launch()
        wire.wait_for(lambda: f"pid {holder.pid}" in wire.log.read_text())
    finally:
        holder.kill()
        holder.wait()
    wire.wait_for(lambda: wire.status("/readyz") == 200)


def test_a_database_that_is_none_is_said(wire: Wire) -> None:
    wire.stop()
    (wire.folder / "state/catalog/catalog.db").write_bytes(b"not a database" * 1000)
    wire.launch()
    assert wire.service is not None
    assert wire.service.wait(SECONDS) == os.EX_CONFIG
    wire.service = None
    last = wire.log.read_text().splitlines()[-1]
    assert "catalog.db" in last
    assert "Traceback" not in wire.log.read_text()
