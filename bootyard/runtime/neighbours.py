"""The kernel's neighbour table: which MAC address is behind an IPv4 address on a local network."""

from ipaddress import IPv4Address
from pathlib import Path

from bootyard.model.mac import MACAddress

TABLE = Path("/proc/net/arp")
COMPLETE = 0x2
"""ATF_COM: the entry has been answered (linux/if_arp.h)."""


def mac_of(address: IPv4Address) -> MACAddress | None:
    """Look up a neighbour; None when it is not on a local network or has not been seen."""
    try:
        lines = TABLE.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    return find_mac(lines, address)


def find_mac(lines: list[str], address: IPv4Address) -> MACAddress | None:
    """Find an address in the lines of /proc/net/arp: IP, type, flags, MAC, mask, device."""
    wanted = str(address)
    for line in lines:
        columns = line.split()
        if len(columns) >= 4 and columns[0] == wanted and int(columns[2], 16) & COMPLETE:
            return MACAddress.parse(columns[3])
    return None
