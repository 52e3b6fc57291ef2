"""A live system dropped in as an ISO while Bootyard runs, and booted to its login, from the ISO."""

import shutil
from pathlib import Path

import pytest

from tests.lab.host import MAC, BootyardHost
from tests.lab.live_iso import READY, debian_live_iso
from tests.lab.machine import Kind, Machine
from tests.lab.network import Lab
from tests.lab.processes import wait_until
from tests.lab.test_secure_boot import loaders

pytestmark = [
    pytest.mark.timeout(1500),
    pytest.mark.long,
    pytest.mark.needs("mmdebstrap", "mksquashfs", "xorriso"),
]

LOGIN_SECONDS = 600
SERIAL = "console=ttyS0,115200"
MEMTEST = Path("/usr/lib/memtest86+/memtest86+x64.iso")


def drop_in(host: BootyardHost, name: str = "debian-live.iso") -> None:
    """Put the ISO into the folder of images, as a slow copy would, and wait until it boots."""
    image = name.removesuffix(".iso")
    with debian_live_iso().open("rb") as source, (host.images / name).open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
    wait_for_image(host, image)


def wait_for_image(host: BootyardHost, image: str) -> None:
    """Wait until every service has an image that was just put there."""
    wait_until(
        lambda: next((i for i in host.get("/api/v1/images")["items"] if i["id"] == image), None),
        timeout=60,
        failure=host.log,
    )
    host.wait_snapshot()


@pytest.mark.parametrize("kind", ["bios", "uefi-x64"])
def test_a_live_iso_boots_to_its_login(lab: Lab, host: BootyardHost, kind: Kind) -> None:
    host.start_services()
    host.cli("policy", "set", "--timeout", "3")
    drop_in(host)
    (image,) = [i for i in host.get("/api/v1/images")["items"] if i["id"] == "debian-live"]
    assert (image["state"], image["recipe"], image["kind"]) == ("ready", "debian-live", "live")
    host.cli("machine", "set", MAC, "--target", "debian-live", "--kernel-args", SERIAL)
    host.wait_snapshot()
    with Machine(lab, kind, mac=MAC, memory_mb=1024) as machine:
        machine.wait_for(READY, timeout=LOGIN_SECONDS)
    boot = host.wait_for_steps(MAC, "script", "kernel", "initrd")
    assert boot["image"] == "debian-live"
    squashfs = 'bootyard_http_sent_bytes_total{file_class="image"}'
    assert host.metric("catalog", squashfs) > 100e6
    assert not (host.state / "derived").exists() or not list((host.state / "derived").iterdir())


def test_its_own_shim_and_grub_boot_it_under_secure_boot(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    drop_in(host)
    host.cli("machine", "set", MAC, "--secure-boot", "on", "--kernel-args", SERIAL)
    host.cli("machine", "boot-once", MAC, "debian-live")
    host.wait_snapshot()
    with Machine(lab, "secure-boot", mac=MAC, memory_mb=1536) as machine:
        machine.wait_for(READY, timeout=LOGIN_SECONDS)
    boot = host.wait_for_steps(MAC, "loader", "kernel", "initrd")
    paths = [s["path"] for s in boot["steps"] if s["step"] == "loader"]
    assert loaders(boot) == ["BOOTX64.EFI", "grubx64.efi"]
    assert all(path.startswith("images/debian-live@") for path in paths)


@pytest.mark.parametrize("kind", ["bios", "uefi-x64"])
def test_memtest_starts_from_its_iso(lab: Lab, host: BootyardHost, kind: Kind) -> None:
    host.start_services()
    host.cli("policy", "set", "--timeout", "3")
    shutil.copyfile(MEMTEST, host.images / "memtest.iso")
    wait_for_image(host, "memtest")
    targets = [t["id"] for t in host.get("/api/v1/targets")["items"] if t["image"] == "memtest"]
    target = next((t for t in targets if kind == "bios" and t != "memtest"), targets[0])
    host.cli("machine", "set", MAC, "--target", target, "--kernel-args", SERIAL)
    host.wait_snapshot()
    with Machine(lab, kind, mac=MAC, memory_mb=512) as machine:
        machine.wait_for("Memtest86", timeout=LOGIN_SECONDS)


def test_an_iso_that_is_replaced_while_it_boots_is_never_mixed(
    lab: Lab, host: BootyardHost
) -> None:
    host.start_services()
    host.cli("policy", "set", "--timeout", "3")
    drop_in(host)
    host.cli("machine", "set", MAC, "--target", "debian-live", "--kernel-args", SERIAL)
    host.wait_snapshot()
    with Machine(lab, "bios", mac=MAC) as machine:
        host.wait_for_steps(MAC, "script", "kernel", timeout=LOGIN_SECONDS)
        # Moved over it, as downloads are finished: who has the old one open gets all of it.
        shutil.copyfile(MEMTEST, host.images / "next.iso.part")
        (host.images / "next.iso.part").rename(host.images / "debian-live.iso")
        # The kernel boots with its own initrd or not at all; its root file system is gone.
        machine.wait_for_any("Unable to find a live file system", READY, timeout=LOGIN_SECONDS)
    wait_until(
        lambda: [i for i in host.get("/api/v1/images")["items"] if i["revision"] == 2] or None,
        timeout=60,
        failure=host.log,
    )
