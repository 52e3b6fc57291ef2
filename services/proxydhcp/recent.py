"""What machines did lately: their address, what they were offered, and how they took it.

Pure: time is an argument. Everything is bounded, and lost with the process without harm.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from bootyard.boot.choice import BootOffer
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import MACAddress
from services.proxydhcp.limits import Recent

SAME_TRY_SECONDS = 1.0
"""A DISCOVER may be heard on two interfaces; firmware repeats it after 4 s (EDK2), iPXE after 1."""

FORGET_SECONDS = 300.0
"""After this long a DISCOVER says nothing about the offer before it."""

GIVEN_SECONDS = 60.0
"""How long after its offer a loader may ask for what comes next."""


@dataclass(slots=True)
class _Offered:
    strategy: OfferStrategy
    boot_file: str
    at: float
    ignored: int = 0
    """Offers of this strategy since the machine last showed that it took one."""


@dataclass(frozen=True, slots=True)
class _Lease:
    address: IPv4Address
    xid: int


class RecentBoots:
    """Remembers machines by their MAC."""

    def __init__(self) -> None:
        self._leases: Recent[MACAddress, _Lease] = Recent()
        self._offered: Recent[MACAddress, _Offered] = Recent()
        self._starting: Recent[MACAddress, bool] = Recent()
        """Machines that were offered something: whether their system is still to come up."""

    def learn_address(self, mac: MACAddress, address: IPv4Address, xid: int) -> bool:
        """Note which address a machine asks its DHCP server for; False when it is no news."""
        lease = _Lease(address, xid)
        if self._leases.recall(mac) == lease:
            return False
        self._leases.note(mac, lease)
        offered = self._offered.recall(mac)
        # EDK2 takes a lease only when it also liked a proxy's offer. One that goes on to port
        # 4011 has yet to be answered there.
        if offered is not None and offered.strategy is OfferStrategy.DIRECT:
            offered.ignored = 0
        return True

    def address_of(self, mac: MACAddress) -> IPv4Address | None:
        """Tell the address that a machine asked for last."""
        lease = self._leases.recall(mac)
        return None if lease is None else lease.address

    def recall(self, mac: MACAddress, now: float) -> RecentBoot:
        """Tell what a machine did lately, for the choice of its next offer."""
        known = self._offered.recall(mac)
        if known is None:
            return RecentBoot()
        age = now - known.at
        says_nothing = age < SAME_TRY_SECONDS or age > FORGET_SECONDS
        return RecentBoot(
            strategy=known.strategy,
            ignored=0 if says_nothing else known.ignored,
            given=known.boot_file if age <= GIVEN_SECONDS else None,
        )

    def note_offer(self, client: BootClient, offer: BootOffer, now: float) -> None:
        """Remember the offer that a machine is sent."""
        self._starting.note(client.mac, True)
        known = self._offered.recall(client.mac)
        if client.kind is ClientKind.IPXE:
            # It shows that the firmware took its offer; its own strategy is never in doubt.
            if known is not None:
                known.ignored = 0
                known.boot_file, known.at = offer.boot_file, now
            return
        if known is None:
            self._offered.note(client.mac, _Offered(offer.strategy, offer.boot_file, now, 1))
            return
        age = now - known.at
        if age < SAME_TRY_SECONDS and known.strategy is offer.strategy:
            return
        is_fresh = known.strategy is offer.strategy and age <= FORGET_SECONDS
        known.ignored = known.ignored + 1 if is_fresh else 1
        known.strategy, known.boot_file, known.at = offer.strategy, offer.boot_file, now

    def took_offer(self, mac: MACAddress) -> None:
        """Note that a machine came to port 4011, or that iPXE runs on it."""
        offered = self._offered.recall(mac)
        if offered is not None:
            offered.ignored = 0

    def system_came_up(self, mac: MACAddress) -> bool:
        """Note an operating system's DHCP; True for the first one after an offer."""
        if not self._starting.recall(mac):
            return False
        self._starting.note(mac, False)
        return True
