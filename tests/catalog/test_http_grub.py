"""`grub.cfg` from the catalog: GRUB gets what iPXE gets, in its own language."""

import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, web

from bootyard.boot.tree import BootTree
from bootyard.model.events import BootEvent, BootOutcome, OfferStage, Step
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import SignedChain
from services.catalog.http import grub_tcp
from services.catalog.http.routes import make_app
from tests.catalog.http_catalog import NUC, NUC_IP, PI, PI_IP, Running, running_catalog, write_image

QUERY = "platform=efi&buildarch=x86_64"
ARMED = "echo 'Bootyard: boot-once"
MENU = "menuentry 'Debian 12' --id 'start debian-12' {"
LOCAL_DISK = "function bootyard_local_disk {"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Running]:
    write_image(tmp_path / "images", "debian-12")
    write_image(tmp_path / "images", "auto", title="Unattended", cmdline="auto=true priority=high")
    async with running_catalog(tmp_path) as running:
        yield running


async def ask(
    running: Running,
    ip: str,
    mac: MACAddress | str | None = None,
    more: str = "",
    path: str = "/tree/grub/grub.cfg",
) -> str:
    claim = f"&mac={mac}" if mac is not None else ""
    async with (
        running.client(ip) as client,
        client.get(f"{path}?{QUERY}{claim}{more}", headers={"Host": "evil.test"}) as got,
    ):
        assert got.status == 200
        assert got.headers["Content-Type"] == "text/plain"
        text = await got.text()
        assert got.headers["Content-Length"] == str(len(text))
        return text


def event(running: Running, step: Step, sequence: int, at: float, **details: object) -> None:
    fields: dict[str, object] = {"service": "proxydhcp", "run": "r", "mac": NUC, **details}
    running.catalog.journal.observe(
        msgspec.convert(
            {**fields, "sequence": sequence, "time": at, "step": step}, BootEvent, strict=False
        )
    )


async def test_the_menu_of_a_machine(catalog: Running) -> None:
    menu = await ask(catalog, NUC_IP, NUC)
    assert MENU in menu
    port = catalog.service.snapshots.snapshot.http_port
    assert f"'(http,127.0.0.1:{port})/tree'" in menu
    assert "evil.test" not in menu
    boot = catalog.catalog.journal.timeline.current(NUC)
    assert boot is not None
    assert [(step.step, step.path) for step in boot.steps] == [
        ("script", "grub.cfg"),
        ("menu", "grub.cfg"),
    ]
    assert boot.firmware == "uefi-x64"


@pytest.mark.parametrize(
    "path",
    [
        "/tree/grub.cfg",
        "/tree/grub/x86_64-efi/grub.cfg",
        "/tree/grub/grub.cfg-01-52-54-00-12-34-56",
        "/tree/loaders/uefi-x64/grub.cfg",
        "/grub/grub.cfg",
        "/grub/x86_64-efi/grub.cfg",
        "/grub.cfg",
        "/boot/grub/grub.cfg",
        "/debian-installer/amd64/grub/grub.cfg",
        "/EFI/debian/grub.cfg",
        "/EFI/BOOT/grub.cfg",
    ],
)
async def test_every_name_of_the_configuration(catalog: Running, path: str) -> None:
    """After HTTP Boot GRUB asks where its builder told it to, below the server's root."""
    assert MENU in await ask(catalog, NUC_IP, NUC, path=path)


@pytest.mark.parametrize(("agent", "limit"), [("GRUB 2.12", 15_000), ("iPXE/1.21.1", 0)])
async def test_a_machine_that_was_switched_off_leaves_no_connection_behind(
    catalog: Running, monkeypatch: pytest.MonkeyPatch, agent: str, limit: int
) -> None:
    """GRUB uses the same ports at every start: what is left of the last boot is in the way."""
    limits = []
    forget = grub_tcp.forget_soon

    async def watched(request: web.Request, response: web.StreamResponse) -> None:
        await forget(request, response)
        connection = request.get_extra_info("socket")
        limits.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

    monkeypatch.setattr("services.catalog.http.routes.forget_soon", watched)
    app = make_app(catalog.catalog)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/tree/grub/grub.cfg"
        async with ClientSession() as client, client.get(url, headers={"User-Agent": agent}) as got:
            assert got.status == 200
    finally:
        await runner.cleanup()
    assert limits == [limit]


async def test_what_grub_asks_for_and_does_not_need_is_not_there(catalog: Running) -> None:
    async with (
        catalog.client(NUC_IP) as client,
        client.get("/grub/x86_64-efi/command.lst", headers={"Host": "evil.test"}) as got,
    ):
        assert got.status == 404
        assert await got.text() == "no such file\n"


