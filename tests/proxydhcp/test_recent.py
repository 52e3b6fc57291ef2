"""How machines take what they are offered."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.choice import BootOffer, choose
from bootyard.boot.client import BootClient, RecentBoot
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.snapshot import Machine, Snapshot
from services.proxydhcp.identify import identify
from services.proxydhcp.packet import DHCPPacket
from services.proxydhcp.recent import FORGET_SECONDS, GIVEN_SECONDS, RecentBoots
from tests import samples
from tests.proxydhcp.packets import CLIENT, MAC, request
from tests.proxydhcp.test_identify import HTTP_CLASS, IPXE_OPTIONS

DIRECT, COMPATIBLE, MENU = OfferStrategy.DIRECT, OfferStrategy.COMPATIBLE, OfferStrategy.MENU
UNDIONLY = "loaders/bios/undionly.kpxe"
SCRIPT = "boot.ipxe"


def client(packet: DHCPPacket) -> BootClient:
    found = identify(packet)
    assert isinstance(found, BootClient)
    return found


UEFI = client(request())
BIOS = client(request(arch=b"\0\0"))
UEFI_HTTP = client(request(arch=b"\0\x10", vendor_class=HTTP_CLASS))
IPXE = client(request(more={175: IPXE_OPTIONS}))
BIOS_IPXE = client(request(arch=b"\0\0", more={175: IPXE_OPTIONS}))
PINNED = samples.snapshot(Machine(mac=MAC, loader=LoaderName.UNDIONLY))


class Network:
    """Machines that ask, and what they are offered."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.boots = RecentBoots()
        self.snapshot = snapshot or samples.snapshot()
        self._xid = 0

    def discover(self, who: BootClient, now: float, xid: int | None = None) -> BootOffer:
        """Let a machine DISCOVER; without `xid`, anew."""
        if xid is None:
            self._xid += 1
            xid = self._xid
        chosen = choose(who, self.boots.recall(who.mac, xid, now), self.snapshot)
        assert isinstance(chosen, BootOffer)
        self.boots.note_offer(who, chosen, xid, now)
        return chosen

    def confirm(self, who: BootClient, now: float) -> BootOffer:
        """Let a machine come to port 4011."""
        self.boots.took_offer(who.mac)
        chosen = choose(who, self.boots.recall(who.mac, None, now), self.snapshot)
        assert isinstance(chosen, BootOffer)
        return chosen


@pytest.fixture
def network() -> Network:
    return Network()


def test_uefi_that_takes_nothing_twice_is_offered_the_other_way(network: Network) -> None:
    # EDK2 repeats a DISCOVER that got nothing it likes after 4, 12 and 28 seconds.
    offered = [network.discover(UEFI, 100.0 + at, xid=1).strategy for at in (0, 4, 12, 28)]
    offered += [network.discover(UEFI, 100.0 + at, xid=2).strategy for at in (60, 64, 72, 88)]
    assert offered == [COMPATIBLE] * 2 + [DIRECT] * 2 + [MENU] * 2 + [COMPATIBLE] * 2


def test_uefi_that_comes_to_4011_keeps_its_strategy(network: Network) -> None:
    for boot in range(10):
        assert network.discover(UEFI, boot * 60.0).strategy is COMPATIBLE
        network.boots.took_lease(MAC)
        assert network.confirm(UEFI, boot * 60.0 + 5).strategy is COMPATIBLE


@pytest.mark.parametrize("wait", [90.0, 50_000.0])
@pytest.mark.parametrize(
    ("times", "offered"), [((0,), COMPATIBLE), ((0, 4, 12, 28, 60), MENU)], ids=str
)
def test_a_lease_without_a_visit_to_4011_is_enough_to_switch(
    network: Network, times: tuple[float, ...], offered: OfferStrategy, wait: float
) -> None:
    assert [network.discover(UEFI, at).strategy for at in times][-1] is offered
    network.boots.took_lease(MAC)
    # The next morning, too.
    assert network.discover(UEFI, wait).strategy is not offered


def test_what_worked_is_kept(network: Network) -> None:
    for at in (0, 4, 12):
        network.discover(UEFI, at)
    network.boots.took_lease(MAC)
    for boot in range(1, 6):
        assert network.discover(UEFI, boot * 1000.0).strategy is DIRECT
        network.boots.took_lease(MAC)


def test_what_never_worked_is_forgotten(network: Network) -> None:
    for at in (0, 4, 12, 28):
        network.discover(UEFI, at)
    assert network.discover(UEFI, 28 + FORGET_SECONDS + 1).strategy is COMPATIBLE


def test_chainloaded_ipxe_shows_that_the_offer_was_taken(network: Network) -> None:
    for boot in range(5):
        assert network.discover(UEFI, boot * 60.0).strategy is COMPATIBLE
        assert network.discover(IPXE, boot * 60.0 + 10).strategy is DIRECT


def test_one_packet_heard_on_two_interfaces_counts_once(network: Network) -> None:
    offered = [network.discover(UEFI, at).strategy for at in (0.0, 0.01, 4.0, 4.01)]
    assert offered == [COMPATIBLE] * 4


