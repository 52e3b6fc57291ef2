"""The page in a real browser, with a library and a boot on it."""

import asyncio
import re
import struct
from pathlib import Path

import pytest

from tests.lab.browser import BROWSER, Tab, open_tab, start_browser
from tests.lab.host import ARRIVES, INSTALLER, MAC, BootyardHost
from tests.lab.machine import Machine
from tests.lab.network import Lab
from tests.namespaces import inside

pytestmark = [pytest.mark.timeout(600), pytest.mark.long, pytest.mark.needs("chromium")]

URL = "http://192.0.2.10:8080/"
NEW = "52:54:00:aa:bb:cc"
"""A machine that nobody said anything about."""


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


def test_a_person_arms_a_machine_with_the_keyboard(
    lab: Lab, host: BootyardHost, tmp_path: Path
) -> None:
    host.start_services()
    auto = host.images / "auto"
    auto.mkdir()
    for name in ("linux", "initrd.gz"):
        (auto / name).hardlink_to(host.images / "debian-12" / name)
    (auto / "image.toml").write_text("kind = 'unattended'\n")
    host.wait_for_image("auto")
    host.cli("machine", "set", MAC, "--name", "nuc-3")
    start_browser(lab, tmp_path / "profile")
    token = (host.state / "catalog" / "admin-token").read_text().strip()
    inside(lab.namespace("boot"), lambda: asyncio.run(_arm_a_machine(host, token)))


async def _arm_a_machine(host: BootyardHost, token: str) -> None:
    async with open_tab(URL) as tab:
        chosen = f"choose-{MAC.replace(':', '-')}"
        await tab.until(f"!!document.getElementById('{chosen}')")
        assert await _said(tab, "change", "hidden"), "nothing can be changed before signing in"

        await tab.tab_to("token")
        await tab.type("not the token")
        await tab.press("Enter", 13)
        await tab.until("document.getElementById('failed').textContent.includes('admin token')")
        await tab.value("document.getElementById('token').select()")
        await tab.type(token)
        await tab.press("Enter", 13)
        await tab.until("document.getElementById('said').textContent === 'Signed in.'")
        assert await tab.value("Object.keys(localStorage).length + document.cookie.length") == 0

        await tab.tab_to(chosen)
        await tab.press("Enter", 13)
        await tab.until("document.activeElement.id === 'target'")
        assert await _said(tab, "mac", "value") == MAC
        await tab.value(
            "(t => { t.value = 'auto'; t.dispatchEvent(new Event('change')) })"
            "(document.getElementById('target'))"
        )
        assert await _said(tab, "set", "disabled"), "what erases is no standing target"
        assert not await _said(tab, "arm", "disabled")
        await tab.tab_to("arm")
        await tab.press("Enter", 13)
        await tab.until("document.getElementById('said').textContent.includes('boots auto once')")
        await tab.until("document.getElementById('machines').textContent.includes('auto (until 2')")
        assert host.get(f"/api/v1/machines/{MAC}")["boot_once"]["state"] == "armed"

        await tab.tab_to("disarm")
        await tab.press("Enter", 13)
        await tab.until("document.getElementById('said').textContent.includes('nothing is armed')")
        await tab.until("!document.getElementById('machines').textContent.includes('(until')")
        await tab.press("Enter", 13)
        await tab.until(
            "document.getElementById('failed').textContent.includes('nothing is armed')"
        )

        await tab.value(f"document.getElementById('mac').value = '{NEW}'")
        await tab.value(
            "(t => { t.value = 'debian-12'; t.dispatchEvent(new Event('change')) })"
            "(document.getElementById('target'))"
        )
        await tab.tab_to("set")
        await tab.press("Enter", 13)
        await tab.until(f"document.getElementById('machines').textContent.includes('{NEW}')")
        assert host.get(f"/api/v1/machines/{NEW}")["target"] == "debian-12"

        await tab.value("document.getElementById('mac').value = 'rubbish'")
        await tab.press("Enter", 13)
        await tab.until("document.getElementById('failed').textContent.includes('rubbish')")
        # That requests were refused is what was wanted; of the page itself it says nothing.
        assert [c for c in tab.complaints if '"source": "network"' not in c] == []


async def _said(tab: Tab, element: str, name: str) -> object:
    return await tab.value(f"document.getElementById('{element}').{name}")