async def test_boot_once_goes_to_one_boot(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    first = await ask(catalog, NUC_IP, NUC)
    assert f"{ARMED} Debian 12'" in first
    assert "menuentry" not in first
    assert ARMED not in await ask(catalog, PI_IP, PI)
    assert await ask(catalog, NUC_IP, NUC) == first
    await catalog.take(NUC_IP, "images/debian-12/linux")
    assert ARMED not in await ask(catalog, NUC_IP, NUC)


async def test_head_changes_nothing(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    async with catalog.client(NUC_IP) as client:
        async with client.head(f"/tree/grub/grub.cfg?{QUERY}&mac={NUC}") as got:
            assert got.status == 200
        async with client.get("/tree/.health") as got:
            assert await got.text() == "ok\n"
    assert catalog.catalog.journal.timeline.latest(NUC) is None
    assert ARMED in await ask(catalog, NUC_IP, NUC)


@pytest.mark.parametrize("claim", ["", None])
async def test_a_grub_that_does_not_know_its_mac(catalog: Running, claim: str | None) -> None:
    await catalog.arm(NUC, "debian-12")
    assert ARMED in await ask(catalog, NUC_IP, claim)


async def test_a_machine_that_claims_to_be_another_gets_the_plain_menu(catalog: Running) -> None:
    await catalog.arm(NUC, "debian-12")
    assert ARMED not in await ask(catalog, PI_IP, NUC)
    assert ARMED in await ask(catalog, NUC_IP, NUC)


async def test_an_unattended_target_is_named_and_not_started(catalog: Running) -> None:
    menu = await ask(catalog, NUC_IP, NUC)
    assert "menuentry 'Unattended: erases without asking, starts by boot-once only'" in menu
    assert "/auto@1/linux" not in menu


async def test_the_local_disk_ends_a_boot(catalog: Running) -> None:
    await ask(catalog, NUC_IP, NUC)
    script = await ask(catalog, NUC_IP, NUC, "&selected=local-disk")
    assert script.startswith(LOCAL_DISK)
    assert "menuentry" not in script
    boot = catalog.catalog.journal.timeline.latest(NUC)
    assert boot is not None
    assert boot.outcome is BootOutcome.LOCAL_DISK


async def test_a_database_that_fails_does_not_stop_a_boot(
    catalog: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(catalog.parts.database, "run", broken)
    assert MENU in await ask(catalog, NUC_IP, NUC)
    assert catalog.metric("bootyard_internal_errors_total", where="boot_script") == 1


async def test_a_vendors_own_grub_trusts_what_that_vendor_signed(catalog: Running) -> None:
    holder = catalog.service.snapshots
    chains = (SignedChain(shim="EFI/BOOT/BOOTX64.EFI", grub="EFI/BOOT/grubx64.efi"),)
    targets = dict(holder.snapshot.targets)
    targets["debian-12"] = msgspec.structs.replace(
        targets["debian-12"], signed_by="ubuntu", chains=chains
    )
    holder.adopt(BootTree(msgspec.structs.replace(holder.snapshot, targets=targets)))
    ours, theirs = "trusts what debian signed", "Debian 12: signed by ubuntu"
    assert theirs in await ask(catalog, NUC_IP, NUC), ours
    event(
        catalog,
        Step.LOADER,
        1,
        time.time(),
        service="tftp",
        outcome="complete",
        path="images/debian-12@1/EFI/BOOT/BOOTX64.EFI",
        image="debian-12",
    )
    assert theirs not in await ask(catalog, NUC_IP, NUC)


async def leave_for_disk(catalog: Running) -> None:
    event(catalog, Step.DISCOVERED, 1, time.time(), stage=OfferStage.ROM)
    await catalog.script(NUC_IP, NUC)
    assert "exit 1" in await catalog.script(NUC_IP, NUC, "&selected=local-disk")


async def test_firmware_on_its_way_to_the_disk_is_let_go(catalog: Running) -> None:
    """After PXE, UEFI tries HTTP Boot before the disk: the same menu again helps nobody."""
    await leave_for_disk(catalog)
    event(catalog, Step.DISCOVERED, 2, time.time(), stage=OfferStage.HTTP)
    again = await catalog.script(NUC_IP, NUC)
    assert again == await catalog.script(NUC_IP, NUC, "&selected=local-disk")
    assert (await ask(catalog, NUC_IP, NUC)).startswith(LOCAL_DISK)
    assert "menuentry" not in await ask(catalog, NUC_IP, NUC)
    boots = catalog.catalog.journal.timeline
    latest = boots.latest(NUC)
    assert latest is not None
    assert (latest.id, latest.outcome) == ("b-1", BootOutcome.LOCAL_DISK)


@pytest.mark.parametrize("seen", [True, False])
async def test_a_machine_that_is_switched_on_again_gets_its_menu(
    catalog: Running, seen: bool
) -> None:
    await leave_for_disk(catalog)
    if seen:
        event(catalog, Step.DISCOVERED, 2, time.time(), stage=OfferStage.ROM)
    assert "item debian-12" in await catalog.script(NUC_IP, NUC)


async def test_the_way_to_the_disk_ends(catalog: Running) -> None:
    await leave_for_disk(catalog)
    event(catalog, Step.DISCOVERED, 2, time.time(), stage=OfferStage.HTTP)
    boot = catalog.catalog.journal.timeline.latest(NUC)
    assert boot is not None
    assert boot.closed is not None
    boot.closed -= 130
    assert "item debian-12" in await catalog.script(NUC_IP, NUC)
