"""Negotiation: what is echoed, lowered or left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tftp.options import Limits, negotiate
from services.tftp.packet import Options

LIMITS = Limits.for_mtu(1500)
SIZE = 284672


@pytest.mark.parametrize(
    ("requested", "accepted"),
    [
        pytest.param((), (), id="none"),
        pytest.param((("blksize", "1468"),), (("blksize", "1468"),), id="blksize-at-limit"),
        pytest.param((("blksize", "65464"),), (("blksize", "1468"),), id="blksize-lowered"),
        pytest.param((("blksize", "1432"),), (("blksize", "1432"),), id="blksize-never-raised"),
        pytest.param((("blksize", "8"),), (("blksize", "8"),), id="blksize-least"),
        pytest.param((("blksize", "7"),), (), id="blksize-7"),
        pytest.param((("blksize", "65465"),), (), id="blksize-65465"),
        pytest.param((("blksize", "-1"),), (), id="blksize-negative"),
        pytest.param((("blksize", ""),), (), id="blksize-empty"),
        pytest.param((("blksize", "1468 "),), (), id="blksize-blank-behind"),
        pytest.param((("blksize", "0x200"),), (), id="blksize-hex"),
        pytest.param((("blksize", "٥١٢"),), (), id="blksize-other-digits"),
        pytest.param((("blksize", "9" * 400),), (), id="blksize-400-digits"),
        pytest.param((("tsize", "0"),), (("tsize", "284672"),), id="tsize"),
        pytest.param((("tsize", "x"),), (), id="tsize-no-number"),
        pytest.param((("timeout", "1"),), (("timeout", "1"),), id="timeout-1"),
        pytest.param((("timeout", "255"),), (("timeout", "255"),), id="timeout-255"),
        pytest.param((("timeout", "0"),), (), id="timeout-0"),
        pytest.param((("timeout", "256"),), (), id="timeout-256"),
        pytest.param((("windowsize", "4"),), (("windowsize", "4"),), id="windowsize"),
        pytest.param((("windowsize", "65"),), (("windowsize", "64"),), id="windowsize-lowered"),
        pytest.param((("windowsize", "0"),), (), id="windowsize-0"),
        pytest.param((("windowsize", "65536"),), (), id="windowsize-65536"),
        pytest.param((("multicast", ""), ("rollover", "0")), (), id="unknown"),
        pytest.param(
            (("tsize", "0"), ("x", "1"), ("blksize", "1024")),
            (("tsize", "284672"), ("blksize", "1024")),
            id="grub-order",
        ),
        pytest.param(
            (("windowsize", "4"), ("blksize", "1468"), ("tsize", "0")),
            (("windowsize", "4"), ("blksize", "1468"), ("tsize", "284672")),
            id="order-of-the-client",
        ),
        pytest.param(
            (("blksize", "512"), ("blksize", "1024")), (("blksize", "512"),), id="first-one-counts"
        ),
    ],
)
def test_negotiates(requested: Options, accepted: Options) -> None:
    assert negotiate(requested, LIMITS, SIZE).accepted == accepted


def test_terms_follow_what_was_accepted() -> None:
    terms = negotiate((("blksize", "9000"), ("windowsize", "99"), ("timeout", "5")), LIMITS, SIZE)
    assert (terms.block_size, terms.window_size, terms.timeout_s) == (1468, 64, 5)


def test_defaults_are_those_of_rfc_1350() -> None:
    terms = negotiate((("blksize", "3"),), LIMITS, SIZE)
    assert (terms.block_size, terms.window_size, terms.timeout_s) == (512, 1, None)


def test_netascii_has_no_size_and_no_windows() -> None:
    requested = (("tsize", "0"), ("windowsize", "4"), ("blksize", "1024"))
    assert negotiate(requested, LIMITS, None).accepted == (("blksize", "1024"),)


@pytest.mark.parametrize(
    ("mtu", "block_size"), [(1500, 1468), (9000, 8968), (1280, 1248), (65536, 65464), (20, 8)]
)
def test_blocks_fit_the_interface(mtu: int, block_size: int) -> None:
    assert Limits.for_mtu(mtu).block_size == block_size


names = st.sampled_from(["blksize", "tsize", "timeout", "windowsize", "other"])
values = st.one_of(st.integers(-5, 70000).map(str), st.text(max_size=5))


@given(st.lists(st.tuples(names, values), max_size=6).map(tuple))
def test_never_more_than_was_asked_for(requested: Options) -> None:
    terms = negotiate(requested, LIMITS, SIZE)
    first = dict(reversed(requested))
    for name, value in terms.accepted:
        assert name in first
        if name in {"blksize", "windowsize"}:
            assert any(int(value) <= int(v) for n, v in requested if n == name and v.isdecimal())
        if name == "timeout":
            assert (name, value) in [(n, str(int(v))) for n, v in requested if v.isdecimal()]
