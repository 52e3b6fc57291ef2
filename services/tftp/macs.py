"""Whose MAC address is behind a client's address: the kernel's neighbour table, kept for a moment.

Reading the table takes as long as a block does for each machine in it; a hundred machines that
start at once would wait for that more than for their loaders.
"""

from ipaddress import IPv4Address
from time import monotonic

from bootyard.model.mac import MACAddress
from bootyard.runtime.neighbours import complete_entries, read_table

KEPT_SECONDS = 1.0

REST = 10
"""After it was read the table is not read again for this many times as long as that took."""


class NeighbourCache:
    """The table as it was read last."""

    def __init__(self) -> None:
        self._macs: dict[str, str] = {}
        self._read_at = self._next_read = float("-inf")

    def mac_of(self, address: IPv4Address) -> MACAddress | None:
        """Look up a neighbour; None when it is not on a local network or has not been seen."""
        now = monotonic()
        name = str(address)
        is_known = name in self._macs and now - self._read_at < KEPT_SECONDS
        if not is_known and now >= self._next_read:
            self._read(now)
        found = self._macs.get(name)
        return None if found is None else MACAddress.parse(found)

    def _read(self, now: float) -> None:
        self._macs = dict(complete_entries(read_table()))
        self._read_at = now
        self._next_read = now + REST * (monotonic() - now)
