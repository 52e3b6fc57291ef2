"""The kernel's neighbour table: which MAC address is behind an IPv4 address on a local network."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from bootyard.model.mac import MACAddress

TABLE = Path("/proc/net/arp")
COMPLETE = 0x2
"""ATF_COM: the entry has been answered (linux/if_arp.h)."""


def mac_of(address: IPv4Address) -> MACAddress | None:
    """Look up a neighbour; None when it is not on a local network or has not been seen."""
    return find_mac(read_table(), address)


def find_mac(lines: list[str], address: IPv4Address) -> MACAddress | None:
    """Find an address in the lines of the table."""
    wanted = str(address)
    macs = (mac for seen, mac in complete_entries(lines) if seen == wanted)
    found = next(macs, None)
    return None if found is None else MACAddress.parse(found)


def read_table() -> list[str]:
    """Read the lines of /proc/net/arp: IP, type, flags, MAC, mask, device; none where it is not."""
    try:
        return TABLE.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []


def complete_entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Give addresses that have answered, and their MAC addresses, as the table spells them."""
    for line in lines:
        columns = line.split()
        if len(columns) >= 4 and int(columns[2], 16) & COMPLETE:
            yield columns[0], columns[3]
