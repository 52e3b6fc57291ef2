"""`bootyard machine …`: machines, what they start, and what they start once."""

from typing import Annotated

import typer

from bootyard.cli.api import with_catalog
from bootyard.cli.documents import BootOnceDocument, MachineDocument, read
from bootyard.cli.options import AUTO, JSON, MAC, word_of
from bootyard.cli.output import moment, print_collection, print_json, print_table, printable
from bootyard.model.architecture import Firmware
from bootyard.model.document import encode
from bootyard.model.loaders import LoaderName, OfferStrategy

app = typer.Typer(help="Machines, what they start, and what they start once.")

COLUMNS = (
    "MAC",
    "NAME",
    "TARGET",
    "BOOT ONCE",
    "FIRMWARE",
    "LOADER",
    "OFFER",
    "SECURE BOOT",
    "STATE",
    "TAGS",
    "KERNEL ARGUMENTS",
    "LAST BOOT",
)


INFERENCE = (
    "Secure Boot is an inference from what these machines did (probable: they left an unsigned"
    " loader; confirmed: and then started the signed ones);"
    " `bootyard machine set MAC --secure-boot on|off` says it instead."
)

SECURE_BOOT = {"on": True, "off": False, AUTO: None}


@app.command("list")
def list_machines(json: JSON = False) -> None:
    """List the machines that the catalog knows."""
    found = with_catalog(lambda catalog: catalog.collection("machines"))
    if json:
        print_collection(found)
        return
    print_machines(
        [read(item, MachineDocument) for item in found.items],
        none="there are no machines yet; `bootyard machine set MAC` makes one",
    )


@app.command("set")
def set_machine(
    *,
    mac: MAC,
    name: Annotated[str | None, typer.Option(metavar="N", help='"" takes it away.')] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="ID", help='What it starts; "" leaves that to the policy.'),
    ] = None,
    firmware: Annotated[
        Firmware | None, typer.Option(help="What it boots with, when it says otherwise.")
    ] = None,
    loader: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|auto",
            parser=word_of(*LoaderName, AUTO),
            help=f"Pins its boot loader: {', '.join(LoaderName)}.",
        ),
    ] = None,
    offer: Annotated[
        str | None,
        typer.Option(
            metavar="HOW|auto",
            parser=word_of(*OfferStrategy, AUTO),
            help=f"Pins how the loader is offered: {', '.join(OfferStrategy)}.",
        ),
    ] = None,
    secure_boot: Annotated[
        str | None,
        typer.Option(
            metavar="on|off|auto",
            parser=word_of(*SECURE_BOOT),
            help="Whether it gets the signed loaders.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="T", help='May be repeated; replaces its tags, "" takes them away.'),
    ] = None,
    kernel_args: Annotated[
        str | None, typer.Option(metavar="ARGS", help="Added to every command line of it.")
    ] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="For answers; may be repeated; K= takes one away."),
    ] = None,
    json: JSON = False,
) -> None:
    """Change a machine, or make it when it is new; what is not named stays as it is."""
    said: dict[str, tuple[object, object]] = {
        "name": (name, name or None),
        "target": (target, target or None),
        "firmware": (firmware, firmware),
        "loader": (loader, None if loader == AUTO else loader),
        "offer": (offer, None if offer == AUTO else offer),
        "secure_boot": (secure_boot, SECURE_BOOT.get(secure_boot or AUTO)),
        "tags": (tag or None, [one for one in tag or () if one]),
        "kernel_args": (kernel_args, kernel_args),
        "variables": (var or None, dict(_variable(one) for one in var or ())),
    }
    change = {name: value for name, (given, value) in said.items() if given is not None}
    document = with_catalog(lambda catalog: catalog.change("PATCH", "machines", mac, body=change))
    if json:
        print_json(document)
    else:
        print_machines([read(document, MachineDocument)], none="")


@app.command("boot-once")
def boot_once(
    mac: MAC,
    target: Annotated[str, typer.Argument(metavar="ID", help="The boot target.")],
    expires: Annotated[
        int | None,
        typer.Option(metavar="MINUTES", min=1, help="How long it waits for that boot.  [30]"),
    ] = None,
    json: JSON = False,
) -> None:
    """Let a machine start a target at its next boot, and only then."""
    wanted: dict[str, object] = {"target": target}
    if expires is not None:
        wanted["expires_minutes"] = expires
    document = with_catalog(
        lambda catalog: catalog.change("PUT", "machines", mac, "boot-once", body=wanted)
    )
    if json:
        print_json(document)
        return
    armed = read(document, MachineDocument).boot_once or BootOnceDocument(target)
    until = f", until {moment(armed.expires_at)}" if armed.expires_at else ""
    print(printable(f"{mac} starts {armed.target} at its next network boot{until}"))


@app.command("remove")
def remove_machine(mac: MAC, json: JSON = False) -> None:
    """Forget a machine; at its next boot it is an unknown one."""
    with_catalog(lambda catalog: catalog.remove("machines", mac))
    if json:
        print_json(encode({"mac": mac, "removed": True}))
    else:
        print(f"{mac} is forgotten")


def print_machines(machines: list[MachineDocument], none: str) -> None:
    """Print machines as a table, or the sentence `none`."""
    print_table(COLUMNS, [_row(machine) for machine in machines], none)
    if any(_is_inferred(machine) for machine in machines):
        print(INFERENCE)


def _is_inferred(machine: MachineDocument) -> bool:
    return machine.secure_boot is None and machine.learned.secure_boot is not None


def _concluded(word: str | None) -> str | None:
    return None if word is None else f"{word} (learned)"


def _loader(machine: MachineDocument) -> str | None:
    left = f"not {', '.join(machine.learned.dead_ends)}" if machine.learned.dead_ends else None
    return " ".join(filter(None, (machine.loader, _concluded(left)))) or None


def _secure_boot(machine: MachineDocument) -> str | None:
    if machine.secure_boot is not None:
        return "on" if machine.secure_boot else "off"
    return _concluded(machine.learned.secure_boot)


def _variable(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is not K=V", param_hint="--var")
    return name, value or None


def _row(machine: MachineDocument) -> tuple[str | None, ...]:
    once = machine.boot_once
    return (
        machine.mac,
        machine.name,
        machine.target,
        f"{once.target} ({once.state})" if once and once.is_ahead else None,
        machine.firmware,
        _loader(machine),
        machine.offer or _concluded(machine.learned.offer),
        _secure_boot(machine),
        machine.state,
        " ".join(machine.tags),
        machine.kernel_args,
        machine.last_boot,
    )
