"""The recorded packets are what their names say."""

import pytest

from tests.captures import load, names

MAGIC = bytes.fromhex("63825363")


@pytest.mark.parametrize("name", names())
def test_a_recorded_packet_is_what_its_name_says(name: str) -> None:
    payload = load(name)
    if "-rrq-" in name:
        assert payload[:2] == b"\x00\x01"
        assert payload.endswith(b"\0")
    elif name.endswith("-error"):
        assert payload[:2] == b"\x00\x05"
    else:
        assert payload[0] == 1
        assert payload[236:240] == MAGIC
        message_type = payload[payload.index(b"\x35\x01", 240) + 2]
        assert message_type == (1 if "-discover-" in name else 3)


def test_every_recorded_packet_is_listed() -> None:
    assert len(names()) >= 20
    assert names("udhcpc") == ("udhcpc-discover-67", "udhcpc-request-67")
