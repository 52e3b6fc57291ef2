"""Which firmware's loader an address fetched last.

A module of syslinux is called the same for every firmware, and names no machine: what was fetched
before it tells whose is meant.
"""

from collections import OrderedDict
from ipaddress import IPv4Address

from bootyard.model.architecture import Firmware

MAX_ADDRESSES = 4096


class LoadedFirmware:
    """A bounded table: the address that was silent for longest is forgotten first."""

    def __init__(self, limit: int = MAX_ADDRESSES) -> None:
        self._limit = limit
        self._by_address: OrderedDict[IPv4Address, Firmware] = OrderedDict()

    def remember(self, address: IPv4Address, firmware: Firmware) -> None:
        """Note whose loader an address has just asked for."""
        self._by_address[address] = firmware
        self._by_address.move_to_end(address)
        if len(self._by_address) > self._limit:
            self._by_address.popitem(last=False)

    def of(self, address: IPv4Address) -> Firmware | None:
        """Tell whose loader an address fetched last."""
        return self._by_address.get(address)
