"""Relays whose machines would get no files."""

from ipaddress import IPv4Address, IPv4Network

from bootyard.model.snapshot import SubnetRule
from services.proxydhcp.relays import MAX_RELAYS, Relays, explain_unserved

RELAY = IPv4Address("203.0.113.1")
NEAR = [IPv4Network("192.0.2.0/24"), IPv4Network("127.0.0.0/8")]


def relays(*seen: IPv4Address) -> Relays:
    made = Relays()
    for relay in seen:
        made.note(relay, 100)
    return made


def test_relay_of_a_network_that_nobody_named() -> None:
    assert relays().unserved(NEAR, (), 100) == ()
    assert relays(RELAY).unserved(NEAR, (), 100) == (RELAY,)
    assert "bootyard policy subnet 203.0.113.0/24" in explain_unserved(RELAY)


def test_relay_of_a_network_that_is_near_or_named() -> None:
    assert relays(IPv4Address("192.0.2.254")).unserved(NEAR, (), 100) == ()
    for named in ("203.0.113.0/24", "203.0.0.0/16"):
        assert relays(RELAY).unserved(NEAR, (SubnetRule(network=named),), 100) == ()
    for other in ("203.0.114.0/24", "0.0.0.0/0", "no network"):
        assert relays(RELAY).unserved(NEAR, (SubnetRule(network=other),), 100) == (RELAY,)


def test_relay_that_is_not_heard_any_more_is_forgotten() -> None:
    made = relays(RELAY)
    assert made.unserved(NEAR, (), 3700) == (RELAY,)
    assert made.unserved(NEAR, (), 3701) == ()


def test_relays_that_somebody_makes_up_are_bounded() -> None:
    made = relays(*(IPv4Address(0x0A000001 + n * 256) for n in range(100)))
    assert len(made.unserved(NEAR, (), 100)) == MAX_RELAYS
