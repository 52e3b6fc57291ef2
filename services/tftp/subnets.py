"""TFTP settings of subnets: which rule of the policy counts for a client. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

import msgspec

from bootyard.model.snapshot import SubnetRule
from services.tftp.options import Limits


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
        self._by_mask = [
            (_mask(length), by_length[length]) for length in sorted(by_length, reverse=True)
        ]

    def limits_for(self, client: IPv4Address, usual: Limits) -> Limits:
        """Narrow what a client may negotiate by the rule of the longest prefix that holds it."""
        address = int(client)
        for mask, rules in self._by_mask:
            rule = rules.get(address & mask)
            if rule is not None:
                return _narrowed(usual, rule)
        return usual


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
