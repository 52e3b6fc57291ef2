"""How machines take what they are offered."""

from ipaddress import IPv4Address

from bootyard.boot.choice import BootOffer, choose
from bootyard.boot.client import BootClient
from bootyard.model.loaders import OfferStrategy
from services.proxydhcp.identify import identify
from services.proxydhcp.packet import DHCPPacket
from services.proxydhcp.recent import FORGET_SECONDS, RecentBoots
from tests import samples
from tests.proxydhcp.packets import CLIENT, MAC, request
from tests.proxydhcp.test_identify import BIOS, IPXE_OPTIONS

DIRECT, COMPATIBLE, MENU = OfferStrategy.DIRECT, OfferStrategy.COMPATIBLE, OfferStrategy.MENU


def client(packet: DHCPPacket) -> BootClient:
    found = identify(packet)
    assert isinstance(found, BootClient)
    return found


def offer(boots: RecentBoots, who: BootClient, now: float) -> OfferStrategy:
    """Let a machine DISCOVER; tells how it is offered its boot file."""
    chosen = choose(who, boots.recall(who.mac, now), samples.snapshot())
    assert isinstance(chosen, BootOffer)
    boots.note_offer(who, chosen, now)
    return chosen.strategy


UEFI = client(request())
IPXE = client(request(more={175: IPXE_OPTIONS}))


def test_uefi_that_takes_nothing_twice_is_offered_the_other_way() -> None:
    boots = RecentBoots()
    # EDK2 repeats a DISCOVER that got nothing it likes after 4, 12 and 28 seconds.
    offered = [offer(boots, UEFI, 100.0 + at) for at in (0, 4, 12, 28, 60, 64)]
    assert offered == [COMPATIBLE, COMPATIBLE, DIRECT, DIRECT, MENU, MENU]


def test_uefi_that_comes_to_4011_keeps_its_strategy() -> None:
    boots = RecentBoots()
    for boot in range(10):
        assert offer(boots, UEFI, boot * 60.0) is COMPATIBLE
        boots.took_offer(MAC)


def test_what_worked_is_kept() -> None:
    boots = RecentBoots()
    for at in (0, 4, 12):
        offer(boots, UEFI, at)
    for boot in range(1, 6):
        assert boots.learn_address(MAC, CLIENT, xid=boot)
        assert offer(boots, UEFI, boot * 100.0) is DIRECT


def test_chainloaded_ipxe_shows_that_the_offer_was_taken() -> None:
    boots = RecentBoots()
    for boot in range(5):
        assert offer(boots, UEFI, boot * 60.0) is COMPATIBLE
        assert offer(boots, IPXE, boot * 60.0 + 10) is DIRECT


def test_one_packet_heard_on_two_interfaces_counts_once() -> None:
    boots = RecentBoots()
    times = (0.0, 0.01, 4.0, 4.01)
    assert [offer(boots, UEFI, at) for at in times] == [COMPATIBLE] * 4


def test_old_tries_do_not_count() -> None:
    boots = RecentBoots()
    for attempt in range(6):
        assert offer(boots, UEFI, attempt * (FORGET_SECONDS + 1)) is COMPATIBLE


def test_ipxe_is_always_told_directly() -> None:
    boots = RecentBoots()
    assert {offer(boots, IPXE, at * 5.0) for at in range(9)} == {DIRECT}


def test_a_bios_rom_is_told_directly_first() -> None:
    boots = RecentBoots()
    bios = client(request(arch=BIOS))
    assert [offer(boots, bios, at * 5.0) for at in range(3)] == [DIRECT, DIRECT, MENU]


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
        offer(boots, UEFI, boot * 60.0)
        offer(boots, IPXE, boot * 60.0 + 5)
        assert boots.system_came_up(MAC)
        assert not boots.system_came_up(MAC)
