"""Machines that reach the menu by pxelinux, syslinux.efi or undionly.kpxe: without our iPXE."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.debian_installer import make_debian_folder
from tests.lab.host import ARRIVES, INSTALLER, MAC, BootyardHost, choose_second_entry
from tests.lab.local_disk import GREETING, make_local_disk
from tests.lab.machine import Kind, Machine
from tests.lab.network import BOOT_ADDRESS, Lab
from tests.lab.processes import wait_until

pytestmark = pytest.mark.timeout(600)

WITHOUT_IPV6_PXE = ("-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n")

TITLE = "Debian 12 installer"
STEPS = ("loader", "menu", "kernel", "initrd")
SEED = (
    "--dhcp-match=set:efi64,option:client-arch,7",
    "--dhcp-match=set:bios,option:client-arch,0",
    f"--dhcp-boot=tag:efi64,syslinux.efi,,{BOOT_ADDRESS}",
    f"--dhcp-boot=tag:bios,pxelinux.0,,{BOOT_ADDRESS}",
)
"""A router that has always named the boot files; of all that only the address is new."""


def pin(host: BootyardHost, loader: str) -> None:
    host.start_services()
    host.cli("machine", "set", MAC, "--loader", loader)
    host.cli("policy", "set", "--timeout", "0")
    host.wait_snapshot()


def choose_the_installer(machine: Machine) -> None:
    machine.wait_for(TITLE, timeout=ARRIVES)
    choose_second_entry(machine)
    machine.wait_for(INSTALLER, timeout=ARRIVES)


def paths(host: BootyardHost) -> list[str]:
    """What the machine's only boot fetched of loaders and menus."""
    [boot] = host.boots(MAC)
    return [step["path"] for step in boot["steps"] if step["step"] in {"loader", "menu", "script"}]


@pytest.mark.parametrize(
    ("kind", "loader", "file"),
    [
        ("bios", "pxelinux", "loaders/bios/lpxelinux.0"),
        ("uefi-x64", "syslinux", "loaders/uefi-x64/syslinux.efi"),
    ],
)
def test_a_pinned_machine_reaches_the_installer(
    lab: Lab, host: BootyardHost, kind: Kind, loader: str, file: str
) -> None:
    pin(host, loader)
    with Machine(lab, kind, mac=MAC) as machine:
        choose_the_installer(machine)
    boot = host.wait_for_steps(MAC, "discovered", "offered", *STEPS)
    assert (boot["firmware"], boot["image"], boot["outcome"]) == (kind, "debian-12", "running")
    assert paths(host)[0] == file
    transports = {step["step"]: step.get("transport") for step in boot["steps"]}
    assert [transports[step] for step in STEPS] == ["tftp"] * len(STEPS)


@pytest.fixture
def seed(tmp_path: Path) -> Iterator[BootyardHost]:
    """A LAN whose router names the boot files: proxydhcp is not needed and does not run."""
    with Lab(tmp_path / "lab", router_options=SEED) as lab:
        host = BootyardHost(lab)
        make_debian_folder(host.images)
        host.start("redis", "catalog", "tftp")
        host.wait_for_target("debian-12")
        host.cli("policy", "set", "--timeout", "0")

        def tftp_follows() -> bool | None:
            held = {host.readiness(name).get("snapshot") for name in ("catalog", "tftp")}
            return len(held) == 1 or None

        wait_until(tftp_follows, timeout=15, failure=host.log)
        yield host
        print(host.log())


@pytest.mark.long
@pytest.mark.parametrize(("kind", "loader"), [("bios", "pxelinux.0"), ("uefi-x64", "syslinux.efi")])
def test_a_router_that_names_the_boot_file_is_enough(
    seed: BootyardHost, kind: Kind, loader: str
) -> None:
    with Machine(seed.lab, kind, mac=MAC) as machine:
        choose_the_installer(machine)
    boot = seed.wait_for_steps(MAC, *STEPS)
    assert (boot["firmware"], boot["image"]) == (kind, "debian-12")
    assert paths(seed)[0] == loader


@pytest.mark.long
@pytest.mark.parametrize(("kind", "loader"), [("bios", "pxelinux"), ("uefi-x64", "syslinux")])
def test_what_erases_is_named_and_the_first_entry_is_the_local_disk(
    lab: Lab, host: BootyardHost, tmp_path: Path, kind: Kind, loader: str
) -> None:
    description = make_debian_folder(host.images, "wipe") / "image.toml"
    text = description.read_text().replace('kind = "installer"', 'kind = "unattended"')
    description.write_text(text.replace(TITLE, "Wipe"))
    pin(host, loader)
    host.wait_for_image("wipe")
    disk = make_local_disk(tmp_path / "disk.img")
    # Between the network and the disk, OVMF tries HTTP Boot, for a minute over IPv4 and over IPv6.
    with Machine(lab, kind, mac=MAC, disk=disk, extra=WITHOUT_IPV6_PXE) as machine:
        machine.wait_for("Wipe: erases without asking", timeout=ARRIVES)
        machine.press("down", "down", "ret")  # back to the menu
        machine.press("up", "up", "ret")
        machine.wait_for(GREETING, timeout=2 * ARRIVES)
    steps = {step["step"] for boot in host.boots(MAC) for step in boot["steps"]}
    assert "menu" in steps
    assert not steps & {"kernel", "initrd", "system_up"}


@pytest.mark.long
def test_a_pinned_undionly_is_loaded_once_by_the_rom(lab: Lab, host: BootyardHost) -> None:
    """The ROM and what it loads are both iPXE, and ask in the same words."""
    pin(host, "undionly")
    host.arm()
    with Machine(lab, "bios", mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "discovered", "offered", "loader", "script", "kernel", "initrd")
    loaders = [step["path"] for step in boot["steps"] if step["step"] == "loader"]
    assert loaders == ["loaders/bios/undionly.kpxe"]
