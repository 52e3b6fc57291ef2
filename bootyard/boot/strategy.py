"""How a boot file is offered to firmware: each kind believes another part of the standard."""

from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.architecture import Firmware
from bootyard.model.loaders import OfferStrategy
from bootyard.model.snapshot import Learned, Machine

TRIES = 2
"""Offers of one strategy that a machine may leave before it gets the next."""

NEXT = {
    OfferStrategy.COMPATIBLE: OfferStrategy.DIRECT,
    OfferStrategy.DIRECT: OfferStrategy.MENU,
    OfferStrategy.MENU: OfferStrategy.COMPATIBLE,
}


def strategy_for_firmware(
    client: BootClient, recent: RecentBoot, machine: Machine, learned: Learned, platform: Firmware
) -> OfferStrategy:
    """Choose for a ROM: what the operator says, what works, what works for most of its kind.

    What a machine leaves twice it gets another way, whatever worked before: its network may have
    changed. Some UEFI firmware ignores an offer that skips boot server discovery, some one that
    does not (HP, Dell; pixiecore's README); old BIOS ROMs report PXE-E53 when option 43 is missing.
    """
    if client.kind is ClientKind.HTTP:
        return OfferStrategy.DIRECT  # the URL is in the OFFER, there is nothing else to ask
    if machine.offer is not None:
        return machine.offer
    if recent.strategy is not None:
        return recent.strategy if recent.ignored < TRIES else NEXT[recent.strategy]
    if learned.offer is not None:
        return learned.offer
    if client.kind is ClientKind.UBOOT or platform is Firmware.BIOS:
        return OfferStrategy.DIRECT
    return OfferStrategy.COMPATIBLE


def strategy_for_ipxe(machine: Machine, platform: Firmware, *, chainloaded: bool) -> OfferStrategy:
    """Choose for iPXE: it takes a file from any OFFER, and its ROM is a BIOS machine's firmware.

    Only BIOS builds show PXE menus (config/general.h).
    """
    if platform is Firmware.BIOS and not chainloaded and machine.offer is not None:
        return machine.offer
    return OfferStrategy.DIRECT
