"""A loader that the operator pinned: nothing else is offered, but for a boot-once."""

import pytest

from bootyard.boot.choice import BootOffer, choose
from bootyard.boot.client import BootClient, RecentBoot
from bootyard.model.loaders import LoaderName, loader_named
from bootyard.model.snapshot import (
    Learned,
    Machine,
)
from tests.boot.choices import (
    GOOD,
    GRUB,
    HTTP,
    IPXE,
    IPXE_BUILD,
    PXELINUX,
    SHIM,
    SNPONLY,
    SYSLINUX,
    UNDIONLY,
    client,
    offered,
    silent,
    snapshot,
)
from tests.samples import MAC


@pytest.mark.parametrize(
    ("architecture", "pinned", "file"),
    [
        (0x00, UNDIONLY, "bios/undionly.kpxe"),
        (0x00, IPXE_BUILD, "bios/ipxe.pxe"),
        (0x00, PXELINUX, "bios/lpxelinux.0"),
        (0x07, SNPONLY, "uefi-x64/snponly.efi"),
        (0x07, IPXE_BUILD, "uefi-x64/ipxe.efi"),
        (0x07, SHIM, "uefi-x64/shimx64.efi"),
        (0x07, GRUB, "uefi-x64/grubx64.efi"),
        (0x07, SYSLINUX, "uefi-x64/syslinux.efi"),
        (0x06, GRUB, "uefi-ia32/grubia32.efi"),
        (0x06, SYSLINUX, "uefi-ia32/syslinux.efi"),
        (0x0B, IPXE_BUILD, "uefi-arm64/ipxe.efi"),
        (0x0B, SHIM, "uefi-arm64/shimaa64.efi"),
        (0x0B, GRUB, "uefi-arm64/grubaa64.efi"),
    ],
)
def test_pinned_loader(architecture: int, pinned: LoaderName, file: str) -> None:
    every_dead_end = Learned(dead_ends=tuple(LoaderName), secure_boot="confirmed")
    for learned in (Learned(), every_dead_end):
        state = snapshot(Machine(mac=MAC, loader=pinned), learned=learned)
        assert offered(client(architecture), state)[0] == file


@pytest.mark.parametrize("architecture", [0x00, 0x06, 0x07, 0x0B, 0x1B])
@pytest.mark.parametrize("pinned", LoaderName)
def test_nothing_but_a_pinned_loader_is_offered(architecture: int, pinned: LoaderName) -> None:
    chosen = choose(client(architecture), RecentBoot(), snapshot(Machine(mac=MAC, loader=pinned)))
    if isinstance(chosen, BootOffer):
        loader = loader_named(chosen.boot_file)
        assert loader is not None
        assert loader[1] is pinned
    else:
        assert pinned in chosen.detail


def test_syslinux_needs_pxe() -> None:
    state = snapshot(Machine(mac=MAC, loader=SYSLINUX))
    assert "cannot load over HTTP" in silent(client(0x10, HTTP), state)


@pytest.mark.parametrize(
    ("who", "pinned", "file"),
    [
        (client(0x00), PXELINUX, "bios/undionly.kpxe"),
        (client(0x00, IPXE, GOOD), PXELINUX, "boot.ipxe"),
        (client(0x07), SYSLINUX, "uefi-x64/snponly.efi"),
        (client(0x10, HTTP), SYSLINUX, "uefi-x64/snponly.efi"),
        (client(0x06), SYSLINUX, "uefi-ia32/grubia32.efi"),
        # These ask the catalog themselves.
        (client(0x07), GRUB, "uefi-x64/grubx64.efi"),
        (client(0x07), SHIM, "uefi-x64/shimx64.efi"),
        (client(0x00), IPXE_BUILD, "bios/ipxe.pxe"),
    ],
)
def test_boot_once_needs_a_loader_that_asks_the_catalog(
    who: BootClient, pinned: LoaderName, file: str
) -> None:
    machine = Machine(mac=MAC, loader=pinned)
    assert offered(who, snapshot(machine, armed="wipe"))[0] == file
    if pinned in (PXELINUX, SYSLINUX) and who.kind is not HTTP:
        # What is armed and no longer in the library cannot start either.
        gone = offered(who, snapshot(machine, armed="gone"))[0]
        loader = loader_named(f"loaders/{gone}")
        assert loader is not None
        assert loader[1] is pinned


def test_boot_once_of_a_pinned_machine_with_secure_boot_takes_the_signed_chain() -> None:
    machine = Machine(mac=MAC, loader=SYSLINUX, secure_boot=True)
    assert offered(client(7), snapshot(machine, armed="wipe"))[0] == "uefi-x64/shimx64.efi"
