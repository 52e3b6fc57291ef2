"""The container deployment: built, started with compose on the boot host, watched by Prometheus."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import docker_host
from tests.lab.debian_installer import make_debian_folder
from tests.lab.docker_host import IMAGE, PROMETHEUS, REDIS, TESTS, Compose, Engine
from tests.lab.machine import Machine
from tests.lab.network import BOOT_ADDRESS, ROUTER_ADDRESS, Lab
from tests.lab.processes import LabError, wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.needs("docker", "dockerd", "mmdebstrap", "slirp4netns", "apt-get"),
]

ROOT = docker_host.ROOT
DASHBOARD = ROOT / "deploy/grafana/dashboards/bootyard.json"
SERVICES = ("proxydhcp", "tftp", "catalog")
MAC = "52:54:00:12:34:56"
TESTED_IN_THE_IMAGE = ("model", "boot", "runtime", "proxydhcp", "tftp", "catalog", "cli", "wire")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as opened:
        yield opened


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Engine]:
    """The boot host's engine, with the images in it."""
    with Engine(lab.namespace("boot"), lab.work / "dockerd.log") as engine:
        with docker_host.build_host(lab.work / "build.log") as builder:
            docker_host.build_product(builder)
            docker_host.build_companions(builder)
            docker_host.build_tests(builder)
            builder.give([IMAGE, REDIS, PROMETHEUS, TESTS], engine)
        yield engine


@pytest.fixture(scope="module")
def compose(lab: Lab, host: Engine) -> Iterator[Compose]:
    """Bootyard as a user starts it, with one image to boot."""
    project = Compose(host, lab.work / "bootyard", {})
    make_debian_folder(project.directory / "images")
    project("up", "--detach", "--wait")
    yield project
    (lab.work / "compose.log").write_text(project("logs", "--no-color", check=False).stdout)
    project("down", "--volumes")


def query(lab: Lab, expression: str) -> list[dict[str, Any]]:
    """Ask the boot host's Prometheus."""
    answer = lab.run(
        "boot",
        [
            *("curl", "--silent", "--retry", "9", "--retry-connrefused", "--get"),
            "http://127.0.0.1:9090/api/v1/query",
            *("--data-urlencode", f"query={expression}"),
        ],
    )
    document = json.loads(answer.stdout)
    assert document["status"] == "success", (expression, document)
    found: list[dict[str, Any]] = document["data"]["result"]
    return found


def total(lab: Lab, expression: str) -> float:
    return sum(float(each["value"][1]) for each in query(lab, expression))


@pytest.fixture(scope="module")
def watched_boot(lab: Lab, compose: Compose) -> float:
    """A machine that Prometheus saw boot; the seconds it took from power-on to the installer."""
    compose("exec", "catalog", "bootyard", "machine", "set", MAC, "--name", "nuc-3")
    compose("up", "--detach", "prometheus")
    wait_until(
        lambda: total(lab, "count(bootyard_build_info)") == len(SERVICES) or None,
        timeout=60,
        failure=lambda: f"three scraped services: {query(lab, 'up')}",
    )
    compose("exec", "catalog", "bootyard", "machine", "boot-once", MAC, "debian-12")
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        seconds = machine.wait_for("Select a language", timeout=240)
    wait_until(
        lambda: total(lab, "sum(bootyard_boots_total)") > 0 or None,
        timeout=60,
        failure=lambda: f"a counted boot: {query(lab, 'bootyard_boots_total > 0')}",
    )
    return seconds


def test_everything_is_healthy_and_reached_from_the_lan(lab: Lab, compose: Compose) -> None:
    assert compose.states() == {"redis": "healthy"} | dict.fromkeys(SERVICES, "healthy")
    answer = lab.run("router", ["curl", "--silent", f"http://{BOOT_ADDRESS}:8080/readyz"])
    readiness = json.loads(answer.stdout)
    assert readiness["ready"] is True
    assert readiness["redis"] is True


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_no_right_that_it_does_not_need(compose: Compose, service: str) -> None:
    status = compose("exec", service, "cat", "/proc/1/status").stdout
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["1000"] * 4
    assert fields["Gid"].split() == ["1000"] * 4
    assert fields["Groups"].split() == []
    net_bind_service, net_raw = 1 << 10, 1 << 13
    needed = net_bind_service | (net_raw if service == "proxydhcp" else 0)
    assert int(fields["CapEff"], 16) == int(fields["CapAmb"], 16) == needed
    assert fields["NoNewPrivs"].strip() == "1"
    # What is written goes to volumes; the rest of the file system cannot be written by anyone.
    mounts = compose("exec", service, "cat", "/proc/1/mounts").stdout.splitlines()
    assert any(re.match(r"overlay / overlay ro,", mount) for mount in mounts)


