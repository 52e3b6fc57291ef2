"""iPXE gets its script, or once a loader that can do what scripts need."""

import pytest

from bootyard.boot.client import RecentBoot
from bootyard.model.loaders import LoaderName
from bootyard.model.snapshot import (
    Learned,
    Machine,
)
from tests.boot.choices import (
    GOOD,
    IPXE,
    IPXE_BUILD,
    OLD,
    PXELINUX,
    SHIM,
    UNDIONLY,
    client,
    offered,
    snapshot,
)
from tests.samples import MAC


@pytest.mark.parametrize(
    ("architecture", "features", "file"),
    [
        (0x00, GOOD, "boot.ipxe"),
        (0x00, OLD, "bios/undionly.kpxe"),
        (0x00, OLD | {0x13}, "bios/undionly.kpxe"),
        (0x00, OLD | {0x27}, "bios/undionly.kpxe"),
        (0x07, OLD, "uefi-x64/snponly.efi"),
        (0x0B, OLD, "uefi-arm64/ipxe.efi"),
        # Nothing said of features, or nothing there to do better.
        (0x00, frozenset(), "boot.ipxe"),
        (0x06, OLD, "boot.ipxe"),
        (0xFFFF, OLD, "boot.ipxe"),
    ],
)
def test_ipxe_that_cannot_run_our_scripts_is_replaced(
    architecture: int, features: frozenset[int], file: str
) -> None:
    assert offered(client(architecture, IPXE, features), snapshot())[0] == file


def test_replacement_that_led_nowhere_is_not_tried_again() -> None:
    who = client(0x00, IPXE, OLD)
    for dead_ends, file in [
        ((UNDIONLY,), "bios/ipxe.pxe"),
        ((UNDIONLY, IPXE_BUILD), "boot.ipxe"),
    ]:
        assert offered(who, snapshot(learned=Learned(dead_ends=dead_ends)))[0] == file


def test_ipxe_under_secure_boot_is_not_replaced_by_an_unsigned_build() -> None:
    state = snapshot(learned=Learned(secure_boot="confirmed"))
    assert offered(client(0x07, IPXE, OLD), state)[0] == "boot.ipxe"


@pytest.mark.parametrize("features", [GOOD, OLD, frozenset[int]()])
@pytest.mark.parametrize(
    "given", ["bios/undionly.kpxe", "bios/ipxe.pxe", "uefi-x64/shimx64.efi", "uefi-x64/ipxe.efi"]
)
@pytest.mark.parametrize("pinned", [None, UNDIONLY, IPXE_BUILD])
def test_ipxe_never_loads_itself_again(
    features: frozenset[int], given: str, pinned: LoaderName | None
) -> None:
    state = snapshot(Machine(mac=MAC, loader=pinned))
    recent = RecentBoot(given=f"loaders/{given}")
    assert offered(client(0x00, IPXE, features), state, recent)[0] == "boot.ipxe"


@pytest.mark.parametrize("given", [None, "boot.ipxe", "", "loaders/bios/lpxelinux.0"])
def test_a_rom_that_is_ipxe_loads_what_is_pinned(given: str | None) -> None:
    for pinned, file in [(UNDIONLY, "bios/undionly.kpxe"), (PXELINUX, "bios/lpxelinux.0")]:
        state = snapshot(Machine(mac=MAC, loader=pinned))
        recent = RecentBoot(given=given)
        assert offered(client(0x00, IPXE, GOOD), state, recent)[0] == file


def test_ipxe_whose_pinned_loader_is_not_there_gets_its_script() -> None:
    state = snapshot(Machine(mac=MAC, loader=SHIM))
    assert offered(client(0x00, IPXE, GOOD), state)[0] == "boot.ipxe"
