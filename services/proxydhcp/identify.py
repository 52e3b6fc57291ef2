"""From a packet to facts about the machine that sent it, or the reason to say nothing.

RFC 4578 §2 and what firmware makes of it. Pure: decides nothing about boot files.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

import msgspec

from bootyard.boot.choice import Silence
from bootyard.boot.client import BootClient, ClientKind
from bootyard.model.architecture import FIRMWARE_OF, ClientArchitecture, Firmware, firmware_of
from bootyard.model.errors import MalformedPacket
from bootyard.model.events import IgnoreReason, OfferStage
from services.proxydhcp.options import (
    MessageType,
    OptionCode,
    read_architectures,
    read_max_message_size,
    read_vendor_class,
)
from services.proxydhcp.packet import NOWHERE, DHCPPacket, OpCode
from services.proxydhcp.pxe import (
    BOOTSTRAP_TYPE,
    OUR_TYPE,
    BootItem,
    find_boot_item,
    read_ipxe_features,
    read_machine_id,
    read_user_classes,
)

PXE_CLASS = "PXEClient"
HTTP_CLASS = "HTTPClient"
UBOOT_CLASS = "U-Boot"
"""Prefixes of option 60. U-Boot's own class says that it wants to boot, its EFI loader sends
`PXEClient` with the architecture in hexadecimal: never read one out of this text."""

IPXE_USER_CLASS = b"iPXE"

PI_3_OUI = "b8:27:eb"
RASPBERRY_PI_OUIS = (
    PI_3_OUI,
    "dc:a6:32",
    "e4:5f:01",
    "28:cd:c1",
    "d8:3a:dd",
    "2c:cf:67",
    "88:a2:9e",
)
RASPBERRY_PI_MACHINE_ID = b"\0RPi"
"""EEPROMs of Pi 4 and 5 send "RPi4" or "RPi5", then board revision, MAC and serial."""

NOT_A_PI_ROM = frozenset(FIRMWARE_OF) - {ClientArchitecture.X86_BIOS}
"""A Pi that runs UEFI or U-Boot says so; its ROM pretends to be an x86 BIOS."""


class Listener(StrEnum):
    """Where a packet was heard; the value is the well-known port, as metrics name it."""

    DHCP = "67"
    BOOT_SERVER = "4011"


def identify(packet: DHCPPacket, interface: str = "") -> BootClient | Silence:
    """Learn from a packet who wants to boot from the network."""
    if packet.op is not OpCode.BOOTREQUEST:
        return Silence(reason=IgnoreReason.NOT_OURS, detail="a reply of a server")
    traits = _traits(_is_raspberry_pi(packet), *map(packet.options.get, _TRAITS))
    if isinstance(traits, Silence):
        return traits
    return BootClient(
        mac=packet.mac,
        firmware=traits.firmware,
        kind=traits.kind,
        architecture=traits.architecture,
        uuid=_uuid(packet),
        vendor_class=traits.vendor_class,
        user_class=traits.user_class,
        ipxe_features=traits.ipxe_features,
        interface=interface,
        relay=None if packet.giaddr == NOWHERE else packet.giaddr,
        max_message_size=traits.max_message_size,
    )


class _Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What machines of one make have in common."""

    firmware: Firmware
    kind: ClientKind
    architecture: ClientArchitecture
    vendor_class: str
    user_class: bytes
    ipxe_features: frozenset[int]
    max_message_size: int | None


_TRAITS = (
    OptionCode.VENDOR_CLASS,
    OptionCode.CLIENT_ARCHITECTURE,
    OptionCode.MAX_MESSAGE_SIZE,
    OptionCode.USER_CLASS,
    OptionCode.IPXE,
)
"""Options that traits are read from; they do not differ by machine."""


@lru_cache(maxsize=256)
def _traits(is_raspberry_pi: bool, *values: bytes | None) -> _Traits | Silence:
    """Read traits from the values of `_TRAITS`. A network has few makes of firmware."""
    pairs = zip(_TRAITS, values, strict=True)
    options: dict[int, bytes] = {code: value for code, value in pairs if value is not None}
    vendor_class = read_vendor_class(options)
    if vendor_class is None or not vendor_class.startswith((PXE_CLASS, HTTP_CLASS, UBOOT_CLASS)):
        return Silence(reason=IgnoreReason.NOT_PXE, detail="does not ask to boot (option 60)")
    try:
        architectures = read_architectures(options)
        max_message_size = read_max_message_size(options)
    except MalformedPacket as error:
        return Silence(reason=IgnoreReason.MALFORMED, detail=error.problem)
    if not architectures:
        return Silence(reason=IgnoreReason.NOT_PXE, detail="names no architecture (option 93)")
    architecture = _first_known(architectures)
    kind = _kind(options, vendor_class, architecture, is_raspberry_pi)
    return _Traits(
        firmware=_firmware(kind, architecture),
        kind=kind,
        architecture=architecture,
        vendor_class=vendor_class,
        user_class=options.get(OptionCode.USER_CLASS, b""),
        ipxe_features=read_ipxe_features(options.get(OptionCode.IPXE, b"")),
        max_message_size=max_message_size,
    )


