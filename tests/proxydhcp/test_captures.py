"""What real firmware sent, from the packet to the answer."""

from ipaddress import IPv4Address
from uuid import UUID

import msgspec
import pytest

from bootyard.boot.choice import BootOffer, Silence, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.architecture import ClientArchitecture, Firmware
from bootyard.model.events import IgnoreReason, OfferStage, Step
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import MACAddress
from services.proxydhcp.identify import Listener, asks_to_boot, identify, unasked
from services.proxydhcp.packet import NOWHERE, DHCPPacket
from services.proxydhcp.pxe import NetworkInterfaceId, read_network_interface
from services.proxydhcp.reply import Endpoint, build_reply, destination, max_reply_size
from tests import captures
from tests.boot import choices
from tests.proxydhcp.test_responder import Bench

MAC = MACAddress.parse("52:54:00:12:34:56")
UDHCPC_MAC = MACAddress.parse("52:54:00:c1:00:01")
MACHINE = IPv4Address("192.0.2.157")
UDHCPC = IPv4Address("192.0.2.185")
SERVER = IPv4Address("192.0.2.10")
UUID_OF_MACHINE = UUID("857400b2-c0c2-5b68-8ab6-a49dfeefe2b8")
MACHINE_ID = bytes.fromhex("00b2007485c2c0685b8ab6a49dfeefe2b8")
BROADCAST = (IPv4Address("255.255.255.255"), 68)

IPXE_ALWAYS = frozenset({0x11, 0x12, 0x13, 0x15, 0x17, 0x27, 0x29, 0xB1, 0xEB})
"""iSCSI, AoE, HTTP, TFTP, DNS, menus, NFS, bus id, version (ipxe/features.h)."""
IPXE_EFI = IPXE_ALWAYS | {0x14, 0x24, 0x26}
"""… and HTTPS, EFI images, VLAN."""
IPXE_ROM = IPXE_ALWAYS | {0x10, 0x18, 0x19, 0x21, 0x22}
"""… and PXE extensions, bzImage, multiboot, PXE and ELF images."""
IPXE_UNDIONLY = IPXE_ROM | {0x14, 0x26}

SOFTWARE = {
    "ovmf-pxe": BootClient(
        mac=MAC,
        firmware=Firmware.UEFI_X64,
        kind=ClientKind.ROM,
        architecture=ClientArchitecture.X64_UEFI,
    ),
    "ovmf-secure-boot": BootClient(
        mac=MAC,
        firmware=Firmware.UEFI_X64,
        kind=ClientKind.ROM,
        architecture=ClientArchitecture.X64_UEFI,
    ),
    "ovmf-ia32": BootClient(
        mac=MAC,
        firmware=Firmware.UEFI_IA32,
        kind=ClientKind.ROM,
        architecture=ClientArchitecture.IA32_UEFI,
    ),
    "aavmf": BootClient(
        mac=MAC,
        firmware=Firmware.UEFI_ARM64,
        kind=ClientKind.ROM,
        architecture=ClientArchitecture.ARM64_UEFI,
    ),
    "ovmf-http": BootClient(
        mac=MAC,
        firmware=Firmware.HTTP_X64,
        kind=ClientKind.HTTP,
        architecture=ClientArchitecture.X64_HTTP,
    ),
    "ipxe-efi": BootClient(
        mac=MAC,
        firmware=Firmware.UEFI_X64,
        kind=ClientKind.IPXE,
        architecture=ClientArchitecture.X64_UEFI,
        ipxe_features=IPXE_EFI,
    ),
    "ipxe-rom": BootClient(
        mac=MAC,
        firmware=Firmware.BIOS,
        kind=ClientKind.IPXE,
        architecture=ClientArchitecture.X86_BIOS,
        ipxe_features=IPXE_ROM,
    ),
    "ipxe-undionly": BootClient(
        mac=MAC,
        firmware=Firmware.BIOS,
        kind=ClientKind.IPXE,
        architecture=ClientArchitecture.X86_BIOS,
        ipxe_features=IPXE_UNDIONLY,
    ),
}

