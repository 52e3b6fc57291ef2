"""A BIOS ROM that is no iPXE, in the manner of Intel's. None was at hand to record.

Options 60, 93, 94 and 97 by RFC 4578 §2; what it takes by PXE 2.1 §2.2.
"""

import pytest

from bootyard.boot.choice import BootOffer, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.architecture import ClientArchitecture, Firmware
from bootyard.model.events import OfferStage
from bootyard.model.loaders import OfferStrategy
from services.proxydhcp.identify import Listener, asks_to_boot, identify, unasked
from services.proxydhcp.packet import NOWHERE, DHCPPacket
from services.proxydhcp.reply import build_reply, destination
from tests import samples
from tests.proxydhcp.packets import CLIENT, MAC, SERVER, UUID_OF_MACHINE_ID

LOADER = "loaders/bios/undionly.kpxe"
VENDOR_CLASS = "PXEClient:Arch:00000:UNDI:002001"
MACHINE_ID = "6111 00 000102030405060708090a0b0c0d0e0f"


def rom(message_type: int, ciaddr: str = "00000000", more: str = "") -> bytes:
    """A datagram of the ROM; `more` is among its options."""
    header = f"01010600 12345678 0004 8000 {ciaddr} 00000000 00000000 00000000 020000000001"
    options = (
        f"3501{message_type:02x} 37080103060c2b3c4243 {more} {MACHINE_ID} "
        f"5d020000 5e03010201 3c20{VENDOR_CLASS.encode().hex()} ff"
    )
    fields = bytes.fromhex(header).ljust(236, b"\0") + bytes.fromhex("63825363")
    return (fields + bytes.fromhex(options)).ljust(300, b"\0")


DISCOVER = rom(1)
REQUEST = rom(3, more="3204c0a80132 3604c0a80101")
"""To the DHCP server on port 67: the address that it offered, and who that was."""
ASK = rom(3, ciaddr=CLIENT.packed.hex())
"""To port 4011."""


def answer_to(datagram: bytes) -> bytes:
    packet = DHCPPacket.parse(datagram)
    client = identify(packet)
    assert isinstance(client, BootClient)
    offer = choose(client, RecentBoot(), samples.snapshot())
    assert offer == BootOffer(boot_file=LOADER, strategy=OfferStrategy.DIRECT, stage=OfferStage.ROM)
    reply = build_reply(packet, client, offer, server=SERVER, http_port=8080)
    return reply.to_bytes()


@pytest.mark.parametrize("datagram", [DISCOVER, REQUEST, ASK], ids=["discover", "request", "ask"])
def test_who_asks(datagram: bytes) -> None:
    packet = DHCPPacket.parse(datagram)
    assert packet.to_bytes() == datagram
    assert not {77, 175} & packet.options.keys()
    assert asks_to_boot(packet)
    assert identify(packet) == BootClient(
        mac=MAC,
        firmware=Firmware.BIOS,
        kind=ClientKind.ROM,
        architecture=ClientArchitecture.X86_BIOS,
        uuid=UUID_OF_MACHINE_ID,
        vendor_class=VENDOR_CLASS,
    )


def test_the_offer_is_taken_without_port_4011() -> None:
    assert unasked(DHCPPacket.parse(DISCOVER), Listener.DHCP) is None
    data = answer_to(DISCOVER)
    header = "02010600 12345678 0000 8000 00000000 00000000 c0a80102 00000000 020000000001"
    assert data[:44] == bytes.fromhex(header).ljust(44, b"\0")
    # Some ROMs read these fields up to a NUL that must be there.
    assert data[44:108] == b"192.168.1.2".ljust(64, b"\0")
    assert data[108:236] == LOADER.encode().ljust(128, b"\0")
    # Discovery control 8: without it they ask port 4011 or stop with PXE-E53.
    vector = f"63825363 350102 3604c0a80102 3c09505845436c69656e74 {MACHINE_ID} 2b04060108ff ff"
    assert data[236:] == bytes.fromhex(vector).ljust(64, b"\0")


def test_one_that_asks_port_4011_gets_the_same() -> None:
    packet = DHCPPacket.parse(ASK)
    assert unasked(packet, Listener.BOOT_SERVER) is None
    offer = DHCPPacket.parse(answer_to(DISCOVER))
    ack = DHCPPacket.parse(answer_to(ASK))
    assert ack.options == {**offer.options, 53: b"\5"}
    assert (ack.file, ack.sname, ack.siaddr) == (offer.file, offer.sname, offer.siaddr)
    assert (ack.flags, ack.ciaddr, ack.yiaddr) == (0, CLIENT, NOWHERE)
    assert destination(packet, (CLIENT, 68)) == (CLIENT, 68)


def test_its_request_is_the_dhcp_server_s() -> None:
    assert unasked(DHCPPacket.parse(REQUEST), Listener.DHCP) is not None
