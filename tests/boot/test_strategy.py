"""How a boot file is offered."""

import pytest

from bootyard.boot.client import BootClient, RecentBoot
from bootyard.model.loaders import OfferStrategy
from bootyard.model.snapshot import (
    Learned,
    Machine,
)
from tests.boot.choices import (
    COMPATIBLE,
    DIRECT,
    GOOD,
    HTTP,
    IPXE,
    MENU,
    UBOOT,
    client,
    offered,
    snapshot,
)
from tests.samples import MAC


@pytest.mark.parametrize(
    ("who", "pinned", "recent", "learned", "strategy"),
    [
        (client(7), None, (None, 0), None, COMPATIBLE),
        (client(0), None, (None, 0), None, DIRECT),
        (client(7), None, (None, 0), DIRECT, DIRECT),
        (client(7), None, (COMPATIBLE, 0), DIRECT, COMPATIBLE),
        (client(7), None, (COMPATIBLE, 1), None, COMPATIBLE),
        (client(7), None, (COMPATIBLE, 2), None, DIRECT),
        (client(7), None, (DIRECT, 2), None, MENU),
        (client(7), None, (MENU, 2), None, COMPATIBLE),
        (client(7), None, (COMPATIBLE, 2), COMPATIBLE, DIRECT),
        (client(0), None, (DIRECT, 2), None, MENU),
        (client(7), MENU, (COMPATIBLE, 2), DIRECT, MENU),
        (client(7), COMPATIBLE, (COMPATIBLE, 9), DIRECT, COMPATIBLE),
        (client(0x10, HTTP), MENU, (COMPATIBLE, 2), COMPATIBLE, DIRECT),
        (client(0x16, UBOOT), MENU, (None, 0), None, MENU),
        # iPXE takes any OFFER; only its BIOS ROM is firmware, and shows menus.
        (client(0, IPXE, GOOD), None, (COMPATIBLE, 2), MENU, DIRECT),
        (client(0, IPXE, GOOD), MENU, (None, 0), None, MENU),
        (client(7, IPXE, GOOD), MENU, (None, 0), None, DIRECT),
    ],
)
def test_strategy(
    who: BootClient,
    pinned: OfferStrategy | None,
    recent: tuple[OfferStrategy | None, int],
    learned: OfferStrategy | None,
    strategy: OfferStrategy,
) -> None:
    state = snapshot(Machine(mac=MAC, offer=pinned), learned=Learned(offer=learned))
    recently = RecentBoot(strategy=recent[0], ignored=recent[1])
    assert offered(who, state, recently)[1] is strategy


def test_chainloaded_ipxe_needs_no_menu_again() -> None:
    state = snapshot(Machine(mac=MAC, offer=MENU))
    recent = RecentBoot(given="loaders/bios/undionly.kpxe")
    assert offered(client(0, IPXE, GOOD), state, recent)[1] is DIRECT
