"""What PXE and iPXE put inside DHCP options: 43 and its sub-options, 71, 77, 94, 97 and 175.

PXE 2.1 Table 2-1; RFC 4578 §2; RFC 3004 §4; ipxe/dhcp.h. Pure bytes, no sockets, no clock.
"""

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address
from uuid import UUID

import msgspec

from bootyard.model.errors import MalformedPacket
from services.proxydhcp.options import MAX_OPTION, Reader, read_triples, write_triples


class SubOption(IntEnum):
    """Sub-options of option 43 (PXE 2.1 Table 2-1)."""

    DISCOVERY_CONTROL = 6
    MULTICAST_ADDRESS = 7
    BOOT_SERVERS = 8
    BOOT_MENU = 9
    MENU_PROMPT = 10
    BOOT_ITEM = 71
    END = 255


class DiscoveryControl(IntFlag):
    """Sub-option 6: how a client looks for boot servers (PXE 2.1 Table 2-1)."""

    NO_BROADCAST = 0x01
    NO_MULTICAST = 0x02
    ONLY_LISTED_SERVERS = 0x04
    USE_BOOT_FILE = 0x08
    """Load the file of this offer: no prompt, no menu, no discovery."""


class BootItem(msgspec.Struct, frozen=True):
    """Sub-option 71: which entry of a boot menu a client asks for (PXE 2.1 Table 2-1)."""

    type: int
    layer: int

    @property
    def wants_credentials(self) -> bool:
        """Bit 15 of the layer asks for a signature of the file (BIS), which nobody makes."""
        return bool(self.layer & 0x8000)


class BootServers(msgspec.Struct, frozen=True):
    """One entry of sub-option 8: servers of a type; no addresses means any of them."""

    type: int
    addresses: tuple[IPv4Address, ...] = ()


class MenuEntry(msgspec.Struct, frozen=True):
    """One entry of sub-option 9; type 0 boots the local disk."""

    type: int
    text: bytes


class MenuPrompt(msgspec.Struct, frozen=True):
    """Sub-option 10: 0 takes the first entry at once, 255 waits for ever."""

    timeout_seconds: int
    text: bytes


class NetworkInterfaceId(msgspec.Struct, frozen=True):
    """Option 94: the driver interface; type 1 is UNDI (RFC 4578 §2.2)."""

    type: int
    major: int
    minor: int


def read_suboptions(value: bytes) -> dict[int, bytes]:
    """Read option 43 (RFC 2132 §8.4); the END is optional in what clients send."""
    found: dict[int, bytes] = {}
    read_triples(value, found, "option 43")
    return found


def write_suboptions(suboptions: Mapping[int, bytes]) -> bytes:
    """Write option 43. It must fit one option: EDK2 reads only the first of several parts."""
    value = write_triples(suboptions) + bytes((SubOption.END,))
    if len(value) > MAX_OPTION:
        raise ValueError(f"option 43 would have {len(value)} bytes; {MAX_OPTION} fit")
    return value


def read_boot_item(value: bytes) -> BootItem:
    """Read sub-option 71."""
    if len(value) != 4:
        raise MalformedPacket(f"boot item has {len(value)} bytes; 4 were expected")
    return BootItem(int.from_bytes(value[:2]), int.from_bytes(value[2:]))


def find_boot_item(option_43: bytes) -> BootItem | None:
    """Read sub-option 71 of a request; None when it is absent or damaged."""
    if not option_43:
        return None
    try:
        item = read_suboptions(option_43).get(SubOption.BOOT_ITEM)
        return None if item is None else read_boot_item(item)
    except MalformedPacket:
        return None


def write_boot_item(item: BootItem) -> bytes:
    """Write sub-option 71."""
    return item.type.to_bytes(2) + item.layer.to_bytes(2)


def read_boot_servers(value: bytes) -> tuple[BootServers, ...]:
    """Read sub-option 8."""
    reader = Reader(value, "the boot server list")
    servers: list[BootServers] = []
    while reader.remaining:
        kind, count = reader.u16(), reader.u8()
        servers.append(BootServers(kind, tuple(reader.address() for _ in range(count))))
    return tuple(servers)


def write_boot_servers(servers: tuple[BootServers, ...]) -> bytes:
    """Write sub-option 8."""
    return b"".join(
        s.type.to_bytes(2) + bytes((len(s.addresses),)) + b"".join(a.packed for a in s.addresses)
        for s in servers
    )


def read_menu(value: bytes) -> tuple[MenuEntry, ...]:
    """Read sub-option 9."""
    reader = Reader(value, "the boot menu")
    entries: list[MenuEntry] = []
    while reader.remaining:
        kind = reader.u16()
        entries.append(MenuEntry(kind, reader.take(reader.u8())))
    return tuple(entries)


