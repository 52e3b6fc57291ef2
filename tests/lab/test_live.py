"""A live system dropped in as an ISO while Bootyard runs, and booted to its login, from the ISO."""

import shutil

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


def drop_in(host: BootyardHost, name: str = "debian-live.iso") -> None:
    """Put the ISO into the folder of images, as a slow copy would, and wait until it boots."""
    image = name.removesuffix(".iso")
    with debian_live_iso().open("rb") as source, (host.images / name).open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
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
