"""`boot.ipxe`: who is believed, what is armed, and that there is always an answer."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootyard.model.architecture import Firmware, firmware_under
from bootyard.model.events import BootEvent, BootOutcome, OfferStage, Step
from bootyard.model.mac import MACAddress
from services.catalog.http.clients import Clients
from tests.catalog.http_catalog import NUC, NUC_IP, PI, PI_IP, Running, running_catalog, write_image

ARMED = "echo Bootyard: boot-once"
STRANGER_IP = "127.0.0.9"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Running]:
    write_image(tmp_path / "images", "debian-12")
    write_image(tmp_path / "images", "auto", title="Unattended", cmdline="auto=true priority=high")
    async with running_catalog(tmp_path) as running:
        yield running


def switched_on(running: Running, mac: MACAddress, sequence: int, at: float) -> None:
    """Let the firmware of a machine ask for an address."""
    running.catalog.journal.observe(
        BootEvent(
            service="proxydhcp",
            run="r",
            sequence=sequence,
            time=at,
            step=Step.DISCOVERED,
            mac=mac,
            stage=OfferStage.ROM,
        )
    )


async def test_the_menu_of_a_machine(catalog: Running) -> None:
    script = await catalog.script(NUC_IP, NUC)
    assert script.startswith("#!ipxe\n")
    assert "goto start_${selected}" in script
    port = catalog.service.snapshots.snapshot.http_port
    assert f"http://127.0.0.1:{port}/tree" in script
    boot = catalog.catalog.journal.timeline.current(NUC)
    assert boot is not None
    assert [step.step for step in boot.steps] == ["script", "menu"]
    assert (boot.firmware, boot.id) == (Firmware.UEFI_X64, "b-1")


@pytest.mark.parametrize(
    "path",
    [
        "/boot.ipxe",
        "/autoexec.ipxe",
        "/tree/boot.ipxe",
        "/tree/autoexec.ipxe",
        "/tree/loaders/uefi-x64/autoexec.ipxe",
    ],
)
async def test_every_name_of_the_script(catalog: Running, path: str) -> None:
    async with (
        catalog.client(NUC_IP) as client,
        client.get(f"{path}?mac={NUC}", headers={"Host": "evil.test"}) as got,
    ):
        text = await got.text()
        assert got.status == 200
        assert got.headers["Content-Type"] == "text/plain"
        assert got.headers["Content-Length"] == str(len(text))
    assert "goto start_${selected}" in text
    # An iPXE that HTTP Boot started has its interface closed.
    assert ("ifopen" in text) is path.endswith("/autoexec.ipxe")
    assert "evil.test" not in text


async def test_head_changes_nothing(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    async with catalog.client(NUC_IP) as client, client.head(f"/boot.ipxe?mac={NUC}") as got:
        assert got.status == 200
    assert catalog.catalog.journal.timeline.latest(NUC) is None
    assert ARMED in await catalog.script(NUC_IP, NUC)


async def test_boot_once_goes_to_one_boot(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    first = await catalog.script(NUC_IP, NUC)
    assert ARMED in first
    assert ARMED not in await catalog.script(PI_IP, PI)
    assert await catalog.script(NUC_IP, NUC) == first
    await catalog.take(NUC_IP, "images/debian-12/linux")
    assert ARMED not in await catalog.script(NUC_IP, NUC)
    assert ARMED not in await catalog.script(NUC_IP, NUC)
    async with asyncio.timeout(5):
        while True:
            record = await catalog.catalog.machines.get(NUC)
            assert record is not None
            assert record.boot_once is not None
            if record.boot_once.state == "burned":
                break
            await asyncio.sleep(0.01)


async def test_boot_once_of_two_machines(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    await catalog.arm(PI, "auto")
    assert "boot-once Debian 12" in await catalog.script(NUC_IP, NUC)
    assert "boot-once Unattended" in await catalog.script(PI_IP, PI)
    await catalog.take(NUC_IP, "images/debian-12/linux")
    assert "boot-once Unattended" in await catalog.script(PI_IP, PI)
    assert ARMED not in await catalog.script(NUC_IP, NUC)


async def test_boot_once_is_not_for_the_boot_after(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    switched_on(catalog, NUC, 1, 1000)
    assert ARMED in await catalog.script(NUC_IP, NUC)
    switched_on(catalog, NUC, 2, 9e9)  # its kernel was never taken
    assert ARMED not in await catalog.script(NUC_IP, NUC)


async def test_boot_once_when_the_kernel_came_over_tftp(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    assert ARMED in await catalog.script(NUC_IP, NUC)
    catalog.catalog.journal.observe(
        BootEvent(
            service="tftp",
            run="r",
            sequence=1,
            time=9e9,
            step=Step.KERNEL,
            mac=NUC,
            outcome="complete",
            path="images/debian-12@1/linux",
            image="debian-12",
        )
    )
    assert ARMED not in await catalog.script(NUC_IP, NUC)


async def test_half_a_kernel_uses_nothing_up(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    await catalog.script(NUC_IP, NUC)
    async with (
        catalog.client(NUC_IP) as client,
        client.get("/tree/images/debian-12/linux", headers={"Range": "bytes=0-999"}) as got,
    ):
        await got.read()
    assert ARMED in await catalog.script(NUC_IP, NUC)


async def test_an_unattended_target_is_never_in_a_menu(catalog: Running) -> None:
    script = await catalog.script(NUC_IP, NUC)
    assert "start_auto" not in script
    assert "item debian-12" in script


@pytest.mark.parametrize("ip", [PI_IP, STRANGER_IP])
async def test_a_machine_that_claims_to_be_another_gets_the_plain_menu(
    catalog: Running, ip: str
) -> None:
    await catalog.arm(NUC, "debian-12")
    plain = await catalog.script("127.0.0.8")
    forged = await catalog.script(ip, NUC)
    assert forged == plain
    assert ARMED not in forged
    assert catalog.metric("bootyard_http_unproven_machines_total") == 2
    timeline = catalog.catalog.journal.timeline
    assert timeline.latest(NUC) is None
    assert (timeline.latest(PI) is not None) is (ip == PI_IP), "it is told of who did it"
    assert ARMED in await catalog.script(NUC_IP, NUC)


@pytest.mark.parametrize("claim", ["nonsense", "", "ff:ff", "${netX/mac}"])
async def test_a_mac_that_is_none(catalog: Running, claim: str) -> None:
    async with (
        catalog.client(NUC_IP) as client,
        client.get("/boot.ipxe", params={"mac": claim}) as got,
    ):
        assert got.status == 200
        assert (await got.text()).startswith("#!ipxe")


async def test_what_proxydhcp_learned_is_believed_too(catalog: Running) -> None:
    """Behind a relay the neighbour table knows the router only."""
    await catalog.arm(NUC, "debian-12")
    catalog.catalog.journal.observe(
        BootEvent(
            service="proxydhcp",
            run="r",
            sequence=1,
            time=1.0,
            step=Step.ADDRESSED,
            mac=NUC,
            ip=STRANGER_IP,
        )
    )
    assert ARMED in await catalog.script(STRANGER_IP, NUC)


async def test_without_a_mac_the_network_tells(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    assert ARMED in await catalog.script(NUC_IP)


async def test_the_local_disk_ends_a_boot(catalog: Running) -> None:
    await catalog.script(NUC_IP, NUC)
    script = await catalog.script(NUC_IP, NUC, "&selected=local-disk")
    assert "exit" in script
    assert "menu" not in script
    boot = catalog.catalog.journal.timeline.latest(NUC)
    assert boot is not None
    assert boot.outcome is BootOutcome.LOCAL_DISK
    labels = {"firmware": "uefi-x64", "outcome": "local_disk"}
    assert catalog.metric("bootyard_boots_total", **labels) == 1


async def test_a_database_that_fails_does_not_stop_a_boot(
    catalog: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(catalog.parts.database, "run", broken)
    script = await catalog.script(NUC_IP, NUC)
    assert "item debian-12" in script
    labels = {"where": "boot_script"}
    assert catalog.metric("bootyard_internal_errors_total", **labels) == 1


async def test_a_database_that_hangs_does_not_stop_a_boot(
    catalog: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hanging(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("services.catalog.http.boot.BOOT_ONCE_SECONDS", 0.2)
    with monkeypatch.context() as patched:
        patched.setattr(catalog.parts.database, "run", hanging)
        async with asyncio.timeout(5):
            assert "item debian-12" in await catalog.script(NUC_IP, NUC)
    # The journal's own task may be stuck in the hanging call; a new boot is served all the same.
    assert "item debian-12" in await catalog.script(PI_IP, PI)


@pytest.mark.parametrize(
    ("platform", "buildarch", "firmware"),
    [
        ("efi", "x86_64", "uefi-x64"),
        ("efi", "i386", "uefi-ia32"),
        ("efi", "arm64", "uefi-arm64"),
        ("efi", "arm32", "uefi-arm32"),
        ("pcbios", "i386", "bios"),
        ("pcbios", "x86_64", "bios"),
        ("sbi", "riscv64", None),
        ("efi", "vax", None),
        (None, None, None),
    ],
)
def test_firmware(platform: str | None, buildarch: str | None, firmware: str | None) -> None:
    assert firmware_under(platform, buildarch) == firmware


def test_who_is_proven() -> None:
    table = {IPv4Address("192.0.2.1"): NUC}
    clients = Clients({"192.0.2.1": PI}.get, IPv4Address("192.0.2.254"), table.get)
    address = IPv4Address("192.0.2.1")
    assert clients.proven(address, NUC) == NUC
    assert clients.proven(address, PI) == PI, (
        "proxydhcp heard it more lately, or a relay is between"
    )
    assert clients.proven(address, "52-54-00-12-34-56") == NUC
    assert clients.proven(address, "52:54:00:00:00:09") is None
    assert clients.machine_at(address) == NUC
    assert clients.machine_at(IPv4Address("192.0.2.9")) is None
