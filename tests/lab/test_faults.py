"""What breaks while a machine boots, beyond the main journeys."""

import pytest
import redis

from tests.lab.host import ARRIVES, INSTALLER, MAC, SERVICES, BootyardHost, choose_second_entry
from tests.lab.machine import Machine
from tests.lab.network import Lab

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]


def test_redis_is_absent_from_the_beginning(lab: Lab, host: BootyardHost) -> None:
    # proxydhcp and tftp never hold a snapshot: the built-in one leads to the catalog.
    host.start(*SERVICES)
    host.wait_for_target("debian-12")
    host.cli("machine", "boot-once", MAC, "debian-12")
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    assert host.readiness("tftp")["snapshot"] == "builtin.0"
    host.start("redis")
    host.wait_for_steps(MAC, "offered", "loader", "script", "kernel", "initrd")
    host.wait_snapshot()


def test_redis_is_frozen_all_the_time(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    host.arm()
    host.freeze("redis")
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    for name in SERVICES:
        assert host.readiness(name)["redis"] is False
    host.thaw("redis")
    host.wait_for_steps(MAC, "offered", "loader", "script", "kernel", "initrd")
    assert len(host.boots(MAC)) == 1


def test_redis_is_flushed_while_a_machine_boots(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    host.arm()
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for("Start PXE over IPv4", timeout=ARRIVES)
        with redis.Redis(unix_socket_path=str(host.socket)) as client:
            client.flushall()
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    host.wait_for_steps(MAC, "loader", "script", "kernel", "initrd")
    host.wait_snapshot()


def test_the_catalog_is_frozen_before_power_on(lab: Lab, host: BootyardHost) -> None:
    # A frozen catalog accepts the connection and says nothing.
    host.start_services()
    host.freeze("catalog")
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for("the catalog is away", timeout=ARRIVES)
        choose_second_entry(machine)
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    host.thaw("catalog")
    host.wait_for_steps(MAC, "loader", "script", "menu", "kernel", "initrd")


def test_the_catalog_never_comes_back(lab: Lab, host: BootyardHost) -> None:
    # Killed in the middle of the initrd: the script goes over to TFTP by itself.
    host.start_services()
    host.arm()
    lab.limit_rate("50mbit")
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for("/initrd.gz...", timeout=ARRIVES)
        host.kill("catalog")
        lab.unlimit()
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    assert not host.is_running("catalog")
    host.start("catalog")
    boot = host.wait_for_steps(MAC, "kernel", "initrd")
    assert any(s["step"] == "initrd" and s.get("transport") == "tftp" for s in boot["steps"])


def test_everything_but_tftp_is_killed_after_the_offer(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for("NBP filename", timeout=ARRIVES)
        for name in ("redis", "catalog", "proxydhcp"):
            host.kill(name)
        machine.wait_for("the catalog is away", timeout=ARRIVES)
        choose_second_entry(machine)
        machine.wait_for(INSTALLER, timeout=ARRIVES)


def test_services_start_in_any_order_and_without_an_address(lab: Lab, host: BootyardHost) -> None:
    lab.run("boot", ["ip", "address", "flush", "dev", "eth0"])
    host.start("redis", "catalog")
    lab.run("boot", ["ip", "address", "add", "192.0.2.10/24", "brd", "+", "dev", "eth0"])
    host.start("tftp", "proxydhcp")
    host.wait_for_image("debian-12")
    host.arm()
    with Machine(lab, "bios", mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
