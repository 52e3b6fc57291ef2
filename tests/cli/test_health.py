"""`bootyard health` against the services themselves."""

from collections.abc import Iterator

import pytest

from tests.catalog.images import make_folder
from tests.cli.host import BootHost

pytestmark = pytest.mark.needs("ip")

SERVICES = ("proxydhcp", "tftp", "catalog")
PORTS = {"proxydhcp": "PXE_PORT", "tftp": "TFTP_PORT", "catalog": "HTTP_PORT"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootHost]:
    made = BootHost(tmp_path_factory.mktemp("health"))
    try:
        made.build()
        make_folder(made.images)
        loader = made.folder / "loaders" / "uefi-x64" / "snponly.efi"
        loader.parent.mkdir(parents=True)
        loader.write_bytes(b"a loader")
        for service in SERVICES:
            made.start(service)
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_answers_is_healthy_and_nothing_is_said(
    host: BootHost, service: str
) -> None:
    done = host.run("health", service)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("service", SERVICES)
def test_a_port_without_a_service_is_not_healthy(host: BootHost, service: str) -> None:
    done = host.run("health", service, **{f"BOOTYARD_{PORTS[service]}": "9"})
    assert done.returncode == 1
    assert done.stderr.startswith(f"bootyard: {service} does not answer")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("service", ["proxydhcp", "tftp"])
def test_another_service_on_the_port_is_not_healthy(host: BootHost, service: str) -> None:
    other = {"proxydhcp": "69", "tftp": "4011"}[service]
    done = host.run("health", service, **{f"BOOTYARD_{PORTS[service]}": other})
    assert done.returncode == 1
    assert "did not answer" in done.stderr or "refuses" in done.stderr
    assert host.run("health", service).returncode == 0


def test_a_frozen_service_is_noticed(host: BootHost) -> None:
    with host.frozen("tftp"):
        done = host.run("health", "tftp")
    assert done.returncode == 1
    assert "did not answer on UDP 127.0.0.1:69 within 1.6 s" in done.stderr
    host.wait_for(lambda: host.run("health", "tftp").returncode == 0)


def test_probes_leave_no_boots(host: BootHost) -> None:
    assert host.run("boots").stdout == "no machine has booted from here yet\n"
