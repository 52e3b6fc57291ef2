"""Images as people have them, booted to the installer."""

import shutil
import tarfile

import pytest

from tests.lab.debian_installer import INSTALLER
from tests.lab.host import ARRIVES, MAC, SERVICES, BootyardHost
from tests.lab.host import INSTALLER as ARRIVED
from tests.lab.machine import Machine
from tests.lab.network import Lab

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]


def test_debians_netboot_tarball_boots_as_it_is(lab: Lab, host: BootyardHost) -> None:
    shutil.rmtree(host.images / "debian-12")
    host.start("redis", *SERVICES)
    netboot = INSTALLER.parents[1]
    with tarfile.open(host.images / "debian-net.tar.gz", "w:gz", compresslevel=1) as tarball:
        tarball.add(netboot, arcname=".")
    (host.images / "debian-net.toml").write_text('cmdline_append = "console=ttyS0"\n')
    host.wait_for_target("debian-net")
    host.wait_snapshot()
    (image,) = host.get("/api/v1/images")["items"]
    assert (image["id"], image["kind"], image["state"]) == ("debian-net", "installer", "ready")
    host.cli("machine", "boot-once", MAC, "debian-net")
    host.wait_snapshot()
    with Machine(lab, "bios", mac=MAC) as machine:
        machine.wait_for(ARRIVED, timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "script", "kernel", "initrd")
    assert boot["image"] == "debian-net"


def test_a_live_target_starts_by_itself_and_an_installer_waits(
    lab: Lab, host: BootyardHost
) -> None:
    (host.images / "live").mkdir()
    for name in ("linux", "initrd.gz"):
        shutil.copyfile(host.images / "debian-12" / name, host.images / "live" / name)
    (host.images / "live" / "image.toml").write_text(
        'kind = "live"\ntitle = "Live"\ncmdline = "console=ttyS0"\n'
    )
    host.start_services()
    host.wait_for_target("live")
    host.cli("policy", "set", "--timeout", "3")
    host.cli("machine", "set", MAC, "--target", "debian-12")
    host.wait_snapshot()
    with Machine(lab, "bios", mac=MAC) as machine:
        machine.wait_for("starting the local disk", timeout=ARRIVES)
    host.cli("machine", "set", MAC, "--target", "live", "--kernel-args", "quiet")
    host.wait_snapshot()
    with Machine(lab, "bios", mac=MAC) as machine:
        machine.wait_for(ARRIVED, timeout=ARRIVES)
    newest, before = host.boots(MAC)
    assert (before["outcome"], newest["image"]) == ("local_disk", "live")
