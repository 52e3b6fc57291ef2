import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.document import decode, encode
from bootyard.model.mac import MACAddress


@pytest.mark.parametrize(
    "spelling",
    ["52:54:00:AB:34:56", "52-54-00-ab-34-56", "5254.00ab.3456", "525400AB3456", " 52 54 00ab3456"],
)
def test_any_spelling_is_the_same_address(spelling: str) -> None:
    assert MACAddress.parse(spelling) == "52:54:00:ab:34:56"


@pytest.mark.parametrize(
    "text", ["", "52:54:00:ab:34", "52:54:00:ab:34:5g", "52:54:00:ab:34:56:78"]
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="not a MAC address; write it as"):
        MACAddress.parse(text)


@given(st.binary(min_size=6, max_size=6))
def test_wire_and_text_agree(octets: bytes) -> None:
    mac = MACAddress.from_bytes(octets)
    assert mac.octets == octets
    assert MACAddress.parse(mac.dashed) == mac
    assert decode(encode([mac]), list[MACAddress]) == [mac]


def test_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="6 bytes, not 5"):
        MACAddress.from_bytes(b"12345")
