"""How machines take what they are offered."""

from ipaddress import IPv4Address

import pytest

from bootyard.boot.choice import BootOffer, OfferStrategy
from bootyard.boot.client import BootClient
from bootyard.model.events import OfferStage
from services.proxydhcp.identify import identify
from services.proxydhcp.packet import DHCPPacket
from services.proxydhcp.recent import FORGET_SECONDS, RecentBoots
from tests.proxydhcp.packets import CLIENT, MAC, request
from tests.proxydhcp.test_identify import BIOS, IPXE_OPTIONS

DIRECT, COMPATIBLE = OfferStrategy.DIRECT, OfferStrategy.COMPATIBLE
OFFER = BootOffer(boot_file="x", strategy=COMPATIBLE, stage=OfferStage.ROM)


def client(packet: DHCPPacket) -> BootClient:
    found = identify(packet)
    assert isinstance(found, BootClient)
    return found


UEFI = client(request())
IPXE = client(request(more={175: IPXE_OPTIONS}))


def test_uefi_that_takes_nothing_twice_is_offered_the_other_way() -> None:
    boots = RecentBoots()
    # EDK2 repeats a DISCOVER that got nothing it likes after 4, 12 and 28 seconds.
    offered = [boots.strategy(UEFI, OFFER, 100.0 + at) for at in (0, 4, 12, 28, 60, 64)]
    assert offered == [COMPATIBLE, COMPATIBLE, DIRECT, DIRECT, COMPATIBLE, COMPATIBLE]


def test_uefi_that_comes_to_4011_keeps_its_strategy() -> None:
    boots = RecentBoots()
    for boot in range(10):
        assert boots.strategy(UEFI, OFFER, boot * 60.0) is COMPATIBLE
        boots.took_offer(MAC)


def test_what_worked_is_kept() -> None:
    boots = RecentBoots()
    for at in (0, 4, 12):
        boots.strategy(UEFI, OFFER, at)
    for boot in range(1, 6):
        assert boots.learn_address(MAC, CLIENT, xid=boot)
        assert boots.strategy(UEFI, OFFER, boot * 100.0) is DIRECT


def test_chainloaded_ipxe_shows_that_the_offer_was_taken() -> None:
    boots = RecentBoots()
    for boot in range(5):
        assert boots.strategy(UEFI, OFFER, boot * 60.0) is COMPATIBLE
        assert boots.strategy(IPXE, OFFER, boot * 60.0 + 10) is COMPATIBLE


def test_one_packet_heard_on_two_interfaces_counts_once() -> None:
    boots = RecentBoots()
    times = (0.0, 0.01, 4.0, 4.01)
    assert [boots.strategy(UEFI, OFFER, at) for at in times] == [COMPATIBLE] * 4


def test_old_tries_do_not_count() -> None:
    boots = RecentBoots()
    for attempt in range(6):
        assert boots.strategy(UEFI, OFFER, attempt * (FORGET_SECONDS + 1)) is COMPATIBLE


@pytest.mark.parametrize("packet", [request(arch=BIOS), request(more={175: IPXE_OPTIONS})])
def test_only_uefi_differs(packet: DHCPPacket) -> None:
    boots = RecentBoots()
    direct = BootOffer(boot_file="x", strategy=DIRECT, stage=OfferStage.ROM)
    assert {boots.strategy(client(packet), direct, at * 5.0) for at in range(9)} == {DIRECT}


def test_address_is_news_once() -> None:
    boots = RecentBoots()
    assert boots.address_of(MAC) is None
    assert boots.learn_address(MAC, CLIENT, xid=1)
    assert not boots.learn_address(MAC, CLIENT, xid=1)
    assert boots.learn_address(MAC, CLIENT, xid=2)
    assert boots.learn_address(MAC, IPv4Address("10.0.0.1"), xid=2)
    assert boots.address_of(MAC) == IPv4Address("10.0.0.1")


def test_system_comes_up_once_a_boot() -> None:
    boots = RecentBoots()
    assert not boots.system_came_up(MAC)
    for boot in range(3):
        boots.strategy(UEFI, OFFER, boot * 60.0)
        boots.strategy(IPXE, OFFER, boot * 60.0 + 5)
        assert boots.system_came_up(MAC)
        assert not boots.system_came_up(MAC)
