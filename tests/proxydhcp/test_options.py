"""Options of a fixed shape: value, bytes, print, too short, too long, absent."""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.architecture import ClientArchitecture
from bootyard.model.errors import MalformedPacket
from services.proxydhcp.options import (
    MessageType,
    OptionCode,
    read_address,
    read_architectures,
    read_max_message_size,
    read_message_type,
    read_triples,
    read_vendor_class,
    write_triples,
    written_size,
)

Read = Callable[[Mapping[int, bytes]], object]


def read_requested_address(options: Mapping[int, bytes]) -> IPv4Address | None:
    return read_address(options, OptionCode.REQUESTED_ADDRESS)


def read_server_identifier(options: Mapping[int, bytes]) -> IPv4Address | None:
    return read_address(options, OptionCode.SERVER_IDENTIFIER)


VALUES: list[tuple[int, Read, bytes, object, str]] = [
    (53, read_message_type, b"\x01", MessageType.DISCOVER, "DISCOVER"),
    (53, read_message_type, b"\x63", MessageType(99), "MESSAGE_99"),
    (50, read_requested_address, b"\xc0\xa8\x01\x32", IPv4Address("192.168.1.50"), "192.168.1.50"),
    (54, read_server_identifier, b"\xc0\xa8\x01\x02", IPv4Address("192.168.1.2"), "192.168.1.2"),
    (57, read_max_message_size, b"\x05\xc0", 1472, "1472"),
    (60, read_vendor_class, b"PXEClient", "PXEClient", "PXEClient"),
    (60, read_vendor_class, b"PXEClient\0", "PXEClient", "PXEClient"),
    (60, read_vendor_class, b"PXE\xff\x1b", "PXE\\xff\x1b", "PXE\\xff\x1b"),
    (93, read_architectures, b"\x00\x07", (ClientArchitecture.X64_UEFI,), "X64_UEFI"),
    (
        *(93, read_architectures, b"\x00\x09\x00\x07"),
        *((ClientArchitecture.EBC_UEFI, ClientArchitecture.X64_UEFI), "EBC_UEFI X64_UEFI"),
    ),
    (93, read_architectures, b"\x12\x34", (ClientArchitecture(0x1234),), "ARCHITECTURE_4660"),
]
READERS: list[tuple[int, Read, object, int]] = [
    (53, read_message_type, None, 1),
    (50, read_requested_address, None, 4),
    (54, read_server_identifier, None, 4),
    (57, read_max_message_size, None, 2),
    (93, read_architectures, (), 2),
]


def printed(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(printed(item) for item in value)
    return value.name if isinstance(value, MessageType | ClientArchitecture) else str(value)


@pytest.mark.parametrize(("code", "read", "wire", "value", "text"), VALUES)
def test_value_and_print(code: int, read: Read, wire: bytes, value: object, text: str) -> None:
    assert read({code: wire}) == value
    assert printed(read({code: wire})) == text


@pytest.mark.parametrize(("code", "read", "absent", "size"), READERS)
def test_too_short(code: int, read: Read, absent: object, size: int) -> None:
    del absent
    for short in range(size):
        with pytest.raises(MalformedPacket, match=f"option {code} has {short} bytes"):
            read({code: bytes(short)})


@pytest.mark.parametrize(("code", "read", "absent", "size"), READERS)
def test_too_long(code: int, read: Read, absent: object, size: int) -> None:
    del absent
    with pytest.raises(MalformedPacket, match=f"option {code} has {size + 1} bytes"):
        read({code: bytes(size + 1)})


@pytest.mark.parametrize(("code", "read", "absent", "size"), READERS)
def test_absent(code: int, read: Read, absent: object, size: int) -> None:
    del code, size
    assert read({}) == absent
    assert read_vendor_class({}) is None


def test_bytes_of_a_triple() -> None:
    assert write_triples({53: b"\x01", 60: b"PXEClient"}).hex() == "3501013c09505845436c69656e74"


def test_empty_option_keeps_its_place() -> None:
    assert write_triples({80: b""}) == b"\x50\x00"


def test_long_option_is_written_in_parts() -> None:
    assert write_triples({61: bytes(300)}) == b"\x3d\xff" + bytes(255) + b"\x3d\x2d" + bytes(45)


@pytest.mark.parametrize("code", [0, 255, 256, -1])
def test_codes_that_carry_no_data_are_not_written(code: int) -> None:
    with pytest.raises(ValueError, match="cannot carry data"):
        write_triples({code: b""})


def test_unknown_code_keeps_its_number() -> None:
    assert OptionCode(200) == 200
    assert OptionCode(200).name == "OPTION_200"
    with pytest.raises(ValueError, match="256"):
        OptionCode(256)


def test_padding_is_skipped_and_nothing_is_read_behind_the_end() -> None:
    found: dict[int, bytes] = {}
    read_triples(b"\0\0\x35\x01\x01\0\xff\x36\x04", found, "options")
    assert found == {53: b"\x01"}


def test_missing_end_is_forgiven() -> None:
    found: dict[int, bytes] = {}
    read_triples(b"\x35\x01\x01", found, "options")
    assert found == {53: b"\x01"}


def test_truncated_option_names_the_place() -> None:
    with pytest.raises(MalformedPacket) as caught:
        read_triples(b"\x35\x01\x01\x36\x04\xc0", {}, "the options field", 240)
    assert caught.value.offset == 245
    assert "the options field is truncated: 4 bytes wanted, 1 left" in str(caught.value)


@given(st.dictionaries(st.integers(1, 254), st.binary(max_size=700)))
def test_triples_come_back(options: dict[int, bytes]) -> None:
    found: dict[int, bytes] = {}
    read_triples(write_triples(options), found, "options")
    assert found == options
    assert list(found) == list(options)


@given(st.dictionaries(st.integers(1, 254), st.binary(max_size=700)))
def test_size_is_told_without_writing(options: dict[int, bytes]) -> None:
    assert written_size(options) == len(write_triples(options))