def unasked(packet: DHCPPacket, listener: Listener) -> Silence | None:
    """Tell why a packet of a booting machine asks for no answer from this port, if so.

    A REQUEST on port 67 is for the DHCP server that the machine chose; on 4011 it, or an INFORM,
    is for us, and so is one on port 67 that looks for a boot server by sub-option 71 (PXE 2.1
    §2.2).
    """
    kind = packet.message_type
    item = find_boot_item(packet.options.get(OptionCode.VENDOR_SPECIFIC, b""))
    if kind in (MessageType.REQUEST, MessageType.INFORM):
        wanted = listener is Listener.BOOT_SERVER or _is_discovery(packet, item)
    else:
        wanted = kind is MessageType.DISCOVER and listener is Listener.DHCP
    if not wanted:
        name = "BOOTP" if kind is None else kind.name
        return Silence(reason=IgnoreReason.NOT_OURS, detail=f"{name} on port {listener}")
    if item is not None and item.wants_credentials:
        return Silence(reason=IgnoreReason.NOT_OURS, detail="asks for a signature (PXE BIS)")
    return None


def _is_discovery(packet: DHCPPacket, item: BootItem | None) -> bool:
    """Tell whether a broadcast looks for a boot server like ours, and for no address.

    Another type of server is an entry of another server's menu.
    """
    is_ours = item is not None and item.type in (BOOTSTRAP_TYPE, OUR_TYPE)
    return is_ours and OptionCode.REQUESTED_ADDRESS not in packet.options


def stage_of(client: BootClient) -> OfferStage:
    """Name the stage of a client for events and metrics."""
    match client.kind:
        case ClientKind.IPXE:
            return OfferStage.IPXE
        case ClientKind.HTTP:
            return OfferStage.HTTP
        case ClientKind.PI:
            return OfferStage.PI
        case ClientKind.ROM | ClientKind.UBOOT:
            return OfferStage.ROM


def asks_to_boot(packet: DHCPPacket) -> bool:
    """Tell whether the program behind a packet is firmware or a loader.

    iPXE's class can be set to anything by scripts; option 175 stays.
    """
    vendor_class = read_vendor_class(packet.options) or ""
    return vendor_class.startswith((PXE_CLASS, HTTP_CLASS, UBOOT_CLASS)) or _is_ipxe(packet.options)


def _first_known(architectures: tuple[ClientArchitecture, ...]) -> ClientArchitecture:
    bootable = (a for a in architectures if a in FIRMWARE_OF)
    return next(bootable, architectures[0])


def _kind(
    options: Mapping[int, bytes],
    vendor_class: str,
    architecture: ClientArchitecture,
    is_raspberry_pi: bool,
) -> ClientKind:
    if _is_ipxe(options):
        return ClientKind.IPXE
    if vendor_class.startswith(HTTP_CLASS):
        return ClientKind.HTTP
    if is_raspberry_pi and architecture not in NOT_A_PI_ROM:
        return ClientKind.PI
    if vendor_class.startswith(UBOOT_CLASS) or firmware_of(architecture) is Firmware.UBOOT:
        return ClientKind.UBOOT
    return ClientKind.ROM


def _firmware(kind: ClientKind, architecture: ClientArchitecture) -> Firmware:
    if kind is ClientKind.PI:
        return Firmware.PI
    if kind is ClientKind.UBOOT:
        return Firmware.UBOOT
    return firmware_of(architecture)


def _is_ipxe(options: Mapping[int, bytes]) -> bool:
    if OptionCode.IPXE in options:
        return True
    user_class = options.get(OptionCode.USER_CLASS, b"")
    return IPXE_USER_CLASS in read_user_classes(user_class)


def _is_raspberry_pi(packet: DHCPPacket) -> bool:
    machine_id = packet.options.get(OptionCode.CLIENT_MACHINE_ID, b"")
    return packet.mac.startswith(RASPBERRY_PI_OUIS) or machine_id.startswith(
        RASPBERRY_PI_MACHINE_ID
    )


def _uuid(packet: DHCPPacket) -> UUID | None:
    return read_machine_id(packet.options.get(OptionCode.CLIENT_MACHINE_ID, b""))
