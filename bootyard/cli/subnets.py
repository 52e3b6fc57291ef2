"""`bootyard policy subnet`: TFTP for networks that need smaller packets or more patience."""

from ipaddress import IPv4Network
from typing import Annotated

import msgspec
import typer

from bootyard.cli.api import Catalog, with_catalog
from bootyard.cli.documents import PolicyDocument, SubnetDocument, read
from bootyard.cli.failure import CommandFailed
from bootyard.cli.options import JSON
from bootyard.cli.output import duration, print_json, print_table


def parse_network(text: str) -> str:
    """Write a network the way the catalog does; what is none is for the catalog to refuse."""
    try:
        return str(IPv4Network(text))
    except ValueError:
        return text


def set_subnet(
    *,
    network: Annotated[
        str,
        typer.Argument(
            metavar="CIDR", parser=parse_network, help="The network, such as 198.51.100.0/24."
        ),
    ],
    max_block_size: Annotated[
        int | None, typer.Option(metavar="N", help="Bytes of a block, at most.")
    ] = None,
    max_window_size: Annotated[
        int | None, typer.Option(metavar="N", help="Blocks sent without an answer, at most.")
    ] = None,
    retry_seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Before anything is sent again, at least.")
    ] = None,
    tries: Annotated[
        int | None, typer.Option(metavar="N", help="How often anything is sent, at most.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Nothing is special about it any more.")
    ] = False,
    json: JSON = False,
) -> None:
    """Have machines of a network answered by TFTP, behind a router too, and say how.

    What is not named stays as it is. Of several networks that hold a machine's address, the
    smallest counts.
    """
    said = {
        "max_block_size": max_block_size,
        "max_window_size": max_window_size,
        "retry_seconds": retry_seconds,
        "tries": tries,
    }
    change = {name: value for name, value in said.items() if value is not None}
    if change and remove:
        raise typer.BadParameter("give either settings or --remove", param_hint="--remove")

    async def patch(catalog: Catalog) -> bytes:
        before = read(await catalog.get("policy"), PolicyDocument).subnets
        rules = {rule.network: rule for rule in before}
        if remove:
            if rules.pop(network, None) is None:
                known = ", ".join(rules) or "none"
                raise CommandFailed(
                    f"nothing is said about {network}", f"there are settings for: {known}"
                )
        else:
            rule = rules.get(network, SubnetDocument(network=network))
            rules[network] = msgspec.structs.replace(rule, **change)
        return await catalog.change("PATCH", "policy", body={"subnets": tuple(rules.values())})

    document = with_catalog(patch)
    if json:
        print_json(document)
    else:
        print_subnets(read(document, PolicyDocument).subnets)


def print_subnets(rules: tuple[SubnetDocument, ...]) -> None:
    """Print the settings of all subnets as a table."""
    print_table(
        ("TFTP IN SUBNET", "MAX BLOCK SIZE", "MAX WINDOW SIZE", "RETRY", "TRIES"),
        [
            (
                rule.network,
                _number(rule.max_block_size),
                _number(rule.max_window_size),
                duration(rule.retry_seconds),
                _number(rule.tries),
            )
            for rule in rules
        ],
        none="TFTP is the same in every network",
    )


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)
