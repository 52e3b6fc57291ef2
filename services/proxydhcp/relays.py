"""Relays that ask for machines of other networks, and what keeps those from their files. Pure.

TFTP answers networks that this host is on, and others only when the policy names them: a request
from elsewhere may be forged to flood somebody. Only the operator knows which networks are theirs.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from bootyard.model.snapshot import SubnetRule
from services.proxydhcp.limits import Recent

MAX_RELAYS = 16
KEEP_SECONDS = 3600.0

SHORTEST_SERVED = 8
"""Networks with a shorter prefix are not served by being named."""


class Relays:
    """Relays that machines were offered something through lately."""

    def __init__(self) -> None:
        self._seen: Recent[IPv4Address, float] = Recent(MAX_RELAYS)

    def note(self, relay: IPv4Address, now: float) -> None:
        """Note a relay; its address (`giaddr`) is on the network of its machines."""
        self._seen.note(relay, now)

    def unserved(
        self, near: Iterable[IPv4Network], rules: Iterable[SubnetRule], now: float
    ) -> tuple[IPv4Address, ...]:
        """List relays whose network is neither near nor named."""
        for relay in [relay for relay, at in self._seen.items() if now - at > KEEP_SECONDS]:
            del self._seen[relay]
        served = [*near, *_named(rules)]
        return tuple(
            sorted(relay for relay in self._seen if not any(relay in each for each in served))
        )


def explain_unserved(relay: IPv4Address) -> str:
    """Say what to do for the machines behind a relay."""
    network = IPv4Network(f"{relay}/24", strict=False)
    return (
        f"machines behind the relay {relay} are offered their loader but get no file over TFTP"
        f" until their network is named: bootyard policy subnet {network} (if that is its size)"
    )


def _named(rules: Iterable[SubnetRule]) -> list[IPv4Network]:
    networks = []
    for rule in rules:
        try:
            network = IPv4Network(rule.network)
        except ValueError:
            continue  # the catalog refuses such a rule; one that was kept names nothing
        if network.prefixlen >= SHORTEST_SERVED:
            networks.append(network)
    return networks
