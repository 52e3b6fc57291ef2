from ipaddress import IPv4Address

import msgspec
import pytest

from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import BootTree, Found
from bootyard.boot.vendor import PACKAGED_VENDOR, vendor_of_image, vendor_offered
from bootyard.model.snapshot import Machine, Policy, SignedChain, Snapshot, Text
from tests.samples import MAC, OTHER_MAC, snapshot

CHAIN = (SignedChain(shim="EFI/BOOT/BOOTX64.EFI", grub="EFI/BOOT/grubx64.efi"),)


def library(policy: Policy | None = None, **armed: str) -> Snapshot:
    """`live` has Ubuntu's own chain; `debian` is signed, and has none."""
    state = snapshot(policy=policy)
    targets = dict(state.targets)
    targets["live"] = msgspec.structs.replace(targets["live"], signed_by="ubuntu", chains=CHAIN)
    targets["debian"] = msgspec.structs.replace(targets["debian"], signed_by="debian")
    targets["wipe"] = msgspec.structs.replace(targets["wipe"], chains=CHAIN)
    return msgspec.structs.replace(state, targets=targets, armed=armed)


@pytest.mark.parametrize(
    ("armed", "target", "default", "vendor"),
    [
        (None, None, "menu", PACKAGED_VENDOR),
        (None, None, "live", "ubuntu"),
        (None, "live", "menu", "ubuntu"),
        (None, "debian", "live", PACKAGED_VENDOR),
        ("live", None, "menu", "ubuntu"),
        ("live", "debian", "menu", "ubuntu"),
        ("debian", "live", "menu", PACKAGED_VENDOR),
        (None, "wipe", "menu", PACKAGED_VENDOR),
        ("gone", None, "menu", PACKAGED_VENDOR),
    ],
)
def test_the_vendor_of_what_a_machine_boots_next(
    armed: str | None, target: str | None, default: str, vendor: str
) -> None:
    state = library(Policy(default=default), **({str(MAC): armed} if armed else {}))
    assert vendor_offered(state, MAC, Machine(mac=MAC, target=target)) == vendor


def test_who_nobody_knows_is_offered_what_the_policy_says() -> None:
    state = library(Policy(default="live"), **{str(OTHER_MAC): "debian"})
    assert vendor_offered(state, None, None) == "ubuntu"
    assert vendor_offered(state, MAC, None) == "ubuntu"


@pytest.mark.parametrize(
    ("image", "vendor"),
    [("live", "ubuntu"), ("debian", "debian"), (None, "debian"), ("gone", "debian")],
)
def test_the_vendor_of_a_loader(image: str | None, vendor: str) -> None:
    assert vendor_of_image(library(), image) == vendor


@pytest.mark.parametrize(("default", "stranger"), [("live", "Debian"), ("debian", "Live")])
def test_the_menu_kept_by_tftp_knows_whose_grub_asks(default: str, stranger: str) -> None:
    facts = RequestFacts(
        client_ip=IPv4Address("192.0.2.50"),
        server_address=IPv4Address("192.0.2.10"),
        transport="tftp",
        mac=MAC,
    )
    found = BootTree(library(Policy(default=default))).resolve("grub/menu.cfg", facts)
    assert isinstance(found, Found)
    assert isinstance(found.content, Text)
    lines = found.content.data.decode().splitlines()
    refused = [line for line in lines if line.startswith(f"  menuentry '{stranger}: signed by")]
    assert len(refused) == 1
    assert sum(line.startswith("  menuentry") and "signed by" in line for line in lines) == 1
