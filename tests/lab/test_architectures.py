"""Firmware of other processors than x64 finds its loader and shows its menu."""

import pytest

from tests.lab.host import ARRIVES, MAC, BootyardHost
from tests.lab.machine import Machine
from tests.lab.network import Lab
from tests.lab.test_journeys import check_proxy, dhcp, step

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]


def test_ia32_gets_grub(lab: Lab, host: BootyardHost) -> None:
    """Debian has no iPXE for it."""
    host.start_services()
    capture = lab.capture()
    with Machine(lab, "ia32", mac=MAC) as machine:
        machine.wait_for("GNU GRUB", timeout=ARRIVES)
        machine.wait_for("Local disk", timeout=ARRIVES)
        assert "installer" not in machine.console.text(), "that is for another processor"
    boot = host.wait_for_steps(MAC, "discovered", "offered", "loader", "script", "menu")
    assert boot["firmware"] == "uefi-ia32"
    assert step(boot, "loader")["path"] == "loaders/uefi-ia32/grubia32.efi"
    check_proxy(dhcp(capture.stop()))


@pytest.mark.needs("qemu-system-aarch64")
def test_arm64_gets_ipxe(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    capture = lab.capture()
    with Machine(lab, "arm64", mac=MAC) as machine:
        machine.wait_for("iPXE initialising", timeout=ARRIVES)
        machine.wait_for("Local disk", timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "discovered", "offered", "loader", "script", "menu")
    assert boot["firmware"] == "uefi-arm64"
    assert step(boot, "loader")["path"] == "loaders/uefi-arm64/ipxe.efi"
    check_proxy(dhcp(capture.stop()))
