"""Facts from packets, and the reasons for silence."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given

from bootyard.boot.choice import Silence
from bootyard.boot.client import BootClient, ClientKind
from bootyard.model.architecture import ClientArchitecture, Firmware
from bootyard.model.events import IgnoreReason, OfferStage
from bootyard.model.mac import MACAddress
from services.proxydhcp.identify import Listener, asks_to_boot, identify, stage_of, unasked
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import DHCPPacket, OpCode
from tests.proxydhcp.packets import MAC, UUID_OF_MACHINE_ID, plain, request
from tests.proxydhcp.test_packet import packets

BIOS = b"\0\0"
BIOS_CLASS = b"PXEClient:Arch:00000:UNDI:002001"
PI_MAC = MACAddress.parse("dc:a6:32:01:36:c2")
PI_ID = b"\0RPi4" + bytes(12)
IPXE_OPTIONS = bytes.fromhex("b105018086100eeb03010000130101180101270101")
HTTP_CLASS = b"HTTPClient:Arch:00016:UNDI:003000"


def ipxe(**more: object) -> DHCPPacket:
    return request(more={77: b"iPXE", 175: IPXE_OPTIONS}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("packet", "kind", "firmware", "stage"),
    [
        pytest.param(packet, kind, firmware, stage, id=name)
        for name, packet, kind, firmware, stage in [
            ("uefi-x64", request(), "rom", "uefi-x64", "rom"),
            ("uefi-x64-as-9", request(arch=b"\0\x09"), "rom", "uefi-x64", "rom"),
            ("uefi-ia32", request(arch=b"\0\x06"), "rom", "uefi-ia32", "rom"),
            ("uefi-arm64", request(arch=b"\0\x0b"), "rom", "uefi-arm64", "rom"),
            ("uefi-riscv64", request(arch=b"\0\x1b"), "rom", "uefi-riscv64", "rom"),
            ("uefi-loong64", request(arch=b"\0\x27"), "rom", "uefi-loong64", "rom"),
            ("bios", request(arch=BIOS, vendor_class=BIOS_CLASS), "rom", "bios", "rom"),
            ("bare-class", request(vendor_class=b"PXEClient"), "rom", "uefi-x64", "rom"),
            # Winpe and U-Boot's EFI write other things behind the prefix.
            (
                *("hex-class", request(arch=b"\0\x0b", vendor_class=b"PXEClient:Arch:0000b")),
                *("rom", "uefi-arm64", "rom"),
            ),
            (
                *("class-of-another", request(vendor_class=b"PXEClient:Arch:00000:UNDI:002001")),
                *("rom", "uefi-x64", "rom"),
            ),
            ("first-known", request(arch=b"\xff\xff\0\x07\0\0"), "rom", "uefi-x64", "rom"),
            ("unknown", request(arch=b"\xff\xff"), "rom", "other", "rom"),
            ("itanium", request(arch=b"\0\2"), "rom", "other", "rom"),
            ("bios-ipxe", ipxe(arch=BIOS), "ipxe", "bios", "ipxe"),
            ("uefi-ipxe", ipxe(), "ipxe", "uefi-x64", "ipxe"),
            ("ipxe-raw-77", request(more={77: b"iPXE"}), "ipxe", "uefi-x64", "ipxe"),
            ("ipxe-prefixed-77", request(more={77: b"\4iPXE"}), "ipxe", "uefi-x64", "ipxe"),
            ("ipxe-by-175", request(more={175: IPXE_OPTIONS}), "ipxe", "uefi-x64", "ipxe"),
            ("other-user-class", request(more={77: b"gPXE"}), "rom", "uefi-x64", "rom"),
            (
                *("http-boot", request(arch=b"\0\x10", vendor_class=HTTP_CLASS)),
                *("http", "http-x64", "http"),
            ),
            (
                *("http-boot-arm64", request(arch=b"\0\x13", vendor_class=b"HTTPClient")),
                *("http", "http-arm64", "http"),
            ),
            (
                *("pi-oui", request(mac=PI_MAC, arch=BIOS, vendor_class=BIOS_CLASS)),
                *("pi", "pi", "pi"),
            ),
            (
                *("pi-machine-id", request(arch=BIOS, machine_id=PI_ID)),
                *("pi", "pi", "pi"),
            ),
            # A Pi with UEFI or U-Boot on its card asks for what these can run.
            ("pi-uefi", request(mac=PI_MAC, arch=b"\0\x0b"), "rom", "uefi-arm64", "rom"),
            (
                *("pi-u-boot", request(mac=PI_MAC, arch=b"\0\x16", vendor_class=b"U-Boot.armv8")),
                *("uboot", "uboot", "rom"),
            ),
            ("pi-ipxe", ipxe(mac=PI_MAC, arch=b"\0\x0b"), "ipxe", "uefi-arm64", "ipxe"),
            (
                *("u-boot", request(arch=b"\0\x16", vendor_class=b"U-Boot.armv8")),
                *("uboot", "uboot", "rom"),
            ),
            ("u-boot-as-pxe", request(arch=b"\0\x15"), "uboot", "uboot", "rom"),
            ("without-uuid", request(machine_id=None), "rom", "uefi-x64", "rom"),
        ]
    ],
)
def test_who_asks(packet: DHCPPacket, kind: str, firmware: str, stage: str) -> None:
    client = identify(packet, "eth0")
    assert isinstance(client, BootClient)
    assert (client.kind, client.firmware) == (ClientKind(kind), Firmware(firmware))
    assert stage_of(client) is OfferStage(stage)
    assert client.interface == "eth0"
    assert asks_to_boot(packet)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        pytest.param(packet, reason, id=name)
        for name, packet, reason in [
            ("not-pxe", plain(), IgnoreReason.NOT_PXE),
            ("msft", request(vendor_class=b"MSFT 5.0"), IgnoreReason.NOT_PXE),
            ("apple", request(vendor_class=b"AAPLBSDPC/i386"), IgnoreReason.NOT_PXE),
            ("not-a-prefix", request(vendor_class=b"xPXEClient"), IgnoreReason.NOT_PXE),
            ("cut-class", request(vendor_class=b"PXEClien"), IgnoreReason.NOT_PXE),
            ("empty-class", request(vendor_class=b""), IgnoreReason.NOT_PXE),
            ("without-93", request(arch=None), IgnoreReason.NOT_PXE),
            ("plain-u-boot", request(arch=None, vendor_class=b"U-Boot"), IgnoreReason.NOT_PXE),
            ("odd-93", request(arch=b"\0\0\7"), IgnoreReason.MALFORMED),
            ("empty-93", request(arch=b""), IgnoreReason.MALFORMED),
            ("short-57", request(more={57: b"\5"}), IgnoreReason.MALFORMED),
            ("reply", request(MessageType.OFFER, op=OpCode.BOOTREPLY), IgnoreReason.NOT_OURS),
        ]
    ],
)
def test_silence_has_a_reason(packet: DHCPPacket, reason: IgnoreReason) -> None:
    silence = identify(packet)
    assert isinstance(silence, Silence)
    assert silence.reason is reason
    assert silence.detail


def test_facts_are_the_packet_s() -> None:
    relay = IPv4Address("10.0.0.1")
    packet = request(more={57: b"\5\xc0", 77: b"iPXE", 175: IPXE_OPTIONS}, giaddr=relay)
    assert identify(packet, "eth1") == BootClient(
        mac=MAC,
        firmware=Firmware.UEFI_X64,
        kind=ClientKind.IPXE,
        architecture=ClientArchitecture.X64_UEFI,
        uuid=UUID_OF_MACHINE_ID,
        vendor_class="PXEClient:Arch:00007:UNDI:003016",
        user_class=b"iPXE",
        ipxe_features=frozenset({0xB1, 0xEB, 0x13, 0x18, 0x27}),
        interface="eth1",
        relay=relay,
        max_message_size=1472,
    )


@pytest.mark.parametrize("kind", [None, *MessageType])
def test_each_port_has_its_messages(kind: MessageType | None) -> None:
    silence = {listener: unasked(request(kind), listener) for listener in Listener}
    answered = {listener for listener, reason in silence.items() if reason is None}
    match kind:
        case MessageType.DISCOVER:
            assert answered == {Listener.DHCP}
        case MessageType.REQUEST | MessageType.INFORM:
            assert answered == {Listener.BOOT_SERVER}
        case _:
            assert not answered


OURS, BOOTSTRAP, OTHERS = "470480420000ff", "470400000000ff", "470480030000ff"
LEASE = {50: b"\xc0\xa8\x01\x32", 54: b"\xc0\xa8\x01\x01"}


@pytest.mark.parametrize("kind", [MessageType.REQUEST, MessageType.INFORM])
@pytest.mark.parametrize(
    ("item", "more", "on_67", "on_4011"),
    [
        pytest.param(OURS, {}, True, True, id="our-entry"),
        pytest.param(BOOTSTRAP, {}, True, True, id="no-entry"),
        pytest.param("470480420001ff", {}, True, True, id="second-layer"),
        pytest.param(OTHERS, {}, False, True, id="entry-of-another-server"),
        pytest.param(OURS, LEASE, False, True, id="asks-for-an-address-too"),
        pytest.param("470480428000ff", {}, False, False, id="credentials"),
        pytest.param("4702", {}, False, True, id="damaged"),
        pytest.param("47028042ff", {}, False, True, id="short"),
        pytest.param("060108ff", {}, False, True, id="no-item"),
    ],
)
def test_discovery_of_a_boot_server(
    kind: MessageType, item: str, more: dict[int, bytes], on_67: bool, on_4011: bool
) -> None:
    packet = request(kind, more={43: bytes.fromhex(item), **more})
    assert (unasked(packet, Listener.DHCP) is None) is on_67
    assert (unasked(packet, Listener.BOOT_SERVER) is None) is on_4011


def test_a_discover_is_asked_whatever_it_carries() -> None:
    for item in (OURS, OTHERS, "4702"):
        assert unasked(request(more={43: bytes.fromhex(item)}), Listener.DHCP) is None


@given(packets)
def test_any_packet_is_identified(packet: DHCPPacket) -> None:
    assert isinstance(identify(packet), BootClient | Silence)
