"""Choices that were made before: machines that nothing is said about differ by their make only.

During a flood, or when power comes back to a whole site, the same question comes thousands of
times.
"""

from bootyard.boot.choice import BootOffer, Silence, choose
from bootyard.boot.client import BootClient, RecentBoot
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Snapshot

REMEMBERED = 256


class Choices:
    """`choose`, with its answers for machines that the snapshot does not tell apart."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._made: dict[tuple[object, ...], BootOffer | Silence] = {}

    def choose(
        self, client: BootClient, recent: RecentBoot, snapshot: Snapshot
    ) -> BootOffer | Silence:
        """Choose what a machine loads next."""
        if tells_apart(snapshot, client.mac):
            return choose(client, recent, snapshot)
        if snapshot is not self._snapshot or len(self._made) >= REMEMBERED:
            self._snapshot = snapshot
            self._made.clear()
        # All that is known of a machine but its MAC and UUID.
        question = (
            client.firmware,
            client.kind,
            client.architecture,
            client.vendor_class,
            client.user_class,
            client.ipxe_features,
            client.interface,
            client.relay,
            client.max_message_size,
            recent.strategy,
            recent.ignored,
            recent.given,
        )
        made = self._made.get(question)
        if made is None:
            made = self._made[question] = choose(client, recent, snapshot)
        return made


def tells_apart(snapshot: Snapshot, mac: MACAddress) -> bool:
    """Tell whether a snapshot says anything about single machines that may be this one."""
    policy = snapshot.policy
    return bool(
        mac in snapshot.machines
        or mac in snapshot.learned
        or mac in snapshot.armed
        or policy.allow
        or policy.deny
    )