def write_menu(entries: tuple[MenuEntry, ...]) -> bytes:
    """Write sub-option 9."""
    return b"".join(e.type.to_bytes(2) + bytes((len(e.text),)) + e.text for e in entries)


def read_menu_prompt(value: bytes) -> MenuPrompt:
    """Read sub-option 10."""
    reader = Reader(value, "the menu prompt")
    return MenuPrompt(reader.u8(), reader.take(reader.remaining))


def write_menu_prompt(prompt: MenuPrompt) -> bytes:
    """Write sub-option 10."""
    return bytes((prompt.timeout_seconds,)) + prompt.text


DIRECT_BOOT = write_suboptions(
    {SubOption.DISCOVERY_CONTROL: bytes((DiscoveryControl.USE_BOOT_FILE,))}
)
"""The known-good minimum of pixiecore and smee: load the file of this offer."""


def raspberry_pi_menu(text: bytes) -> bytes:
    """Write what Raspberry Pi ROMs and EEPROMs look for (documentation, boot-net.adoc)."""
    return write_suboptions(
        {
            SubOption.DISCOVERY_CONTROL: bytes(
                (DiscoveryControl.NO_BROADCAST | DiscoveryControl.NO_MULTICAST,)
            ),
            SubOption.MENU_PROMPT: write_menu_prompt(MenuPrompt(0, b"PXE")),
            SubOption.BOOT_MENU: write_menu((MenuEntry(0, text),)),
        }
    )


RASPBERRY_PI = raspberry_pi_menu(b"Raspberry Pi Boot")

RASPBERRY_PI_3 = raspberry_pi_menu(b"Raspberry Pi Boot   ")
"""The ROM of the Pi 3B compares three blanks more; what came after it does not."""

BOOTSTRAP_TYPE = 0
"""Boot server type of a client that names none of a menu."""

OUR_TYPE = 0x8042
"""Boot server type of our one menu entry: vendors' own begin at 0x8000 (PXE 2.1 Table 2-1)."""


def one_server_menu(server: IPv4Address) -> bytes:
    """Write a menu with one entry that is taken at once, and the one server that has it.

    All three control bits: EDK2 and iPXE ask the listed servers only when they need not multicast
    or broadcast before; EDK2 before 2014 reads the list only when no other server may answer.
    """
    control = (
        DiscoveryControl.NO_BROADCAST
        | DiscoveryControl.NO_MULTICAST
        | DiscoveryControl.ONLY_LISTED_SERVERS
    )
    return write_suboptions(
        {
            SubOption.DISCOVERY_CONTROL: bytes((control,)),
            SubOption.BOOT_SERVERS: write_boot_servers((BootServers(OUR_TYPE, (server,)),)),
            SubOption.BOOT_MENU: write_menu((MenuEntry(OUR_TYPE, b"Bootyard"),)),
            SubOption.MENU_PROMPT: write_menu_prompt(MenuPrompt(0, b"Bootyard")),
        }
    )


def read_machine_id(value: bytes) -> UUID | None:
    """Option 97: type 0 and 16 bytes, mixed-endian as in SMBIOS (RFC 4578 §2.3).

    None for other types and lengths, and for the zeros that EDK2 sends when SMBIOS has no UUID:
    shipped ROMs do all of this, and boot all the same.
    """
    if len(value) != 17 or value[0] != 0 or not any(value[1:]):
        return None
    return UUID(bytes_le=value[1:])


def write_machine_id(uuid: UUID) -> bytes:
    """Write option 97."""
    return b"\0" + uuid.bytes_le


def read_network_interface(value: bytes) -> NetworkInterfaceId:
    """Read option 94 (RFC 4578 §2.2)."""
    if len(value) != 3:
        raise MalformedPacket(f"option 94 has {len(value)} bytes; 3 were expected")
    return NetworkInterfaceId(*value)


def read_user_classes(value: bytes) -> tuple[bytes, ...]:
    """Option 77 as the list of RFC 3004 §4, or as one raw class.

    iPXE sends the four bytes of its name without a length, which the RFC does not allow.
    """
    reader = Reader(value, "option 77")
    classes: list[bytes] = []
    while reader.remaining:
        size = reader.u8()
        if not 0 < size <= reader.remaining:
            return (value,)
        classes.append(reader.take(size))
    return tuple(classes)


def read_ipxe_features(value: bytes) -> frozenset[int]:
    """Option 175: tags that are present (ipxe/features.h); a damaged tail is left out."""
    found: dict[int, bytes] = {}
    try:
        read_triples(value, found, "option 175")
    except MalformedPacket:
        return frozenset(found)
    return frozenset(found)
