"""What PXE and iPXE put inside options: both ways, and what is not believed."""

from collections.abc import Callable
from ipaddress import IPv4Address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.errors import MalformedPacket
from services.proxydhcp import pxe
from services.proxydhcp.pxe import BootItem, BootServers, MenuEntry, MenuPrompt, NetworkInterfaceId
from tests.proxydhcp.packets import MACHINE_ID, UUID_OF_MACHINE_ID

ADDRESSES = (IPv4Address("192.168.1.2"), IPv4Address("192.168.1.3"))


def test_direct_boot_is_the_known_good_minimum() -> None:
    assert pxe.DIRECT_BOOT.hex() == "060108ff"


def test_raspberry_pi_gets_the_documented_bytes() -> None:
    documented = "0601030a0400505845091400001152617370626572727920506920426f6f74ff"
    assert pxe.RASPBERRY_PI.hex() == documented
    assert len(pxe.RASPBERRY_PI) == 32


def test_raspberry_pi_3_gets_three_blanks_more() -> None:
    menu = pxe.read_menu(pxe.read_suboptions(pxe.RASPBERRY_PI_3)[9])
    assert menu == (MenuEntry(0, b"Raspberry Pi Boot   "),)
    assert len(pxe.RASPBERRY_PI_3) == 35


def test_a_menu_of_one_is_taken_at_once_and_from_its_server_alone() -> None:
    found = pxe.read_suboptions(pxe.one_server_menu(ADDRESSES[0]))
    assert list(found) == [6, 8, 9, 10]
    assert found[6] == b"\x07"
    assert pxe.read_boot_servers(found[8]) == (BootServers(pxe.OUR_TYPE, ADDRESSES[:1]),)
    assert pxe.read_menu(found[9]) == (MenuEntry(pxe.OUR_TYPE, b"Bootyard"),)
    assert pxe.read_menu_prompt(found[10]).timeout_seconds == 0
    assert 0x8000 <= pxe.OUR_TYPE <= 0xFEFF


@pytest.mark.parametrize(
    ("wire", "item"),
    [
        ("470480420001ff", BootItem(0x8042, 1)),
        ("060108470400000000", BootItem(0, 0)),
        ("", None),
        ("060108ff", None),
        ("4702ffff", None),
        ("470400", None),
    ],
)
def test_boot_item_is_found_or_not(wire: str, item: BootItem | None) -> None:
    assert pxe.find_boot_item(bytes.fromhex(wire)) == item


@pytest.mark.parametrize(
    ("read", "write", "value", "wire"),
    [
        (pxe.read_suboptions, pxe.write_suboptions, {6: b"\x08"}, "060108ff"),
        (pxe.read_boot_item, pxe.write_boot_item, BootItem(0x8001, 2), "80010002"),
        (
            *(pxe.read_boot_servers, pxe.write_boot_servers),
            *((BootServers(1, ADDRESSES), BootServers(2)), "000102c0a80102c0a80103000200"),
        ),
        (
            *(pxe.read_menu, pxe.write_menu),
            *((MenuEntry(0, b"Local"), MenuEntry(1, b"Net")), "0000054c6f63616c0001034e6574"),
        ),
        (pxe.read_menu_prompt, pxe.write_menu_prompt, MenuPrompt(255, b"F8"), "ff4638"),
        (pxe.read_machine_id, pxe.write_machine_id, UUID_OF_MACHINE_ID, MACHINE_ID.hex()),
    ],
    ids=["suboptions", "boot-item", "boot-servers", "menu", "menu-prompt", "machine-id"],
)
def test_both_ways(
    read: Callable[[bytes], object], write: Callable[[object], bytes], value: object, wire: str
) -> None:
    assert write(value).hex() == wire
    assert read(bytes.fromhex(wire)) == value


@pytest.mark.parametrize(
    ("read", "wire"),
    [
        (pxe.read_suboptions, "06"),
        (pxe.read_suboptions, "060208"),
        (pxe.read_boot_item, "000000"),
        (pxe.read_boot_item, "0000000000"),
        (pxe.read_boot_item, ""),
        (pxe.read_boot_servers, "0001"),
        (pxe.read_boot_servers, "000101c0a801"),
        (pxe.read_menu, "000005"),
        (pxe.read_menu_prompt, ""),
        (pxe.read_network_interface, "0103"),
        (pxe.read_network_interface, "01030000"),
    ],
)
def test_short_and_long_are_malformed(read: Callable[[bytes], object], wire: str) -> None:
    with pytest.raises(MalformedPacket):
        read(bytes.fromhex(wire))


def test_option_43_must_fit_one_option() -> None:
    assert len(pxe.write_suboptions({9: bytes(252)})) == 255
    with pytest.raises(ValueError, match="256 bytes; 255 fit"):
        pxe.write_suboptions({9: bytes(253)})


def test_boot_item_of_credentials() -> None:
    assert BootItem(0, 0x8000).wants_credentials
    assert not BootItem(0x8000, 0x7FFF).wants_credentials


def test_network_interface() -> None:
    assert pxe.read_network_interface(b"\1\3\x10") == NetworkInterfaceId(1, 3, 16)


@pytest.mark.parametrize(
    ("wire", "uuid"),
    [
        (MACHINE_ID, UUID_OF_MACHINE_ID),
        (b"\0RPi4" + bytes(12), UUID("34695052-0000-0000-0000-000000000000")),
        (bytes(17), None),
        (b"\1" + MACHINE_ID[1:], None),
        (MACHINE_ID[:16], None),
        (MACHINE_ID + b"\0", None),
        (b"", None),
    ],
    ids=["uuid", "pi", "zeros", "other-type", "short", "long", "empty"],
)
def test_machine_id(wire: bytes, uuid: UUID | None) -> None:
    assert pxe.read_machine_id(wire) == uuid


@pytest.mark.parametrize(
    ("wire", "classes"),
    [
        (b"iPXE", (b"iPXE",)),
        (b"\4iPXE", (b"iPXE",)),
        (b"\4iPXE\6office", (b"iPXE", b"office")),
        (b"\5iPXE", (b"\5iPXE",)),
        (b"\0", (b"\0",)),
        (b"", ()),
    ],
    ids=["raw", "prefixed", "list", "length-too-long", "length-zero", "empty"],
)
def test_user_classes(wire: bytes, classes: tuple[bytes, ...]) -> None:
    assert pxe.read_user_classes(wire) == classes


@pytest.mark.parametrize(
    ("wire", "features"),
    [
        ("", set()),
        ("130101", {0x13}),
        ("b105018086100eeb03010000 130101 270101", {0xB1, 0xEB, 0x13, 0x27}),
        ("130101 27", {0x13}),
        ("130101 2705", {0x13}),
    ],
    ids=["empty", "one", "real", "no-length", "no-value"],
)
def test_ipxe_features(wire: str, features: set[int]) -> None:
    assert pxe.read_ipxe_features(bytes.fromhex(wire)) == features


@given(st.uuids().filter(lambda uuid: uuid.int != 0))
def test_machine_ids_come_back(uuid: UUID) -> None:
    assert pxe.read_machine_id(pxe.write_machine_id(uuid)) == uuid


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    pxe.read_user_classes(data)
    pxe.read_ipxe_features(data)
    pxe.read_machine_id(data)
    readers: tuple[Callable[[bytes], object], ...] = (
        *(pxe.read_suboptions, pxe.read_boot_item, pxe.read_boot_servers),
        *(pxe.read_menu, pxe.read_menu_prompt, pxe.read_network_interface),
    )
    for read in readers:
        try:
            read(data)
        except MalformedPacket:
            continue
