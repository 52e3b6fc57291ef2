"""The page in a real browser, with a library and a boot on it."""

import re
import struct
from pathlib import Path

import pytest

from tests.lab.host import ARRIVES, INSTALLER, MAC, BootyardHost
from tests.lab.machine import Machine
from tests.lab.network import Lab

pytestmark = [pytest.mark.timeout(600), pytest.mark.long, pytest.mark.needs("chromium")]

BROWSER = [
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--hide-scrollbars", "--enable-logging=stderr"),
]


def browse(lab: Lab, profile: Path, *arguments: str, page: str = "/") -> tuple[str, str]:
    """Open the page; what the browser printed, and what it complained about."""
    done = lab.run(
        "boot",
        [*BROWSER, f"--user-data-dir={profile}", *arguments, f"http://192.0.2.10:8080{page}"],
        timeout=90,
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, "\n".join(complaints)


def test_a_person_sees_images_machines_and_boots(
    lab: Lab, host: BootyardHost, tmp_path: Path
) -> None:
    (host.images / "broken.tar.gz").write_bytes(b"not a tarball")
    host.start_services()
    host.cli("machine", "set", MAC, "--name", "nuc-3")
    host.arm()
    with Machine(lab, "bios", mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    host.wait_for_steps(MAC, "kernel", "initrd")

    document, complaints = browse(lab, tmp_path / "profile", "--dump-dom")
    assert complaints == ""
    text = re.sub(r"<[^>]+>|\s+", " ", document)
    for part in ("Debian 12 installer", "nuc-3", MAC, "initrd", "broken", "bios"):
        assert part in text, text

    for width, height, theme in ((1280, 1600, "light"), (360, 740, "dark")):
        shot = tmp_path / f"page-{width}.png"
        browse(
            lab,
            tmp_path / "profile",
            f"--screenshot={shot}",
            f"--window-size={width},{height}",
            *(["--force-dark-mode"] if theme == "dark" else []),
        )
        data = shot.read_bytes()
        assert struct.unpack(">II", data[16:24])[0] >= width
