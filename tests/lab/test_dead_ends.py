"""A loader that does not start costs a machine one power-on, and not more."""

import pytest

from tests.lab.host import ARRIVES, INSTALLER, MAC, BootyardHost
from tests.lab.machine import Machine
from tests.lab.network import Lab
from tests.lab.processes import wait_until

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]

BROKEN = b"MZ" + bytes(300_000)
"""Looks like a program, and is none: as a copy that was cut off, or a build for another machine."""


def loaders(boot: dict[str, object]) -> list[str]:
    steps = boot["steps"]
    assert isinstance(steps, list)
    return [step["path"] for step in steps if step["step"] == "loader"]


def test_a_broken_loader_is_passed_over(lab: Lab, host: BootyardHost) -> None:
    own = lab.work / "loaders" / "uefi-x64"
    own.mkdir(parents=True)
    (own / "snponly.efi").write_bytes(BROKEN)
    host.start_services()
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for("Start PXE over IPv4", timeout=ARRIVES)
        wait_until(
            lambda: any(loaders(boot) for boot in host.boots(MAC)) or None,
            timeout=ARRIVES,
            failure=lambda: f"a loader in {host.boots(MAC)}",
        )
        first = host.boots(MAC)[-1]
        assert loaders(first) == ["loaders/uefi-x64/snponly.efi"]
        wait_until(
            lambda: host.boots(MAC)[-1]["outcome"] == "secure_boot" or None,
            timeout=ARRIVES,
            failure=lambda: f"a refused loader in {host.boots(MAC)}",
        )
        assert "probably" in host.boots(MAC)[-1]["verdict"]
        host.wait_snapshot()
        host.arm()
        machine.reset()
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "loader", "script", "kernel", "initrd")
    assert "loaders/uefi-x64/snponly.efi" not in loaders(boot)
    assert (boot["image"], boot["outcome"]) == ("debian-12", "running")
