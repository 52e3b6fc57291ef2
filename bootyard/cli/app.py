"""The frame of the `bootyard` command: which commands there are, and what their options share."""

from typing import Annotated

import typer

from bootyard import __version__
from bootyard.cli.boots import boots
from bootyard.cli.health import health
from bootyard.cli.images import app as image_commands
from bootyard.cli.machines import app as machine_commands
from bootyard.cli.policy import app as policy_commands

app = typer.Typer(
    help="Boot any machine on a network from this host.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("health")(health)
app.add_typer(image_commands, name="image")
app.add_typer(machine_commands, name="machine")
app.add_typer(policy_commands, name="policy")
app.command("boots")(boots)


@app.command("up")
def up() -> None:
    """Run all of Bootyard on this host, until it is stopped."""
    from bootyard.cli.up import up as run_everything  # noqa: PLC0415 - only this command needs it

    run_everything()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"bootyard {__version__}")
        raise typer.Exit


@app.callback()
def frame(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Boot any machine on a network from this host."""
