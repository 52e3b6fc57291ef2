"""`bootyard policy …`: what machines get that have no target of their own."""

from enum import StrEnum
from typing import Annotated

import typer

from bootyard.cli.api import with_catalog
from bootyard.cli.documents import PolicyDocument, read
from bootyard.cli.options import JSON
from bootyard.cli.output import print_json, print_table

app = typer.Typer(help="What machines get that have no target of their own.")


class UnknownMachines(StrEnum):
    """What a machine gets that the catalog does not know."""

    MENU = "menu"
    LOCAL_DISK = "local-disk"
    SILENCE = "silence"


@app.command("show")
def show_policy(json: JSON = False) -> None:
    """Show the policy."""
    _show(with_catalog(lambda catalog: catalog.get("policy")), json=json)


@app.command("set")
def set_policy(
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
    json: JSON = False,
) -> None:
    """Change the policy; what is not named stays as it is."""
    wanted: dict[str, object] = {
        "default": default,
        "timeout_seconds": timeout,
        "unknown": unknown,
    }
    change = {name: value for name, value in wanted.items() if value is not None}
    if not change:
        raise typer.BadParameter(
            "there is nothing to set", param_hint="--default, --timeout or --unknown"
        )
    _show(with_catalog(lambda catalog: catalog.change("PATCH", "policy", body=change)), json=json)


def _show(document: bytes, *, json: bool) -> None:
    if json:
        print_json(document)
        return
    policy = read(document, PolicyDocument)
    print_table(
        ("DEFAULT", "TIMEOUT", "UNKNOWN MACHINES"),
        [
            (
                policy.default,
                f"{policy.timeout_seconds} s" if policy.timeout_seconds else "waits for ever",
                policy.unknown,
            )
        ],
        none="",
    )
