"""Subnets that the policy names: which rule counts for a client, and who is one of ours. Pure."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

import msgspec

from bootyard.model.snapshot import SubnetRule
from services.tftp.options import Limits

SHORTEST_SERVED = 8
"""A shorter prefix is a setting for whoever is served anyway: naming half of the Internet must not
make a server that floods whom others forge."""


class SubnetLimits:
    """The rules of one snapshot, read once; a look-up takes one step per length of prefix."""

    def __init__(self, rules: Iterable[SubnetRule] = ()) -> None:
        by_length: dict[int, dict[int, SubnetRule]] = {}
        for rule in rules:
            try:
                network = IPv4Network(rule.network)
            except ValueError:
                # The catalog refuses such a rule; one that was kept must not stop the service.
                continue
            of_length = by_length.setdefault(network.prefixlen, {})
            of_length[int(network.network_address)] = rule
        self._by_length = [
            (length, _mask(length), by_length[length]) for length in sorted(by_length, reverse=True)
        ]

    def limits_for(self, client: IPv4Address, usual: Limits) -> Limits:
        """Narrow what a client may negotiate by the rule of the longest prefix that holds it."""
        for rule in self._rules_for(client):
            return _narrowed(usual, rule)
        return usual

    def serves(self, client: IPv4Address) -> bool:
        """Tell whether a client's network is named, so that it is answered through a router too."""
        return next(self._rules_for(client, SHORTEST_SERVED), None) is not None

    def _rules_for(self, client: IPv4Address, shortest: int = 0) -> Iterator[SubnetRule]:
        """Give the rules that hold a client, the longest prefix first."""
        address = int(client)
        for length, mask, rules in self._by_length:
            rule = rules.get(address & mask) if length >= shortest else None
            if rule is not None:
                yield rule


def _mask(length: int) -> int:
    return (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF


def _narrowed(usual: Limits, rule: SubnetRule) -> Limits:
    return msgspec.structs.replace(
        usual,
        block_size=min(usual.block_size, rule.max_block_size or usual.block_size),
        window_size=min(usual.window_size, rule.max_window_size or usual.window_size),
        retry_s=rule.retry_seconds,
        tries=rule.tries,
    )
