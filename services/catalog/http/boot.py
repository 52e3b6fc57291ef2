"""`boot.ipxe` and `autoexec.ipxe`: the catalog's answer to a machine that wants to boot."""

import asyncio

import msgspec
from aiohttp import web

from bootyard.boot.client import RequestFacts
from bootyard.boot.menus.ipxe import render_local_disk, render_plan
from bootyard.boot.menus.server import Server
from bootyard.boot.plan import ShowMenu, make_plan
from bootyard.model.architecture import Firmware
from bootyard.model.events import FileClass, Step, TransferOutcome
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import LOCAL_DISK, BootTarget, Snapshot
from bootyard.runtime.log import get_logger
from services.catalog.boots.boot import Boot
from services.catalog.http.context import CATALOG, Catalog

log = get_logger(__name__)

BOOT_ONCE_SECONDS = 3.0
"""How long the database may take; a machine that waits longer gets the menu."""

_EFI = {
    "x86_64": Firmware.UEFI_X64,
    "i386": Firmware.UEFI_IA32,
    "arm64": Firmware.UEFI_ARM64,
    "arm32": Firmware.UEFI_ARM32,
    "riscv64": Firmware.UEFI_RISCV64,
    "loong64": Firmware.UEFI_LOONG64,
}
"""iPXE's `${buildarch}` on the platform `efi`."""


def firmware_named(platform: str | None, buildarch: str | None) -> Firmware | None:
    """Name the firmware that iPXE's `${platform}` and `${buildarch}` tell of; None: not known."""
    if platform == "pcbios":
        return Firmware.BIOS
    return _EFI.get(buildarch or "") if platform == "efi" else None


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that asks for its script."""

    facts: RequestFacts
    mac: MACAddress | None
    """What it is, beyond what it says; None: not proven."""
    firmware: Firmware | None
    chose_local_disk: bool
    is_question: bool
    """A HEAD: nothing may change by it."""


async def boot_script(request: web.Request) -> web.Response:
    """Answer what this machine boots. Whatever fails here, it gets a menu."""
    catalog = request.app[CATALOG]
    snapshot = catalog.snapshots.snapshot
    asker = _asker(request, catalog)
    server = Server(
        address=asker.facts.server_address, http_port=snapshot.http_port, catalog_answers=True
    )
    try:
        text = await _script_for(asker, catalog, snapshot, server)
    except Exception:
        # Whatever it is, a machine in front of a black screen is the worse answer.
        catalog.telemetry.internal_error("boot_script")
        log.exception("boot script made without what is known of the machine", mac=asker.mac)
        text = render_plan(make_plan(snapshot, None, asker.firmware), server, snapshot)
    body = text.encode()
    if not asker.is_question:
        catalog.metrics.sent_bytes.labels(FileClass.MENU).inc(len(body))
        catalog.metrics.transferred(FileClass.MENU, TransferOutcome.COMPLETE, len(body), 0)
    return web.Response(body=body, content_type="text/plain", headers={"Cache-Control": "no-store"})


def _asker(request: web.Request, catalog: Catalog) -> Asker:
    facts = catalog.clients.facts(request)
    query = request.query
    claimed = query.get("mac")
    mac = catalog.clients.proven(facts.client_ip, claimed)
    if mac is None:
        catalog.metrics.unproven.inc()
        log.debug("machine not proven", client=str(facts.client_ip), mac=claimed)
    return Asker(
        facts=facts,
        mac=mac,
        firmware=firmware_named(query.get("platform"), query.get("buildarch")),
        chose_local_disk=query.get("selected") == LOCAL_DISK,
        is_question=request.method != "GET",
    )


async def _script_for(asker: Asker, catalog: Catalog, snapshot: Snapshot, server: Server) -> str:
    timeline = catalog.journal.timeline
    before = timeline.current(asker.mac) if asker.mac is not None else None
    settled = before is None or await catalog.kernels.settled(before)
    if asker.chose_local_disk:
        _note(asker, catalog, Step.SCRIPT, LOCAL_DISK)
        log.info("local disk chosen", mac=asker.mac, client=str(asker.facts.client_ip))
        return render_local_disk(snapshot)
    _note(asker, catalog, Step.SCRIPT)
    machine = snapshot.machine(asker.mac)
    boot = timeline.current(asker.mac) if asker.mac is not None else None
    armed = None
    if boot is not None and settled and not asker.is_question:
        armed = await _armed_target(catalog, boot, snapshot)
    firmware = (machine and machine.firmware) or asker.firmware or (boot and boot.firmware)
    plan = make_plan(snapshot, machine, firmware or None, armed)
    if isinstance(plan, ShowMenu):
        _note(asker, catalog, Step.MENU)
    log.info(
        "boot script sent",
        mac=asker.mac,
        client=str(asker.facts.client_ip),
        firmware=firmware,
        target=plan.preselected if isinstance(plan, ShowMenu) else plan.target.id,
        boot_once=armed is not None,
        snapshot=snapshot.version,
    )
    return render_plan(plan, server, snapshot, machine.kernel_args if machine else "")


def _note(asker: Asker, catalog: Catalog, step: Step, detail: str = "") -> None:
    if asker.is_question:
        return
    catalog.events.send(
        step,
        # A machine that claims to be another one still did this itself.
        mac=asker.mac or asker.facts.mac,
        ip=asker.facts.client_ip,
        firmware=asker.firmware,
        path="boot.ipxe",
        transport="http",
        detail=detail,
    )


async def _armed_target(catalog: Catalog, boot: Boot, snapshot: Snapshot) -> BootTarget | None:
    """Give this boot the target that was armed for its machine, once."""
    if boot.has_kernel:
        return None
    async with asyncio.timeout(BOOT_ONCE_SECONDS):
        # The boot's id must be on disk before something is bound to it.
        await catalog.journal.save()
        bound = await catalog.machines.bind(boot.mac, boot.id, bootable=snapshot.targets)
    if bound is None:
        return None
    target = snapshot.targets[bound]
    catalog.journal.assign(boot, target.id, target.image)
    return target
