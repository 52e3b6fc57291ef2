"""The page at `/`: what there is, what machines do, and what to do first.

It is complete without its script; that keeps it up to date and lets who has the admin token change,
through the API, what a machine starts.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import jinja2
from aiohttp import web
from markupsafe import Markup, escape

from bootyard.model.events import BootOutcome, MachineState
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Policy
from services.catalog.boot_once import BootOnceState
from services.catalog.boots.boot import Boot
from services.catalog.http.context import CATALOG, Catalog
from services.catalog.http.problems import Problem
from services.catalog.http.views import BootView, boot_view, time_text
from services.catalog.http.words import OUTCOMES, how_it_boots, policy_lines
from services.catalog.machines import MachineRecord

HERE = Path(__file__).parent
SHOWN_BOOTS = 20
SHOWN_MACHINES = 100
"""With thousands, those that are armed or booted lately come first; the others can be found."""
STATIC_TYPES = {
    "bootyard.css": "text/css",
    "bootyard.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """A machine that something was said about, or that was seen to boot."""

    mac: MACAddress
    name: str | None
    target: str | None
    armed: str | None
    state: MachineState
    how: tuple[str, ...]
    """What is pinned, and what is concluded, about how it boots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRow:
    """A boot, and how it stands in words."""

    boot: BootView
    name: str | None
    is_open: bool
    outcome: str


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["size"] = _size
    environment.filters["marked"] = _marked
    return environment


def _marked(text: str) -> Markup:
    """Set what stands between backquotes as code."""
    pieces = (
        Markup("<code>{}</code>").format(piece) if index % 2 else escape(piece)
        for index, piece in enumerate(text.split("`"))
    )
    return Markup("").join(pieces)


def _size(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


ENVIRONMENT = _environment()


async def page(request: web.Request) -> web.Response:
    """GET /."""
    catalog = request.app[CATALOG]
    records, policy = await catalog.machines.list(), await catalog.machines.policy()
    boots = await catalog.journal.page(SHOWN_BOOTS, None, None, None)
    find = request.query.get("find", "").strip()
    machines, hidden = _machine_rows(catalog, records, policy, find.casefold())
    targets = catalog.library.targets
    names = {record.mac: record.machine.name for record in records}
    text = ENVIRONMENT.get_template("index.html").render(
        images=sorted(catalog.library.images, key=lambda image: (not image.is_ready, image.id)),
        waiting=catalog.library.waiting,
        library_problem=catalog.library.problem,
        images_dir=str(catalog.settings.images_dir.absolute()),
        token_path=str((catalog.settings.state_dir / "catalog" / "admin-token").absolute()),
        token_is_set=catalog.settings.admin_token is not None,
        machines=machines,
        hidden_machines=hidden,
        find=find,
        targets=[targets[name] for name in sorted(targets)],
        boots=[_boot_row(boot, names.get(boot.mac)) for boot in boots],
        policy=policy_lines(policy),
        readiness=catalog.telemetry.readiness(),
        snapshot=catalog.snapshots.snapshot,
    )
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


async def static_file(request: web.Request) -> web.Response:
    """GET /static/NAME: one of the few files that belong to the page."""
    name = request.match_info["name"]
    if name not in STATIC_TYPES:
        raise Problem(404, f"there is no {request.path}", "the page is at /")
    body = await asyncio.to_thread((HERE / "static" / name).read_bytes)
    return web.Response(
        body=body, content_type=STATIC_TYPES[name], headers={"Cache-Control": "max-age=60"}
    )


def _machine_rows(
    catalog: Catalog, records: tuple[MachineRecord, ...], policy: Policy, find: str
) -> tuple[list[MachineRow], int]:
    """List the machines to show, those that something was said about first, and count the rest."""
    said = {record.mac: record for record in records}
    seen = catalog.journal.timeline.machines()
    macs = [*said, *(mac for mac in seen if mac not in said)]
    if find:
        macs = [mac for mac in macs if find in mac or find in _name(said.get(mac)).casefold()]
    if len(macs) > SHOWN_MACHINES:
        recent = set(seen[-SHOWN_MACHINES:])
        macs.sort(key=lambda mac: (_armed(said.get(mac)) is None, mac not in recent))
    shown = sorted(macs[:SHOWN_MACHINES], key=lambda mac: (mac not in said, mac))
    rows = [_machine_row(catalog, mac, said.get(mac), policy) for mac in shown]
    return rows, len(macs) - len(shown)


def _name(record: MachineRecord | None) -> str:
    return (record and record.machine.name) or ""


def _armed(record: MachineRecord | None) -> str | None:
    """Say what is armed for a machine; None: nothing, or it is over."""
    once = record.boot_once if record is not None else None
    if once is None or once.state not in {BootOnceState.ARMED, BootOnceState.BOUND}:
        return None
    return f"{once.target} (until {time_text(once.expires_at)})"


def _machine_row(
    catalog: Catalog, mac: MACAddress, record: MachineRecord | None, policy: Policy
) -> MachineRow:
    return MachineRow(
        mac=mac,
        name=record.machine.name if record else None,
        target=record.machine.target if record else None,
        armed=_armed(record),
        state=catalog.states.state(mac),
        how=how_it_boots(
            mac,
            record.machine if record else None,
            catalog.snapshots.snapshot.learned_of(mac),
            policy,
        ),
    )


def _boot_row(boot: Boot, name: str | None) -> BootRow:
    is_undecided = boot.is_open and not boot.counted and boot.outcome is BootOutcome.RUNNING
    return BootRow(
        boot=boot_view(boot),
        name=name,
        is_open=boot.is_open,
        outcome="under way" if is_undecided else OUTCOMES[boot.outcome],
    )
