"""Machines that could not be recorded here, by what their makers document of their packets.

Raspberry Pi: documentation boot-net.adoc and eeprom-bootloader.adoc. U-Boot: cmd/Kconfig and
boot/bootmeth_efi.c. Their answers go all the way through the service.
"""

from ipaddress import IPv4Address

import msgspec
import pytest

from bootyard.model.document import encode
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Machine, Snapshot
from services.proxydhcp.identify import Listener
from services.proxydhcp.packet import NOWHERE, DHCPPacket
from tests.boot import choices
from tests.proxydhcp.packets import CLIENT, SERVER
from tests.proxydhcp.test_responder import Bench

BROADCAST = (IPv4Address("255.255.255.255"), 68)
PI_CLASS = b"PXEClient:Arch:00000:UNDI:002001"

PI_3 = "b8:27:eb:01:36:c2"
PI_4 = "dc:a6:32:01:36:c2"
PI_5 = "2c:cf:67:01:36:c2"
BOARD = "52:54:00:00:00:77"

# "RPi4", board revision, the last four bytes of the MAC, the serial number.
PI_4_ID = b"RPi4" + bytes.fromhex("00c03114 320136c2 9ffefdef")
PI_5_ID = b"RPi5" + bytes.fromhex("00c04170 670136c2 1ffefdef")
PI_3_ID = b"\x44" * 16
"""Of its ROM: a constant."""

PI_MENU = "0601030a0400505845091400001152617370626572727920506920426f6f74ff"
PI_3_MENU = "0601030a0400505845091700001452617370626572727920506920426f6f74202020ff"


def discover(
    mac: str, architecture: int, vendor_class: bytes, machine_id: bytes | None, kind: int = 1
) -> bytes:
    """A datagram as the machine sends it, its options in the order of RFC 4578."""
    header = bytes.fromhex("01010600 5069 2021 0000 0000".replace(" ", "")) + bytes(16)
    fields = (header + MACAddress.parse(mac).octets).ljust(236, b"\0")
    values = {
        53: bytes((kind,)),
        55: bytes((1, 2, 3, 4, 5, 6, 11, 12, 13, 16, 17, 18, 43, 54, 60, 67, 128, 129, 130)),
        93: architecture.to_bytes(2),
        94: b"\1\2\1",
        60: vendor_class,
        97: None if machine_id is None else b"\0" + machine_id,
    }
    options = b"".join(
        bytes((code, len(value))) + value for code, value in values.items() if value is not None
    )
    return (fields + bytes.fromhex("63825363") + options + b"\xff").ljust(300, b"\0")


def library(*machines: Machine) -> Snapshot:
    state = choices.snapshot(targets=choices.ONE)
    known = {machine.mac: msgspec.Raw(encode(machine)) for machine in machines}
    return msgspec.structs.replace(state, machines=known)


def answer(datagram: bytes, state: Snapshot | None = None) -> tuple[DHCPPacket | None, Bench]:
    bench = Bench(state=state or library())
    reply = bench.hear(datagram)
    assert bench.internal_errors() == 0
    return reply, bench


@pytest.mark.parametrize(
    ("mac", "machine_id", "menu"),
    [
        pytest.param(PI_3, PI_3_ID, PI_3_MENU, id="pi-3"),
        pytest.param(PI_3, None, PI_3_MENU, id="pi-3-without-97"),
        pytest.param(PI_4, PI_4_ID, PI_MENU, id="pi-4"),
        pytest.param(PI_5, PI_5_ID, PI_MENU, id="pi-5"),
        pytest.param(BOARD, PI_4_ID, PI_MENU, id="pi-4-with-an-address-of-its-owner"),
    ],
)
def test_raspberry_pi_is_told_where_its_files_are(
    mac: str, machine_id: bytes | None, menu: str
) -> None:
    offer, bench = answer(discover(mac, 0, PI_CLASS, machine_id))
    assert offer is not None
    assert bench.sent[0][1] == BROADCAST
    assert (offer.yiaddr, offer.siaddr, offer.file) == (NOWHERE, SERVER, b"")
    assert offer.options[43].hex() == menu
    assert offer.options[60] == b"PXEClient"
    assert offer.options.get(97) == (None if machine_id is None else b"\0" + machine_id)
    assert [(e.step, e.firmware, e.stage) for e in bench.events] == [
        ("discovered", "pi", "pi"),
        ("offered", "pi", "pi"),
    ]


