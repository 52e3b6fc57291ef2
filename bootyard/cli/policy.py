"""`bootyard policy …`: what machines get that have no target of their own."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from bootyard.cli.api import Catalog, with_catalog
from bootyard.cli.documents import PolicyDocument, read
from bootyard.cli.options import JSON, parse_mac
from bootyard.cli.output import print_json, print_table
from bootyard.cli.subnets import print_subnets, set_subnet

app = typer.Typer(help="What machines get that have no target of their own.")
app.command("subnet")(set_subnet)


class UnknownMachines(StrEnum):
    """What a machine gets that the catalog does not know."""

    MENU = "menu"
    LOCAL_DISK = "local-disk"
    SILENCE = "silence"


class SecureBoot(StrEnum):
    """Who gets the signed loaders."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def _macs(help_text: str) -> object:
    return typer.Option(metavar="MAC", parser=parse_mac, help=f"May be repeated; {help_text}")


@app.command("show")
def show_policy(json: JSON = False) -> None:
    """Show the policy."""
    _show(with_catalog(lambda catalog: catalog.get("policy")), json=json)


@app.command("set")
def set_policy(
    *,
    default: Annotated[
        str | None,
        typer.Option(metavar="ID|menu|local-disk", help="What machines without a target start."),
    ] = None,
    timeout: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=0, help="How long the menu waits; 0: for ever."),
    ] = None,
    unknown: Annotated[
        UnknownMachines | None, typer.Option(help="What unknown machines get.")
    ] = None,
    secure_boot: Annotated[
        SecureBoot | None,
        typer.Option(help="Who gets the signed loaders; auto: who refuses the others."),
    ] = None,
    allow: Annotated[
        list[str] | None, _macs("only machines that are allowed are answered, once there are any.")
    ] = None,
    no_allow: Annotated[list[str] | None, _macs("takes it off the allowed ones.")] = None,
    deny: Annotated[list[str] | None, _macs("it gets no answer.")] = None,
    no_deny: Annotated[list[str] | None, _macs("takes it off the denied ones.")] = None,
    json: JSON = False,
) -> None:
    """Change the policy; what is not named stays as it is."""
    said: dict[str, object] = {
        "default": default,
        "timeout_seconds": timeout,
        "unknown": unknown,
        "secure_boot": secure_boot,
    }
    change = {name: value for name, value in said.items() if value is not None}
    if not (change or allow or no_allow or deny or no_deny):
        raise typer.BadParameter(
            "there is nothing to set", param_hint="--default, --timeout, --unknown, …"
        )

    async def patch(catalog: Catalog) -> bytes:
        if allow or no_allow or deny or no_deny:
            before = read(await catalog.get("policy"), PolicyDocument)
            change["allow"] = _edited(before.allow, allow or (), no_allow or ())
            change["deny"] = _edited(before.deny, deny or (), no_deny or ())
        return await catalog.change("PATCH", "policy", body=change)

    _show(with_catalog(patch), json=json)


def _edited(before: Sequence[str], added: Sequence[str], removed: Sequence[str]) -> list[str]:
    return [mac for mac in dict.fromkeys((*before, *added)) if mac not in removed]


def _show(document: bytes, *, json: bool) -> None:
    if json:
        print_json(document)
        return
    policy = read(document, PolicyDocument)
    print_table(
        ("DEFAULT", "TIMEOUT", "UNKNOWN MACHINES", "SECURE BOOT", "ONLY ALLOWED", "DENIED"),
        [
            (
                policy.default,
                f"{policy.timeout_seconds} s" if policy.timeout_seconds else "waits for ever",
                policy.unknown,
                policy.secure_boot,
                " ".join(policy.allow),
                " ".join(policy.deny),
            )
        ],
        none="",
    )
    if policy.subnets:
        print()
        print_subnets(policy.subnets)