UEFI_CLASS = "PXEClient:Arch:00007:UNDI:003000"
IA32_CLASS = "PXEClient:Arch:00006:UNDI:003000"
ARM64_CLASS = "PXEClient:Arch:00011:UNDI:003000"
HTTP_CLASS = "HTTPClient:Arch:00016:UNDI:003000"
BIOS_CLASS = "PXEClient:Arch:00000:UNDI:002001"
VENDOR_CLASSES = {
    "ovmf-pxe-discover-67": UEFI_CLASS,
    "ovmf-pxe-request-67": UEFI_CLASS,
    "ovmf-pxe-request-4011": UEFI_CLASS,
    "ovmf-pxe-request-4011-boot-item": UEFI_CLASS,
    "ovmf-secure-boot-discover-67": UEFI_CLASS,
    "ovmf-secure-boot-request-67": UEFI_CLASS,
    "ovmf-secure-boot-request-4011": UEFI_CLASS,
    "ovmf-ia32-discover-67": IA32_CLASS,
    "ovmf-ia32-request-67": IA32_CLASS,
    "ovmf-ia32-request-4011": IA32_CLASS,
    "aavmf-discover-67": ARM64_CLASS,
    "aavmf-request-67": ARM64_CLASS,
    "aavmf-request-4011": ARM64_CLASS,
    "ovmf-http-discover-67": HTTP_CLASS,
    "ovmf-http-request-67": HTTP_CLASS,
    "ipxe-efi-discover-67": "PXEClient",
    "ipxe-efi-request-67": "PXEClient",
    "ipxe-efi-request-4011": "PXEClient:Arch:00007:UNDI:003010",
    "ipxe-rom-discover-67": BIOS_CLASS,
    "ipxe-rom-request-67": BIOS_CLASS,
    "ipxe-rom-request-4011-boot-item": "PXEClient",
    "ipxe-undionly-discover-67": "PXEClient",
    "ipxe-undionly-request-67": "PXEClient",
    "ipxe-undionly-request-4011-boot-item": "PXEClient",
}
"""Every packet of a machine that boots, and how it names itself there."""

ASKS_FOR_MORE = {
    *("ovmf-pxe-request-67", "ovmf-secure-boot-request-67", "ovmf-ia32-request-67"),
    "aavmf-request-67",
}

DRIVERS = {
    "ovmf-pxe": NetworkInterfaceId(1, 3, 0),
    "ovmf-secure-boot": NetworkInterfaceId(1, 3, 0),
    "ovmf-ia32": NetworkInterfaceId(1, 3, 0),
    "aavmf": NetworkInterfaceId(1, 3, 0),
    "ovmf-http": NetworkInterfaceId(1, 3, 0),
    "ipxe-efi": NetworkInterfaceId(1, 3, 10),
    "ipxe-rom": NetworkInterfaceId(1, 2, 1),
    "ipxe-undionly": NetworkInterfaceId(1, 2, 1),
}

PLAIN = {
    "edk2-ip4-discover-67": MAC,
    "edk2-ip4-request-67": MAC,
    "udhcpc-discover-67": UDHCPC_MAC,
    "udhcpc-request-67": UDHCPC_MAC,
    "debian-installer-discover-67": MAC,
    "debian-installer-request-67": MAC,
}

LOADER = BootOffer(
    boot_file="loaders/uefi-x64/snponly.efi",
    strategy=OfferStrategy.COMPATIBLE,
    stage=OfferStage.ROM,
)
SCRIPT = BootOffer(boot_file="boot.ipxe", strategy=OfferStrategy.DIRECT, stage=OfferStage.IPXE)
BY_HTTP = BootOffer(
    boot_file="loaders/uefi-x64/snponly.efi", strategy=OfferStrategy.DIRECT, stage=OfferStage.HTTP
)
DECISIONS: dict[str, BootOffer] = {
    "ovmf-pxe": LOADER,
    # Nothing in its packets tells that it enforces Secure Boot.
    "ovmf-secure-boot": LOADER,
    "ovmf-ia32": msgspec.structs.replace(LOADER, boot_file="loaders/uefi-ia32/grubia32.efi"),
    "aavmf": msgspec.structs.replace(LOADER, boot_file="loaders/uefi-arm64/ipxe.efi"),
    "ovmf-http": BY_HTTP,
    "ipxe-efi": SCRIPT,
    "ipxe-rom": SCRIPT,
    "ipxe-undionly": SCRIPT,
}

PXE_ANSWER = "3604c000020a 3c09505845436c69656e74 611100b2007485c2c0685b8ab6a49dfeefe2b8"
"""Options 54, 60 and 97 of every answer to PXE."""
IDENTIFIER = "3d0701525400123456"
"""Option 61, which iPXE sends and EDK2 does not."""
DIRECT = "2b04060108ff"
BOOT_ITEM = "2b07470480030000ff"

