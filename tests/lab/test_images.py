"""Images as people have them, booted to the installer."""

import shutil
import tarfile

import pytest

from tests.lab.debian_installer import INSTALLER
from tests.lab.host import ARRIVES, MAC, SERVICES, BootyardHost
from tests.lab.host import INSTALLER as ARRIVED
from tests.lab.machine import Machine
from tests.lab.network import Lab
from tests.lab.processes import LabError

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


def test_an_unattended_target_starts_by_boot_once_alone(lab: Lab, host: BootyardHost) -> None:
    description = host.images / "debian-12" / "image.toml"
    description.write_text('cmdline = "auto=true priority=critical console=ttyS0"\n')
    host.start_services()
    (target,) = host.get("/api/v1/targets")["items"]
    assert target["kind"] == "unattended"
    host.cli("policy", "set", "--timeout", "3")
    with pytest.raises(LabError, match="boot-once"):
        host.cli("machine", "set", MAC, "--target", "debian-12")
    with pytest.raises(LabError, match="boot-once"):
        host.cli("policy", "set", "--default", "debian-12")
    host.cli("machine", "set", MAC, "--name", "nuc-3")
    with Machine(lab, "bios", mac=MAC) as machine:
        machine.wait_for("starting the local disk", timeout=ARRIVES)
    host.arm()
    with Machine(lab, "bios", mac=MAC) as machine:
        # The installer asks for an address by itself, and by that shows that it runs.
        host.wait_for_steps(MAC, "script", "kernel", "initrd", "system_up", timeout=ARRIVES)
        machine.reset()
        machine.wait_for("starting the local disk", timeout=ARRIVES)
    assert [boot["image"] for boot in host.boots(MAC)] == [None, "debian-12", None]
