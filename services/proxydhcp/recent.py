"""What machines did lately: their address, what they were offered, and how they took it.

Pure: time is an argument. Everything is bounded, and lost with the process without harm.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from bootyard.boot.choice import BootOffer, OfferStrategy
from bootyard.boot.client import BootClient, ClientKind
from bootyard.model.architecture import Firmware
from bootyard.model.mac import MACAddress
from services.proxydhcp.limits import Recent

TRIES = 2
"""DISCOVERs that get the same kind of offer before the other kind is tried."""

SAME_TRY_SECONDS = 1.0
"""A DISCOVER may be heard on two interfaces; firmware repeats it after 4 s (EDK2), iPXE after 1."""

FORGET_SECONDS = 300.0
"""After this long a DISCOVER says nothing about the offer before it."""


@dataclass(slots=True)
class _Offered:
    strategy: OfferStrategy
    at: float
    ignored: int = 0
    """DISCOVERs since the machine last showed that it took an offer."""


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

    def strategy(self, client: BootClient, offer: BootOffer, now: float) -> OfferStrategy:
        """Choose the strategy of the next offer to a machine.

        UEFI differs: some ignores an offer that skips port 4011, some one that does not (HP, Dell;
        pixiecore's README). What a machine does not take twice, it gets the other way.
        """
        self._starting.note(client.mac, True)
        if client.kind is ClientKind.IPXE:
            self.took_offer(client.mac)
        if client.kind is not ClientKind.ROM or client.firmware is Firmware.BIOS:
            return offer.strategy
        known = self._offered.recall(client.mac)
        if known is None:
            known = _Offered(offer.strategy, now, ignored=1)
            self._offered.note(client.mac, known)
            return known.strategy
        if now - known.at < SAME_TRY_SECONDS:
            return known.strategy
        if now - known.at > FORGET_SECONDS:
            known.ignored = 0
        if known.ignored >= TRIES:
            known.strategy = _other(known.strategy)
            known.ignored = 0
        known.ignored += 1
        known.at = now
        return known.strategy

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


def _other(strategy: OfferStrategy) -> OfferStrategy:
    if strategy is OfferStrategy.DIRECT:
        return OfferStrategy.COMPATIBLE
    return OfferStrategy.DIRECT