@pytest.mark.parametrize("service", ["proxydhcp", "tftp"])
def test_a_container_behind_nat_ends_and_says_what_to_do(host: Engine, service: str) -> None:
    host.docker("network", "create", "nat")
    try:
        done = host.docker(
            *("run", "--rm", "--network", "nat", IMAGE, "python", "-m", f"services.{service}"),
            check=False,
        )
    finally:
        host.docker("network", "rm", "nat")
    assert done.returncode == 78
    assert "network_mode: host" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_macvlan_container_is_a_host_of_the_lan(host: Engine) -> None:
    lan = ("--driver", "macvlan", "--opt", "parent=eth0", "--subnet", "192.0.2.0/24")
    host.docker("network", "create", *lan, "--gateway", ROUTER_ADDRESS, "lan")
    container = ""
    try:
        run = ("run", "--detach", "--network", "lan", "--ip", "192.0.2.20")
        service = (IMAGE, "python", "-m", "services.proxydhcp")
        container = host.docker(*run, *service).stdout.strip()

        def look() -> bool | None:
            asked = ("exec", container, "bootyard", "health", "proxydhcp")
            return host.docker(*asked, check=False).returncode == 0 or None

        wait_until(look, timeout=60, failure=lambda: host.docker("logs", container).stderr)
    finally:
        if container:
            host.docker("rm", "--force", container)
        host.docker("network", "rm", "lan")


def test_the_command_line_works_inside(compose: Compose) -> None:
    compose("exec", "catalog", "bootyard", "machine", "set", "52:54:00:00:00:99", "--name", "spare")
    listed = compose("exec", "catalog", "bootyard", "machine", "list", "--json").stdout
    assert "52:54:00:00:00:99" in listed
    compose("exec", "catalog", "bootyard", "machine", "remove", "52:54:00:00:00:99")


def test_redis_may_come_and_go(lab: Lab, compose: Compose) -> None:
    def redis_is(there: bool) -> None:
        def look() -> bool | None:
            answers = [
                lab.run("boot", ["curl", "--silent", f"http://127.0.0.1:{port}/readyz"]).stdout
                for port in (9167, 9169, 8080)
            ]
            found = [json.loads(answer) for answer in answers]
            assert all(each["ready"] for each in found)
            return all(each["redis"] is there for each in found) or None

        wait_until(look, timeout=30, failure=lambda: f"redis {there}")

    redis_is(True)
    compose("stop", "redis")
    redis_is(False)
    for service in SERVICES:
        compose("exec", service, "bootyard", "health", service)
    compose("start", "redis")
    redis_is(True)


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_is_back_at_once(host: Engine, compose: Compose, service: str) -> None:
    container = compose("ps", "--quiet", service).stdout.strip()
    pid = host.docker("inspect", "--format", "{{.State.Pid}}", container).stdout.strip()
    subprocess.run(["kill", "-KILL", pid], check=True)

    def look() -> bool | None:
        done = compose("exec", service, "bootyard", "health", service, check=False)
        state = host.docker("inspect", "--format", "{{.State.Pid}}", container).stdout.strip()
        return (done.returncode == 0 and state != pid) or None

    wait_until(look, timeout=30, failure=lambda: compose("logs", service).stdout[-2000:])


def test_what_was_set_survives_down_and_up(compose: Compose) -> None:
    compose("exec", "catalog", "bootyard", "machine", "set", "52:54:00:00:00:98", "--name", "kept")
    compose("down")
    compose("up", "--detach", "--wait")
    listed = compose("exec", "catalog", "bootyard", "machine", "list", "--json").stdout
    assert "52:54:00:00:00:98" in listed


