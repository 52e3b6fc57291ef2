"""What may be said about TFTP in subnets. Pure: rules come back, or RequestRefused."""

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError

from bootyard.model.errors import RequestRefused
from bootyard.model.snapshot import SubnetRule

MAX_SUBNETS = 64

BLOCK_SIZES = (512, 65464)
"""RFC 2348 goes down to 8, but a client that asks for nothing gets 512 (RFC 1350 §2)."""
WINDOW_SIZES = (1, 65535)
"""RFC 7440 §3."""
RETRY_SECONDS = (0.1, 30)
TRIES = (1, 30)
"""With the longest pause that is a quarter of an hour: nobody waits longer for a file."""


def check_subnets(rules: Iterable[SubnetRule]) -> tuple[SubnetRule, ...]:
    """Check all rules; networks come back in CIDR notation, in order."""
    checked: dict[IPv4Network, SubnetRule] = {}
    for rule in rules:
        network = check_network(rule.network)
        if network in checked:
            raise RequestRefused(f"{network} is there twice", "say everything about it once")
        checked[network] = _check_settings(rule, network)
    if len(checked) > MAX_SUBNETS:
        raise RequestRefused(f"{len(checked)} subnets are too many", f"use at most {MAX_SUBNETS}")
    return tuple(checked[network] for network in sorted(checked))


def check_network(text: str) -> IPv4Network:
    """Read a network, `198.51.100.0/24`; a single address is one of 32 bits."""
    try:
        network = IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError) as error:
        raise RequestRefused(
            f"{text!r} is not an IPv4 network", "write it as 198.51.100.0/24"
        ) from error
    if str(network.network_address) != text.partition("/")[0]:
        raise RequestRefused(
            f"{text} is an address within a network, not the network itself",
            f"write {network}, or {text.partition('/')[0]}/32 for this address alone",
        )
    return network


def _check_settings(rule: SubnetRule, network: IPv4Network) -> SubnetRule:
    _check_range("max_block_size", rule.max_block_size, BLOCK_SIZES)
    _check_range("max_window_size", rule.max_window_size, WINDOW_SIZES)
    _check_range("retry_seconds", rule.retry_seconds, RETRY_SECONDS)
    _check_range("tries", rule.tries, TRIES)
    return SubnetRule(
        network=str(network),
        max_block_size=rule.max_block_size,
        max_window_size=rule.max_window_size,
        retry_seconds=rule.retry_seconds,
        tries=rule.tries,
    )


def _check_range(name: str, value: float | None, allowed: tuple[float, float]) -> None:
    least, most = allowed
    # Written so that NaN is outside.
    if value is not None and not least <= value <= most:
        raise RequestRefused(
            f"{name} {value} is not possible for a subnet", f"use {least:g} to {most:g}"
        )