def test_raspberry_pi_that_starts_uefi_from_its_card_gets_a_uefi_loader() -> None:
    offer, _ = answer(discover(PI_4, 0x0B, b"PXEClient:Arch:00011:UNDI:003000", bytes(16)))
    assert offer is not None
    assert offer.file == b"loaders/uefi-arm64/ipxe.efi"


def test_raspberry_pi_repeats_and_gets_the_same_answer() -> None:
    bench = Bench(state=library())
    # Its ROM asks five times, every five seconds, and never sends a REQUEST.
    answers = [bench.hear(discover(PI_3, 0, PI_CLASS, PI_3_ID)) for _ in range(5)]
    assert answers[0] is not None
    assert answers == [answers[0]] * 5


@pytest.mark.parametrize(
    ("architecture", "vendor_class", "file", "menu"),
    [
        pytest.param(0x16, b"U-Boot.armv8", "uefi-arm64/ipxe.efi", "060108ff", id="armv8"),
        # EFI's class has the architecture in hexadecimal; option 93 is the one that counts.
        pytest.param(
            *(0x0B, b"PXEClient:Arch:0000b:UNDI:003000", "uefi-arm64/ipxe.efi", None),
            id="efi-arm64",
        ),
        pytest.param(
            *(0x1B, b"PXEClient:Arch:0001b:UNDI:003000", "uefi-riscv64/ipxe.efi", None),
            id="efi-riscv64",
        ),
        pytest.param(0x15, b"U-Boot.armv7", None, None, id="armv7-has-no-loader"),
        pytest.param(0x00, b"U-Boot", None, None, id="x86"),
    ],
)
def test_u_boot(architecture: int, vendor_class: bytes, file: str | None, menu: str | None) -> None:
    offer, bench = answer(discover(BOARD, architecture, vendor_class, None))
    if file is None:
        assert offer is None
        assert [(e.step, e.outcome) for e in bench.events] == [("discovered", "no_loader")]
        assert "loader for" in bench.events[0].detail
        return
    assert offer is not None
    assert offer.file == f"loaders/{file}".encode()
    found = offer.options.get(43)
    assert (found and found.hex()) == menu


def test_u_boot_that_names_no_architecture_did_not_ask() -> None:
    datagram = discover(BOARD, 0, b"U-Boot", None).replace(b"\x5d\x02\0\0", b"")
    assert answer(datagram)[0] is None


@pytest.mark.parametrize("strategy", OfferStrategy)
def test_windows_pe_asks_4011_with_a_bare_class(strategy: OfferStrategy) -> None:
    state = library(Machine(mac=MACAddress.parse(BOARD), offer=strategy))
    bench = Bench(state=state)
    asked = DHCPPacket.parse(discover(BOARD, 7, b"PXEClient", bytes(16), kind=3))
    asked = msgspec.structs.replace(asked, ciaddr=CLIENT)
    ack = bench.hear(asked, Listener.BOOT_SERVER, CLIENT)
    assert ack is not None
    assert ack.file == b"loaders/uefi-x64/snponly.efi"
    assert 43 not in ack.options
    assert bench.sent[0][1] == (CLIENT, 4011)


def test_request_on_4011_from_another_subnet_is_answered_there() -> None:
    bench = Bench(state=library())
    far = IPv4Address("198.51.100.77")
    asked = DHCPPacket.parse(discover(BOARD, 7, b"PXEClient", bytes(16), kind=3))
    ack = bench.hear(msgspec.structs.replace(asked, ciaddr=far), Listener.BOOT_SERVER, source=far)
    assert ack is not None
    assert (ack.giaddr, ack.siaddr, bench.sent[0][1]) == (NOWHERE, SERVER, (far, 4011))
    assert bench.events[-1].ip == str(far)
