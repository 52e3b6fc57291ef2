"""`boot.ipxe`, `autoexec.ipxe` and `grub.cfg`: the answer to a machine that wants to boot."""

import asyncio
from typing import Literal

import msgspec
from aiohttp import web

from bootyard.boot.client import RequestFacts
from bootyard.boot.menus import grub, ipxe
from bootyard.boot.menus.server import Server
from bootyard.boot.plan import Plan, ShowMenu, make_plan
from bootyard.boot.vendor import PACKAGED_VENDOR, vendor_of_image, vendor_offered
from bootyard.model.architecture import Firmware, firmware_under
from bootyard.model.events import FileClass, Step, TransferOutcome
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import LOCAL_DISK, BootTarget, Snapshot
from bootyard.runtime.log import get_logger
from services.catalog.boots.boot import Boot
from services.catalog.http.context import CATALOG, Catalog

log = get_logger(__name__)

BOOT_ONCE_SECONDS = 3.0
"""How long the database may take; a machine that waits longer gets the menu."""

Language = Literal["ipxe", "grub"]

SCRIPT_NAMES: dict[Language, str] = {"ipxe": "boot.ipxe", "grub": "grub.cfg"}
"""What the timeline calls the script of a loader."""


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that asks for its script."""

    language: Language
    facts: RequestFacts
    mac: MACAddress | None
    """What it is, beyond what it says; None: not proven."""
    firmware: Firmware | None
    chose_local_disk: bool
    opens_interface: bool
    """It has just been started by HTTP Boot, and its script is to open the network."""
    is_question: bool
    """A HEAD: nothing may change by it."""


async def boot_script(request: web.Request, language: Language = "ipxe") -> web.Response:
    """Answer what this machine boots. Whatever fails here, it gets a menu."""
    catalog = request.app[CATALOG]
    snapshot = catalog.snapshots.snapshot
    asker = _asker(request, language, catalog)
    server = Server(
        address=asker.facts.server_address, http_port=snapshot.http_port, catalog_answers=True
    )
    try:
        text = await _script_for(asker, catalog, snapshot, server)
    except Exception:
        # Whatever it is, a machine in front of a black screen is the worse answer.
        catalog.telemetry.internal_error("boot_script")
        log.exception("boot script made without what is known of the machine", mac=asker.mac)
        text = _render(asker, make_plan(snapshot, None, asker.firmware), snapshot, server)
    body = text.encode()
    if not asker.is_question:
        catalog.metrics.sent_bytes.labels(FileClass.MENU).inc(len(body))
        catalog.metrics.transferred(FileClass.MENU, TransferOutcome.COMPLETE, len(body), 0)
    return web.Response(body=body, content_type="text/plain", headers={"Cache-Control": "no-store"})


def _asker(request: web.Request, language: Language, catalog: Catalog) -> Asker:
    facts = catalog.clients.facts(request)
    query = request.query
    # GRUB that does not know its MAC leaves the word empty: that says nothing, either.
    claimed = query.get("mac") or None
    mac = catalog.clients.proven(facts.client_ip, claimed)
    if mac is None:
        catalog.metrics.unproven.inc()
        log.debug("machine not proven", client=str(facts.client_ip), mac=claimed)
    return Asker(
        language=language,
        facts=facts,
        mac=mac,
        firmware=firmware_under(query.get("platform"), query.get("buildarch")),
        chose_local_disk=query.get("selected") == LOCAL_DISK,
        opens_interface=request.path.casefold().endswith("/autoexec.ipxe"),
        is_question=request.method != "GET",
    )


async def _script_for(asker: Asker, catalog: Catalog, snapshot: Snapshot, server: Server) -> str:
    timeline = catalog.journal.timeline
    before = timeline.current(asker.mac) if asker.mac is not None else None
    settled = before is None or await catalog.kernels.settled(before)
    if asker.chose_local_disk:
        _note(asker, catalog, Step.SCRIPT, LOCAL_DISK)
        log.info("local disk chosen", mac=asker.mac, client=str(asker.facts.client_ip))
        return _render_local_disk(asker, snapshot)
    if before is None and asker.mac is not None and _is_on_its_way_to_disk(catalog, asker.mac):
        _note(asker, catalog, Step.SCRIPT, LOCAL_DISK)
        log.info("local disk chosen before", mac=asker.mac, client=str(asker.facts.client_ip))
        return _render_local_disk(asker, snapshot)
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
    kernel_args = machine.kernel_args if machine is not None else ""
    vendor = _vendor(boot, asker.mac, snapshot)
    return _render(asker, plan, snapshot, server, kernel_args=kernel_args, vendor=vendor)


def _render(
    asker: Asker,
    plan: Plan,
    snapshot: Snapshot,
    server: Server,
    *,
    kernel_args: str = "",
    vendor: str = PACKAGED_VENDOR,
) -> str:
    match asker.language:
        case "ipxe":
            return ipxe.render_plan(
                plan, server, snapshot, kernel_args, opens_interface=asker.opens_interface
            )
        case "grub":
            return grub.render_plan(plan, server, snapshot, kernel_args, vendor)


def _render_local_disk(asker: Asker, snapshot: Snapshot) -> str:
    render = {"ipxe": ipxe.render_local_disk, "grub": grub.render_local_disk}[asker.language]
    return render(snapshot)


def _vendor(boot: Boot | None, mac: MACAddress | None, snapshot: Snapshot) -> str:
    """Name the vendor of the GRUB that asks.

    GRUB asks where its builder told it to, not beside itself. The timeline tells which loader the
    machine took; as long as it does not (Redis is away), it is the one that was offered.
    """
    loaders = [s for s in boot.steps if s.step is Step.LOADER] if boot is not None else []
    if loaders:
        return vendor_of_image(snapshot, loaders[-1].image)
    return vendor_offered(snapshot, mac, snapshot.machine(mac))


def _is_on_its_way_to_disk(catalog: Catalog, mac: MACAddress) -> bool:
    """Tell whether firmware that left for the disk tries another network option before it.

    It would only lead to the same menu again. A machine that was switched on anew asks by the
    option that it asked by first, and that is a new boot.
    """
    timeline = catalog.journal.timeline
    boot = timeline.latest(mac)
    if boot is None or boot.closed is None or not timeline.left_for_disk(mac, catalog.clock()):
        return False
    return any(s.is_firmware_discover and s.at > boot.closed for s in boot.steps)


def _note(asker: Asker, catalog: Catalog, step: Step, detail: str = "") -> None:
    if asker.is_question:
        return
    catalog.events.send(
        step,
        # A machine that claims to be another one still did this itself.
        mac=asker.mac or asker.facts.mac,
        ip=asker.facts.client_ip,
        firmware=asker.firmware,
        path=SCRIPT_NAMES[asker.language],
        transport="http",
        detail=detail,
    )


async def _armed_target(catalog: Catalog, boot: Boot, snapshot: Snapshot) -> BootTarget | None:
    """Give this boot the target that was armed for its machine, once."""
    if boot.has_kernel:
        return None
    async with asyncio.timeout(BOOT_ONCE_SECONDS):
        # The boot's id must be on disk before something is bound to it: after a crash it would be
        # given to another boot.
        await catalog.journal.secure()
        bound = await catalog.machines.bind(boot.mac, boot.id, bootable=snapshot.targets)
    if bound is None:
        return None
    target = snapshot.targets[bound]
    catalog.journal.assign(boot, target.id, target.image)
    return target
