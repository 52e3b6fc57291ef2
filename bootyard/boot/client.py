"""Facts about who is asking, as they were learned from packets and requests."""

from enum import StrEnum
from ipaddress import IPv4Address
from typing import Literal
from uuid import UUID

import msgspec

from bootyard.model.architecture import ClientArchitecture, Firmware
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import MACAddress


class ClientKind(StrEnum):
    """Which program on the machine is asking."""

    ROM = "rom"
    IPXE = "ipxe"
    HTTP = "http"
    PI = "pi"
    UBOOT = "uboot"


class BootClient(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that asks to boot from the network, by one DHCP packet."""

    mac: MACAddress
    firmware: Firmware
    kind: ClientKind
    architecture: ClientArchitecture
    uuid: UUID | None = None
    """Option 97, mixed-endian as SMBIOS writes it."""
    vendor_class: str = ""
    user_class: bytes = b""
    ipxe_features: frozenset[int] = frozenset()
    """Tags of option 175 that are present."""
    interface: str = ""
    relay: IPv4Address | None = None
    max_message_size: int | None = None
    """Option 57."""


class RecentBoot(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine was offered in the last minutes, and how it took it."""

    strategy: OfferStrategy | None = None
    """Of its last offer."""
    ignored: int = 0
    """Offers of that strategy in a row that it did not take."""
    given: str | None = None
    """The boot file that it was offered just now: an iPXE that asks next may have come from it."""


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a name in the boot tree."""

    client_ip: IPv4Address
    server_address: IPv4Address
    """Our address that the machine used; the one that scripts name."""
    transport: Literal["tftp", "http"]
    mac: MACAddress | None = None
    """Known from the neighbour table, never from what the client says alone."""
    firmware: Firmware | None = None
    """Known from the loader that it fetched; tells which modules a bare name means."""
