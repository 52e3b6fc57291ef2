"""GRUB on firmware: what it shows, where it leaves to, and what it does without the catalog."""

from pathlib import Path

import pytest

from tests.lab.grub import requested
from tests.lab.host import ARRIVES, INSTALLER, MAC, BootyardHost, choose_second_entry
from tests.lab.local_disk import GREETING, make_local_disk
from tests.lab.machine import Machine
from tests.lab.network import Lab
from tests.lab.test_journeys import step

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]


def pin_grub(host: BootyardHost, firmware: str = "uefi-x64") -> None:
    host.cli("machine", "set", MAC, "--firmware", firmware, "--loader", "grub")
    host.wait_snapshot()


def test_an_installer_waits_behind_the_local_disk(
    lab: Lab, host: BootyardHost, tmp_path: Path
) -> None:
    host.start_services()
    host.cli("policy", "set", "--timeout", "5")
    host.cli(
        *("machine", "set", MAC, "--target", "debian-12"),
        *("--kernel-args", 'lab="a b" x=$y;z'),
    )
    pin_grub(host)
    disk = make_local_disk(tmp_path / "disk.img")
    with Machine(lab, "uefi-x64", mac=MAC, disk=disk) as machine:
        machine.wait_for("press Esc for the boot menu", timeout=ARRIVES)
        machine.wait_for(GREETING, timeout=ARRIVES)
        assert INSTALLER not in machine.console.text()
        boot = host.wait_for_steps(MAC, "loader", "script", "menu", "script")
        assert boot["outcome"] == "local_disk"
        machine.reset()
        machine.wait_for("press Esc for the boot menu", timeout=ARRIVES)
        machine.press("esc")
        machine.wait_for("GNU GRUB", timeout=ARRIVES)
        machine.press("ret")  # the installer is preselected for who opened the menu
        machine.wait_for(INSTALLER, timeout=ARRIVES)
        # As the kernel reads it, the same: it takes quotes around a word or inside of it.
        assert 'linux console=ttyS0 "lab=a b" x=$y;z' in machine.console.text()
    assert step(host.wait_for_steps(MAC, "kernel", "initrd"), "kernel")["transport"] == "http"


def test_the_catalog_is_dead_before_power_on(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    host.cli("machine", "set", MAC, "--secure-boot", "on")
    host.wait_snapshot()
    host.kill("catalog")
    capture = lab.capture(expression="udp port 69")
    with Machine(lab, "secure-boot", mac=MAC) as machine:
        machine.wait_for("using the menu kept by tftp", timeout=ARRIVES)
        machine.wait_for("the catalog is away", timeout=ARRIVES)
        choose_second_entry(machine)
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    assert not host.is_running("catalog")
    assert "grub/menu.cfg" in [name.lstrip("/") for name in requested(capture.stop())]
    host.start("catalog")
    boot = host.wait_for_steps(MAC, "offered", "loader", "script", "menu", "kernel", "initrd")
    assert step(boot, "initrd")["transport"] == "tftp"


def test_http_boot_into_grub(lab: Lab, host: BootyardHost) -> None:
    """GRUB finds its configuration on the HTTP server that its own file came from."""
    host.start_services()
    host.cli("machine", "set", MAC, "--loader", "grub")
    host.arm()
    capture = lab.capture(expression="udp port 69")
    with Machine(lab, "http-x64", mac=MAC) as machine:
        machine.wait_for("Bootyard: boot-once Debian 12 installer", timeout=ARRIVES)
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    assert not requested(capture.stop())
    boot = host.wait_for_steps(MAC, "discovered", "offered", "loader", "script", "kernel", "initrd")
    assert boot["firmware"] == "http-x64"
    assert step(boot, "loader")["path"] == "loaders/uefi-x64/grubx64.efi"
