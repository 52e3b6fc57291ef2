"""Firmware that enforces Secure Boot reaches the installer through Debian's shim and GRUB."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.lab.debian_installer import make_debian_folder
from tests.lab.grub import LOADERS, make_signed_local_disk, requested
from tests.lab.host import ARRIVES, INSTALLER, MAC, BootyardHost
from tests.lab.local_disk import GREETING
from tests.lab.machine import Machine
from tests.lab.network import Lab
from tests.lab.processes import wait_until
from tests.lab.test_journeys import check_proxy, dhcp, step

pytestmark = pytest.mark.timeout(900)


def learned(host: BootyardHost) -> str | None:
    """What the catalog concluded of the machine's Secure Boot."""
    machine = host.get(f"/api/v1/machines/{MAC}") or {}
    found: str | None = machine.get("learned", {}).get("secure_boot")
    return found


def wait_until_learned(host: BootyardHost, word: str) -> None:
    wait_until(
        lambda: learned(host) == word or None,
        timeout=ARRIVES,
        failure=lambda: f"{word}: {host.get(f'/api/v1/machines/{MAC}')}, {host.boots(MAC)}",
    )
    host.wait_snapshot()


def loaders(boot: dict[str, Any]) -> list[str]:
    return [s["path"].rpartition("/")[2] for s in boot["steps"] if s["step"] == "loader"]


def test_a_pinned_machine_reaches_the_installer_at_once(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    host.cli("machine", "set", MAC, "--secure-boot", "on")
    host.arm()
    capture = lab.capture()
    with Machine(lab, "secure-boot", mac=MAC) as machine:
        machine.wait_for("Bootyard: boot-once Debian 12 installer", timeout=ARRIVES)
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    boot = host.wait_for_steps(
        MAC, "discovered", "offered", "acked", "loader", "script", "kernel", "initrd"
    )
    assert (boot["firmware"], boot["image"], boot["outcome"]) == (
        "uefi-x64",
        "debian-12",
        "running",
    )
    assert loaders(boot) == ["shimx64.efi", "grubx64.efi"]
    assert step(boot, "kernel")["transport"] == "http"
    assert step(boot, "initrd")["transport"] == "http"
    assert any(s["step"] == "script" and s["path"] == "grub.cfg" for s in boot["steps"])
    assert len(host.boots(MAC)) == 1

    datagrams = capture.stop()
    check_proxy(dhcp(datagrams))
    names = [name.rpartition("/")[2] for name in requested(datagrams)]
    chain = ["shimx64.efi", "grubx64.efi", "grub.cfg"]
    assert [name for name in names if name in chain] == chain
    assert "linux" not in names
    counted = 'bootyard_boots_total{firmware="uefi-x64",outcome="running"}'
    assert host.metric("catalog", counted) == 1.0


def test_nothing_is_pinned_and_the_second_boot_arrives(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    host.cli("machine", "set", MAC, "--name", "box")
    with Machine(lab, "secure-boot", mac=MAC) as machine:
        # The firmware refuses the loader and goes on to its next boot option by itself.
        machine.wait_for("Access Denied", timeout=ARRIVES)
        wait_until_learned(host, "probable")
        refused = host.boots(MAC)[-1]
        assert refused["outcome"] == "secure_boot"
        assert loaders(refused) == ["snponly.efi"]
        host.arm()
        machine.reset()
        machine.wait_for("Bootyard: boot-once Debian 12 installer", timeout=ARRIVES)
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "loader", "script", "kernel", "initrd")
    assert loaders(boot) == ["shimx64.efi", "grubx64.efi"]
    wait_until_learned(host, "confirmed")


@pytest.mark.long
def test_an_image_brings_its_own_signed_chain(lab: Lab, host: BootyardHost) -> None:
    folder = make_debian_folder(host.images, "vendor")
    (folder / "EFI").mkdir()
    # No other vendor's files are at hand: Debian's stand in, under the names that a disc has.
    for ours, theirs in (("shimx64.efi", "BOOTX64.EFI"), ("grubx64.efi", "gcdx64.efi")):
        shutil.copyfile(LOADERS / "uefi-x64" / ours, folder / "EFI" / theirs)
    with (folder / "image.toml").open("a") as description:
        description.write('[secureboot]\nshim = "EFI/BOOTX64.EFI"\ngrub = "EFI/gcdx64.efi"\n')
    host.start_services()
    host.wait_for_image("vendor")
    host.cli("machine", "set", MAC, "--secure-boot", "on")
    host.cli("machine", "boot-once", MAC, "vendor")
    host.wait_snapshot()
    capture = lab.capture()
    with Machine(lab, "secure-boot", mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "loader", "loader", "script", "kernel", "initrd")
    assert (boot["image"], boot["outcome"]) == ("vendor", "running")
    names = requested(capture.stop())
    assert "images/vendor@1/EFI/BOOTX64.EFI" in names
    assert not any(name.startswith("loaders/") for name in names), "nothing of the packaged chain"


@pytest.mark.long
def test_left_alone_it_goes_on_to_the_system_on_its_disk(
    lab: Lab, host: BootyardHost, tmp_path: Path
) -> None:
    host.start_services()
    host.cli("policy", "set", "--timeout", "3")
    host.cli("machine", "set", MAC, "--secure-boot", "on")
    disk = make_signed_local_disk(tmp_path / "disk.img")
    with Machine(lab, "secure-boot", mac=MAC, disk=disk) as machine:
        machine.wait_for("Debian 12 installer", timeout=ARRIVES)
        machine.wait_for(GREETING, timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "loader", "script", "menu", "script")
    assert boot["outcome"] == "local_disk"
    assert len(host.boots(MAC)) == 1, "GRUB starts the disk itself: no other option is tried"
