"""What machines did lately: their address, what they were offered, and how they took it.

Pure: time is an argument. Everything is bounded, and lost with the process without harm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from bootyard.boot.choice import BootOffer
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.boot.strategy import TRIES
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
class _Tried:
    """How firmware takes what it is offered. HTTP Boot and loaders leave no doubt about that."""

    strategy: OfferStrategy
    at: float
    ignored: int = 1
    """Offers of this strategy in a row that it did not take."""
    worked: bool = False
    leased: bool = False
    """It has an address since the last offer, and still has to come to port 4011."""


@dataclass(slots=True)
class _Given:
    """The loader that a machine was given last, and the exchanges that are about it.

    A repeated DISCOVER keeps its transaction id and gets the same answer; what the loader asks
    itself has another one.
    """

    loader: str
    at: float
    given_in: int
    asked_after_in: int | None = None


@dataclass(frozen=True, slots=True)
class _Lease:
    address: IPv4Address
    xid: int


class RecentBoots:
    """Remembers machines by their MAC."""

    def __init__(self, keeps: Callable[[str], bool] | None = None) -> None:
        """`keeps` tells which machines are forgotten last."""
        self._leases: Recent[MACAddress, _Lease] = Recent(keeps=keeps)
        self._tried: Recent[MACAddress, _Tried] = Recent(keeps=keeps)
        self._given: Recent[MACAddress, _Given] = Recent(keeps=keeps)
        self._starting: Recent[MACAddress, bool] = Recent(keeps=keeps)
        """Machines that were offered something: whether their system is still to come up."""

    def learn_address(self, mac: MACAddress, address: IPv4Address, xid: int) -> bool:
        """Note which address a machine asks its DHCP server for; False when it is no news."""
        lease = _Lease(address, xid)
        if self._leases.recall(mac) == lease:
            return False
        self._leases.note(mac, lease)
        return True

    def address_of(self, mac: MACAddress) -> IPv4Address | None:
        """Tell the address that a machine asked for last."""
        lease = self._leases.recall(mac)
        return None if lease is None else lease.address

    def recall(self, mac: MACAddress, xid: int | None, now: float) -> RecentBoot:
        """Tell what a machine did lately, for the choice of its next offer.

        Without `xid`, for one that has come to confirm the last one.
        """
        strategy, ignored = self._way_of(mac, now)
        if xid is None:
            ignored = 0
        return RecentBoot(strategy=strategy, ignored=ignored, given=self._given_to(mac, xid, now))

    def note_offer(self, client: BootClient, offer: BootOffer, xid: int, now: float) -> None:
        """Remember the offer that a machine is sent."""
        self._starting.note(client.mac, True)
        self._note_given(client, offer, xid, now)
        if client.kind is ClientKind.IPXE:
            # Firmware took its offer, or this is its own; iPXE's strategy is never in doubt.
            self.took_offer(client.mac)
        elif client.kind is ClientKind.ROM:
            self._note_tried(client.mac, offer.strategy, now)

    def took_lease(self, mac: MACAddress) -> None:
        """Note that firmware has taken an address.

        EDK2 takes one only when it also liked a proxy's offer. One that is to go on to port 4011
        has yet to be heard there; when it is not, asking the same again would lead nowhere.
        """
        tried = self._tried.recall(mac)
        if tried is None or not tried.ignored:
            return
        if tried.strategy is OfferStrategy.DIRECT:
            self.took_offer(mac)
        else:
            tried.leased = True

    def took_offer(self, mac: MACAddress) -> None:
        """Note that a machine came to its boot server, or that iPXE runs on it."""
        tried = self._tried.recall(mac)
        if tried is not None:
            tried.ignored, tried.leased, tried.worked = 0, False, True

    def system_came_up(self, mac: MACAddress) -> bool:
        """Note an operating system's DHCP; True for the first one after an offer."""
        if not self._starting.recall(mac):
            return False
        self._starting.note(mac, False)
        return True

    def _way_of(self, mac: MACAddress, now: float) -> tuple[OfferStrategy | None, int]:
        """Tell how firmware was offered a file last, and how often it left it."""
        tried = self._tried.recall(mac)
        if tried is None:
            return None, 0
        if tried.leased:
            return tried.strategy, TRIES
        age = now - tried.at
        if age > FORGET_SECONDS:
            return (tried.strategy if tried.worked else None), 0
        return tried.strategy, 0 if age < SAME_TRY_SECONDS else tried.ignored

    def _note_tried(self, mac: MACAddress, strategy: OfferStrategy, now: float) -> None:
        tried = self._tried.recall(mac)
        if tried is None or tried.strategy is not strategy:
            self._tried.note(mac, _Tried(strategy, now))
            return
        age = now - tried.at
        if age < SAME_TRY_SECONDS:
            return
        tried.ignored = tried.ignored + 1 if age <= FORGET_SECONDS else 1
        tried.at, tried.leased = now, False

    def _given_to(self, mac: MACAddress, xid: int | None, now: float) -> str | None:
        given = self._given.recall(mac)
        if given is None:
            return None
        asks_after = given.asked_after_in is not None
        if xid is None or xid == given.given_in:
            return given.loader if xid is None and asks_after else None
        is_fresh = now - given.at <= GIVEN_SECONDS
        return given.loader if is_fresh or xid == given.asked_after_in else None

    def _note_given(self, client: BootClient, offer: BootOffer, xid: int, now: float) -> None:
        given = self._given.recall(client.mac)
        is_script = client.kind is ClientKind.IPXE and not offer.boot_file.startswith("loaders/")
        if not is_script:
            self._given.note(client.mac, _Given(offer.boot_file, now, given_in=xid))
        elif given is not None and xid != given.given_in:
            given.asked_after_in = xid
