"""`bootyard boots`: what machines did, and what they do right now."""

import contextlib
from typing import Annotated

import typer

from bootyard.cli.api import with_catalog
from bootyard.cli.documents import BootDocument, read
from bootyard.cli.follow import JSONDisplay, LineDisplay, LiveDisplay, follow_boots
from bootyard.cli.options import JSON, parse_mac
from bootyard.cli.output import (
    ending,
    make_console,
    moment,
    print_collection,
    print_table,
    step_text,
)
from bootyard.model.mac import MACAddress


def boots(
    follow: Annotated[
        bool, typer.Option("--follow", help="Show each boot as it happens, until Ctrl-C.")
    ] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many, the newest first.")
    ] = 20,
    mac: Annotated[
        MACAddress | None,
        typer.Option(metavar="MAC", parser=parse_mac, help="Those of one machine."),
    ] = None,
    json: JSON = False,
) -> None:
    """List what machines did when they were switched on."""
    if follow:
        with contextlib.suppress(KeyboardInterrupt):
            _follow(mac, json=json)
        return
    query: dict[str, str] = {} if mac is None else {"mac": mac}
    found = with_catalog(lambda catalog: catalog.collection("boots", limit=limit, **query))
    if json:
        print_collection(found)
        return
    print_table(
        ("ID", "STARTED", "MAC", "FIRMWARE", "IMAGE", "LAST STEP", "OUTCOME", "NOTE"),
        [_row(read(item, BootDocument)) for item in found.items],
        none="no machine has booted from here yet",
    )


def _follow(mac: MACAddress | None, *, json: bool) -> None:
    console = make_console()
    if json:
        with_catalog(lambda catalog: follow_boots(catalog, mac, JSONDisplay()))
    elif console.is_terminal:
        with LiveDisplay(console) as display:
            with_catalog(lambda catalog: follow_boots(catalog, mac, display))
    else:
        with_catalog(lambda catalog: follow_boots(catalog, mac, LineDisplay()))


def _row(boot: BootDocument) -> tuple[str | None, ...]:
    ours = [step for step in boot.steps if step.is_ours]
    return (
        boot.id,
        moment(boot.started),
        boot.mac,
        boot.firmware,
        boot.image,
        step_text(ours[-1]) if ours else None,
        ending(boot),
        "; ".join(dict.fromkeys(step.note for step in boot.steps if step.note)),
    )