ANSWERS = {
    "ovmf-pxe-discover-67": f"350102 {PXE_ANSWER} ff",
    "ovmf-pxe-request-4011": f"350105 {PXE_ANSWER} ff",
    "ovmf-pxe-request-4011-boot-item": f"350105 {PXE_ANSWER} 2b07470480420000ff ff",
    "aavmf-discover-67": f"350102 {PXE_ANSWER} ff",
    "aavmf-request-4011": f"350105 {PXE_ANSWER} ff",
    "ovmf-ia32-discover-67": f"350102 {PXE_ANSWER} ff",
    "ovmf-ia32-request-4011": f"350105 {PXE_ANSWER} ff",
    "ovmf-secure-boot-discover-67": f"350102 {PXE_ANSWER} ff",
    "ovmf-secure-boot-request-4011": f"350105 {PXE_ANSWER} ff",
    "ipxe-efi-discover-67": f"350102 {PXE_ANSWER} {DIRECT} {IDENTIFIER} ff",
    "ipxe-efi-request-4011": f"350105 {PXE_ANSWER} {DIRECT} {IDENTIFIER} ff",
    "ipxe-rom-discover-67": f"350102 {PXE_ANSWER} {DIRECT} {IDENTIFIER} ff",
    "ipxe-rom-request-4011-boot-item": f"350105 {PXE_ANSWER} {BOOT_ITEM} {IDENTIFIER} ff",
    "ipxe-undionly-discover-67": f"350102 {PXE_ANSWER} {DIRECT} {IDENTIFIER} ff",
    "ipxe-undionly-request-4011-boot-item": f"350105 {PXE_ANSWER} {BOOT_ITEM} {IDENTIFIER} ff",
}
"""The options of the answer, to the last byte."""

ASKS_4011_FROM = {"ovmf": 4011, "aavmf": 4011, "ipxe": 68}


def software_of(name: str) -> str:
    return next(software for software in SOFTWARE if name.startswith(software))


def listener_of(name: str) -> Listener:
    return Listener.BOOT_SERVER if "-4011" in name else Listener.DHCP


def recorded(name: str) -> DHCPPacket:
    return DHCPPacket.parse(captures.load(name))


def who_sent(name: str) -> BootClient:
    client = identify(recorded(name))
    assert isinstance(client, BootClient)
    return client


def answer_to(name: str, offer: BootOffer) -> DHCPPacket:
    return build_reply(recorded(name), who_sent(name), offer, server=SERVER, http_port=8080)


def test_every_recorded_dhcp_packet_is_tested_here() -> None:
    recordings = {name for name in captures.names() if "-67" in name or "-4011" in name}
    assert recordings == VENDOR_CLASSES.keys() | PLAIN.keys()


@pytest.mark.parametrize("name", [*VENDOR_CLASSES, *PLAIN])
def test_what_was_read_is_written_as_it_was(name: str) -> None:
    # EDK2's own IP stack sends less than BOOTP's 300 bytes.
    assert recorded(name).to_bytes() == captures.load(name).ljust(300, b"\0")


@pytest.mark.parametrize("name", VENDOR_CLASSES)
def test_who_asks(name: str) -> None:
    expected = msgspec.structs.replace(
        SOFTWARE[software_of(name)],
        uuid=UUID_OF_MACHINE,
        vendor_class=VENDOR_CLASSES[name],
        user_class=b"iPXE" if name.startswith("ipxe") else b"",
        # OVMF asks its DHCP server for more than a frame holds, and drops it (PxeBcDhcp4CallBack).
        max_message_size=0xFF00 if name in ASKS_FOR_MORE else 1472,
    )
    assert who_sent(name) == expected
    packet = recorded(name)
    assert asks_to_boot(packet)
    assert read_network_interface(packet.options[94]) == DRIVERS[software_of(name)]


@pytest.mark.parametrize("name", VENDOR_CLASSES)
def test_what_it_gets(name: str) -> None:
    assert choose(who_sent(name), RecentBoot(), choices.snapshot()) == DECISIONS[software_of(name)]


@pytest.mark.parametrize("name", VENDOR_CLASSES)
def test_what_is_asked_of_us(name: str) -> None:
    silence = unasked(recorded(name), listener_of(name))
    if "-request-67" in name:
        assert silence == Silence(reason=IgnoreReason.NOT_OURS, detail="REQUEST on port 67")
    else:
        assert silence is None


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_byte_by_byte(name: str) -> None:
    request = recorded(name)
    offer = DECISIONS[software_of(name)]
    assert isinstance(offer, BootOffer)
    data = answer_to(name, offer).to_bytes()
    offers = listener_of(name) is Listener.DHCP
    addresses = NOWHERE.packed if offers else MACHINE.packed
    assert data[:4] == b"\2\1\6\0"
    assert data[4:8] == request.xid.to_bytes(4)
    assert data[8:12].hex() == ("00008000" if offers else "00000000")
    assert data[12:28] == addresses + NOWHERE.packed + SERVER.packed + NOWHERE.packed
    assert data[28:44] == MAC.octets + bytes(10)
    assert data[44:108] == b"192.0.2.10".ljust(64, b"\0")
    assert data[108:236] == offer.boot_file.encode().ljust(128, b"\0")
    assert data[236:240].hex() == "63825363"
    assert data[240:] == bytes.fromhex(ANSWERS[name]).ljust(len(data) - 240, b"\0")
    assert len(data) <= max_reply_size(who_sent(name))


