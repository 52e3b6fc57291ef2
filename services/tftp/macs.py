"""Whose MAC address is behind a client's address: the kernel's neighbour table, kept for a moment.

Reading the table takes as long as a block does for each machine in it; a hundred machines that
start at once would wait for that more than for their loaders.
"""

from ipaddress import IPv4Address
from time import monotonic

from bootyard.model.mac import MACAddress
from bootyard.runtime import neighbours

KEPT_SECONDS = 1.0
COMPLETE = neighbours.COMPLETE

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
        try:
            lines = neighbours.TABLE.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            lines = []
        self._macs = complete_entries(lines)
        self._read_at = now
        self._next_read = now + REST * (monotonic() - now)


def complete_entries(lines: list[str]) -> dict[str, str]:
    """Read lines of /proc/net/arp: IP, type, flags, MAC, mask, device; addresses to MACs."""
    rows = [columns for line in lines if len(columns := line.split()) >= 4]
    return {row[0]: row[3] for row in rows if int(row[2], 16) & COMPLETE}