def test_old_tries_do_not_count(network: Network) -> None:
    for attempt in range(6):
        at = attempt * (FORGET_SECONDS + 1)
        assert network.discover(UEFI, at).strategy is COMPATIBLE


def test_http_boot_between_says_nothing_of_pxe(network: Network) -> None:
    for boot in range(5):
        at = boot * 400.0
        assert network.discover(UEFI, at).strategy is COMPATIBLE
        network.confirm(UEFI, at + 5)
        for attempt in (20, 24, 32):
            assert network.discover(UEFI_HTTP, at + attempt).strategy is DIRECT


def test_the_address_of_an_operating_system_is_no_firmware_s(network: Network) -> None:
    network.discover(UEFI, 0.0)
    network.confirm(UEFI, 5.0)
    network.boots.learn_address(MAC, CLIENT, xid=99)
    network.boots.took_lease(MAC)
    assert network.discover(UEFI, 100.0).strategy is COMPATIBLE


def test_ipxe_is_always_told_directly(network: Network) -> None:
    assert {network.discover(IPXE, at * 5.0).strategy for at in range(9)} == {DIRECT}


def test_a_bios_rom_is_told_directly_first(network: Network) -> None:
    offered = [network.discover(BIOS, at * 5.0).strategy for at in range(3)]
    assert offered == [DIRECT, DIRECT, MENU]


def test_a_rom_that_is_ipxe_gets_its_pinned_loader_once() -> None:
    network = Network(PINNED)
    assert network.discover(BIOS_IPXE, 0.0).boot_file == UNDIONLY
    assert network.discover(BIOS_IPXE, 8.0).boot_file == SCRIPT
    # It may ask again, for as long as its first question and after.
    for at in (9.0, 30.0, 59.0):
        assert network.discover(BIOS_IPXE, at).boot_file == SCRIPT


def test_the_next_boot_gets_the_pinned_loader_again() -> None:
    network = Network(PINNED)
    for boot in range(3):
        at = boot * 300.0
        assert network.discover(BIOS_IPXE, at).boot_file == UNDIONLY
        assert network.discover(BIOS_IPXE, at + 8).boot_file == SCRIPT


def test_a_repeated_discover_gets_the_same_answer() -> None:
    network = Network(PINNED)
    for at in (0.0, 1.0, 3.0, 7.0):
        assert network.discover(BIOS_IPXE, at, xid=100).boot_file == UNDIONLY
    for at in (12.0, 13.0, 15.0, 19.0):
        assert network.discover(BIOS_IPXE, at, xid=101).boot_file == SCRIPT
    # … even when the loader's offer has become old between two of them.
    start = 7.0 + GIVEN_SECONDS - 1
    assert network.discover(BIOS_IPXE, start, xid=102).boot_file == SCRIPT
    assert network.discover(BIOS_IPXE, start + 2, xid=102).boot_file == SCRIPT


def test_port_4011_confirms_what_was_offered() -> None:
    network = Network(PINNED)
    assert network.discover(BIOS_IPXE, 0.0).boot_file == UNDIONLY
    assert network.confirm(BIOS_IPXE, 3.0).boot_file == UNDIONLY
    assert network.discover(BIOS_IPXE, 8.0).boot_file == SCRIPT
    assert network.confirm(BIOS_IPXE, 11.0).boot_file == SCRIPT


def test_machines_do_not_mix() -> None:
    network = Network(PINNED)
    network.discover(BIOS_IPXE, 0.0)
    assert network.boots.recall(samples.OTHER_MAC, 1, 1.0) == RecentBoot()


def test_address_is_news_once() -> None:
    boots = RecentBoots()
    assert boots.address_of(MAC) is None
    assert boots.learn_address(MAC, CLIENT, xid=1)
    assert not boots.learn_address(MAC, CLIENT, xid=1)
    assert boots.learn_address(MAC, CLIENT, xid=2)
    assert boots.learn_address(MAC, IPv4Address("10.0.0.1"), xid=2)
    assert boots.address_of(MAC) == IPv4Address("10.0.0.1")


def test_system_comes_up_once_a_boot(network: Network) -> None:
    assert not network.boots.system_came_up(MAC)
    for boot in range(3):
        network.discover(UEFI, boot * 60.0)
        network.discover(IPXE, boot * 60.0 + 5)
        assert network.boots.system_came_up(MAC)
        assert not network.boots.system_came_up(MAC)


asks = st.sampled_from([BIOS, BIOS_IPXE])
actions = st.tuples(asks, st.booleans(), st.booleans(), st.floats(0, 100))


@given(st.lists(actions, max_size=30))
def test_no_history_makes_a_loader_follow_itself(
    history: list[tuple[BootClient, bool, bool, float]],
) -> None:
    network = Network(PINNED)
    now, given_at = 0.0, -1000.0
    for who, leases, confirms, wait in history:
        now += wait
        offer = network.discover(who, now)
        if who is BIOS_IPXE and now - given_at < GIVEN_SECONDS:
            assert offer.boot_file == SCRIPT
        if offer.boot_file == UNDIONLY:
            given_at = now
        if leases:
            network.boots.took_lease(MAC)
        if confirms:
            assert network.confirm(who, now).boot_file == offer.boot_file