def test_a_machine_boots_and_prometheus_saw_it(lab: Lab, watched_boot: float) -> None:
    assert watched_boot < 240
    assert total(lab, 'sum(bootyard_boots_total{firmware="uefi-x64"})') > 0
    assert total(lab, 'sum(bootyard_image_boots_total{image="debian-12"})') > 0
    assert total(lab, "sum(bootyard_tftp_sent_bytes_total)") > 0
    assert total(lab, 'sum(bootyard_http_sent_bytes_total{file_class="initrd"})') > 10_000_000
    assert query(lab, "up == 0") == []


def test_every_query_of_the_dashboard_has_data(lab: Lab, watched_boot: float) -> None:
    assert watched_boot
    dashboard = json.loads(DASHBOARD.read_bytes())
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])
    ]
    assert len(expressions) > 30
    substitutes = {"$__rate_interval": "1m", "$__range": "1h", "$firmware": ".*", "$image": ".*"}

    def empty() -> list[str]:
        without = []
        for expression in expressions:
            asked = expression
            for name, value in substitutes.items():
                asked = asked.replace(name, value)
            assert "$" not in asked
            if not query(lab, asked):
                without.append(asked)
        return without

    wait_until(lambda: not empty() or None, timeout=60, failure=lambda: "\n".join(empty()))
    for variable in dashboard["templating"]["list"]:
        metric, label = re.findall(r"\w+", variable["definition"])[1:]
        values = {each["metric"].get(label) for each in query(lab, metric)}
        assert values
        assert None not in values


def test_prometheus_accepts_its_configuration_and_rules(host: Engine) -> None:
    mounted = f"{ROOT / 'deploy/prometheus'}:/etc/prometheus:ro"
    checked = host.docker(
        *("run", "--rm", "--network", "none", "--volume", mounted, "--entrypoint", "promtool"),
        *(PROMETHEUS, "check", "config", "/etc/prometheus/prometheus.yml"),
    )
    assert "SUCCESS: 8 rules found" in checked.stdout


def test_the_image_runs_under_any_user(host: Engine) -> None:
    run = ("run", "--rm", "--network", "none", "--read-only")
    identify = (IMAGE, "python", "-c", "import os; print(os.getuid(), os.getgid())")
    assert host.docker(*run, *identify).stdout.split() == ["1000", "1000"]
    other = ("--env", "PUID=1234", "--env", "PGID=4321")
    assert host.docker(*run, *other, *identify).stdout.split() == ["1234", "4321"]
    assert host.docker(*run, "--user", "7:8", *identify).stdout.split() == ["7", "8"]


def test_nothing_of_the_building_machine_is_in_the_image(host: Engine, tmp_path: Path) -> None:
    saved = tmp_path / "image.tar"
    host.docker("save", "--output", str(saved), IMAGE)
    unpacked = tmp_path / "image"
    shutil.unpack_archive(saved, unpacked, filter="data")
    mark = docker_host.build_mark()
    found = subprocess.run(
        ["grep", "--recursive", "--files-with-matches", "--text", mark, str(unpacked)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
    look = (
        "find /etc/apt/sources.list* /etc/apt/apt.conf.d /etc/pip.conf /var/lib/apt/lists -type f"
    )
    listed = host.docker(
        "run", "--rm", "--network", "none", IMAGE, *("sh", "-c", f"{look} 2>/dev/null || :")
    )
    assert listed.stdout == ""
    assert host.docker("image", "inspect", "--format", "{{len .RootFS.Layers}}", IMAGE).stdout < "4"


def test_the_tests_pass_with_the_python_of_the_image(host: Engine) -> None:
    """With the rights to make namespaces; in a network of its own, where nothing else is."""
    done = host.docker(
        *("run", "--rm", "--network", "none"),
        *(f"--cap-add={right}" for right in ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE")),
        *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
        *("--sysctl", "net.ipv6.conf.all.disable_ipv6=0"),
        *("--volume", f"{ROOT / 'tests'}:/checkout/tests:ro"),
        *("--volume", f"{ROOT / 'pyproject.toml'}:/checkout/pyproject.toml:ro"),
        *("--workdir", "/checkout", "--env", "HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis"),
        *(TESTS, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long"),
        *(f"tests/{room}" for room in TESTED_IN_THE_IMAGE),
        # The installer's package is on the host only.
        "--ignore=tests/catalog/test_library_debian.py",
        timeout=900,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(done.stdout[-6000:] + done.stderr[-2000:])
    assert re.search(r"\d+ passed", done.stdout)
    assert "Python 3.13" in host.docker("run", "--rm", IMAGE, "python", "--version").stdout
