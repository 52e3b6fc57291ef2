"""`bootyard up` as a person at the terminal meets it, in a network namespace of its own."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.lab.network import Lab
from tests.lab.processes import Process, wait_until

COMMAND = str(Path(sys.executable).parent / "bootyard")
UNPRIVILEGED = ("setpriv", "--inh-caps=-all", "--bounding-set=-all", "--")


class Up:
    """A started `bootyard up`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.images = lab.work / "images"
        self.environment = {
            "BOOTYARD_IMAGES_DIR": str(self.images),
            "BOOTYARD_STATE_DIR": str(lab.work / "state"),
            "BOOTYARD_LOADERS_DIR": str(lab.work / "loaders"),
        }

    def start(self, *prefix: str, name: str = "up", **settings: str) -> Process:
        environment = {**self.environment, **settings}
        return self.lab.popen("boot", [*prefix, COMMAND, "up"], name=name, env=environment)

    def readyz(self, port: int) -> str:
        url = f"http://127.0.0.1:{port}/readyz"
        return self.lab.run("boot", ["curl", "-s", "-m", "5", url], check=False).stdout

    def wait_ready(self, port: int) -> None:
        wait_until(
            lambda: '"ready": true' in self.readyz(port) or None,
            timeout=30,
            failure=lambda: self.readyz(port),
        )


@pytest.fixture
def up(lab: Lab) -> Up:
    return Up(lab)


def children(process: Process) -> dict[str, psutil.Process]:
    """What runs below it, by a telling part of the command line."""
    parts = ("services.catalog", "services.tftp", "services.proxydhcp", "valkey-server")
    found = psutil.Process(process.pid).children(recursive=True)
    lines = [(child, command_line(child)) for child in found]
    return {part: child for part in parts for child, line in lines if part in line}


def command_line(process: psutil.Process) -> str:
    """What it was started with; nothing of one that has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def wait_for_children(process: Process) -> dict[str, psutil.Process]:
    def look() -> dict[str, psutil.Process] | None:
        found = children(process)
        return found if len(found) == 4 else None

    return wait_until(look, timeout=30, failure=process.tail)


def test_it_says_what_it_serves_and_stops_on_ctrl_c(up: Up) -> None:
    process = up.start()
    process.wait_for_output("Ctrl-C stops it", timeout=40)
    output = process.output()
    for line in (
        "on      eth0 192.0.2.10 (192.0.2.0/24)",
        "UDP 67 and 4011 (proxydhcp), UDP 69 (tftp), TCP 8080 (catalog)",
        f"none in {up.images}; put one there",
        "page    http://192.0.2.10:8080/",
    ):
        assert line in output
    started = wait_for_children(process)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(30) == 0
    assert not any(child.is_running() for child in started.values())
    assert "Traceback" not in process.output()


def test_a_service_that_dies_is_started_again_with_the_reason_on_one_line(up: Up) -> None:
    process = up.start()
    before = wait_for_children(process)
    up.wait_ready(9169)
    before["services.tftp"].kill()
    process.wait_for_output("was killed by SIGKILL", timeout=20)
    line = next(li for li in process.output().splitlines() if "was killed by SIGKILL" in li)
    assert "tftp" in line
    assert "starting it again" in line
    before["valkey-server"].kill()
    after = wait_for_children(process)
    assert after["services.tftp"].pid != before["services.tftp"].pid
    up.wait_ready(9169)
    wait_until(
        lambda: '"redis": true' in up.readyz(9169) or None,
        timeout=30,
        failure=lambda: up.readyz(9169),
    )


def test_nothing_outlives_it_even_after_kill_9(up: Up) -> None:
    process = up.start()
    started = wait_for_children(process)
    process.signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(list(started.values()), timeout=30)
    assert len(gone) == 4
    assert not alive


def test_a_port_in_use_names_its_holder_and_the_rest_is_served(up: Up) -> None:
    holder = "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM)\n"
    holder += "s.bind(('', 69)); print('bound', flush=True); time.sleep(300)"
    blocker = up.lab.popen("boot", [sys.executable, "-c", holder], name="blocker")
    blocker.wait_for_output("bound")
    process = up.start()
    process.wait_for_output("Ctrl-C stops it", timeout=40)
    assert re.search(rf"UDP 69 is held by \S+, pid {blocker.pid};", process.output())
    up.wait_ready(8080)
    up.wait_ready(9167)
    assert '"ready": false' in up.readyz(9169)
    blocker.kill()
    up.wait_ready(9169)


def test_missing_privileges_say_what_to_run(up: Up) -> None:
    process = up.start(*UNPRIVILEGED)
    process.wait_for_output("Ctrl-C stops it", timeout=40)
    for port in (67, 69):
        assert f"no permission to bind UDP {port}; run as root" in process.output()
    up.wait_ready(8080)


def test_an_interface_that_is_not_there_leaves_the_others_served(up: Up) -> None:
    process = up.start(BOOTYARD_INTERFACES="eth0,eth7")
    process.wait_for_output("not on  eth7", timeout=40)
    up.wait_ready(9167)
    assert "eth7" in up.readyz(9167)


def test_two_on_one_state_directory_are_refused(up: Up) -> None:
    first = up.start()
    wait_for_children(first)
    second = up.start(name="second")
    assert second.wait(20) == 1
    assert f"already runs on {up.lab.work / 'state'} (pid {first.pid})" in second.output()


def test_settings_that_do_not_parse_are_all_named_at_once(up: Up) -> None:
    process = up.start(BOOTYARD_HTTP_PORT="99999", BOOTYARD_ADDRESS="router")
    assert process.wait(20) == 78
    assert "BOOTYARD_HTTP_PORT=99999" in process.output()
    assert "BOOTYARD_ADDRESS=router" in process.output()


def test_a_service_alone_names_them_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.tftp"],
        env={"PATH": "/usr/bin:/bin", "BOOTYARD_TFTP_PORT": "x"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 78
    assert "BOOTYARD_TFTP_PORT=x does not parse" in done.stderr