@pytest.mark.parametrize("name", ANSWERS)
def test_where_the_answer_goes(name: str) -> None:
    port = ASKS_4011_FROM[name.partition("-")[0]]
    if listener_of(name) is Listener.DHCP:
        source: Endpoint = (NOWHERE, 68)
        expected: Endpoint = BROADCAST
    else:
        source = expected = (MACHINE, port)
    assert destination(recorded(name), source) == expected


def test_http_boot_would_be_given_a_whole_url() -> None:
    url = b"http://192.0.2.10:8080/tree/loaders/uefi-x64/snponly.efi"
    answer = answer_to("ovmf-http-discover-67", BY_HTTP)
    assert (answer.file, answer.options[67]) == (url, url)
    assert answer.options[60] == b"HTTPClient"
    assert answer.options[97] == MACHINE_ID
    assert set(answer.options) == {53, 54, 60, 97, 67}


@pytest.mark.parametrize(("name", "mac"), PLAIN.items())
def test_plain_hosts_get_nothing(name: str, mac: MACAddress) -> None:
    packet = recorded(name)
    assert packet.mac == mac
    assert not asks_to_boot(packet)
    assert identify(packet) == Silence(
        reason=IgnoreReason.NOT_PXE, detail="does not ask to boot (option 60)"
    )
    bench = Bench()
    for listener in Listener:
        assert bench.hear(captures.load(name), listener) is None
    assert bench.events == []
    assert bench.count("packets_ignored_total", reason="not_pxe") == 2
    assert bench.internal_errors() == 0


def test_a_boot_from_firmware_to_the_installer() -> None:
    bench = Bench()
    for name in (
        *("ovmf-pxe-discover-67", "ovmf-pxe-request-67", "ovmf-pxe-request-4011"),
        *("ipxe-efi-discover-67", "ipxe-efi-request-67", "ipxe-efi-request-4011"),
        *("debian-installer-discover-67", "debian-installer-request-67"),
    ):
        bench.hear(captures.load(name), listener_of(name), MACHINE)
    told = [(event.step, event.stage, event.ip) for event in bench.events]
    assert told == [
        (Step.DISCOVERED, OfferStage.ROM, None),
        (Step.OFFERED, OfferStage.ROM, None),
        (Step.ADDRESSED, OfferStage.ROM, str(MACHINE)),
        (Step.ACKED, OfferStage.ROM, str(MACHINE)),
        (Step.DISCOVERED, OfferStage.IPXE, None),
        (Step.OFFERED, OfferStage.IPXE, None),
        (Step.ADDRESSED, OfferStage.IPXE, str(MACHINE)),
        (Step.ACKED, OfferStage.IPXE, str(MACHINE)),
        # Once, with the address that the system asks for.
        (Step.SYSTEM_UP, None, str(MACHINE)),
    ]
    assert bench.internal_errors() == 0


def test_a_system_that_asks_for_the_address_it_had_is_up_with_it() -> None:
    bench = Bench()
    bench.hear(captures.load("ovmf-pxe-discover-67"))
    bench.hear(captures.load("debian-installer-request-67"))
    assert (bench.events[-1].step, bench.events[-1].ip) == (Step.SYSTEM_UP, str(MACHINE))


def test_firmware_that_takes_an_address_for_its_loader_is_no_system_yet() -> None:
    # syslinux.efi has the firmware's own IP stack ask, without any word of booting.
    bench = Bench()
    for name in (
        *("ovmf-pxe-discover-67", "ovmf-pxe-request-67", "ovmf-pxe-request-4011"),
        *("edk2-ip4-discover-67", "edk2-ip4-request-67"),
    ):
        bench.hear(captures.load(name), listener_of(name), MACHINE)
    assert Step.SYSTEM_UP not in bench.steps()
    bench.hear(captures.load("debian-installer-request-67"))
    assert bench.steps()[-1] is Step.SYSTEM_UP


def test_the_address_of_a_plain_host_is_learned() -> None:
    bench = Bench()
    bench.hear(captures.load("udhcpc-request-67"))
    asked = msgspec.structs.replace(
        recorded("ovmf-pxe-request-4011"), mac=UDHCPC_MAC, ciaddr=NOWHERE
    )
    bench.hear(asked, Listener.BOOT_SERVER)
    assert [(event.step, event.ip) for event in bench.events] == [(Step.ACKED, str(UDHCPC))]
