"""Who gets the signed chain, and whose."""

import msgspec
import pytest

from bootyard.boot.choice import MAX_BOOT_FILE
from bootyard.model.snapshot import (
    Learned,
    Machine,
    Policy,
)
from tests.boot.choices import (
    FEDORA,
    GRUB,
    HTTP,
    SHIM,
    SYSLINUX,
    client,
    offered,
    snapshot,
    vendor,
)
from tests.samples import MAC


@pytest.mark.parametrize(
    ("machine", "policy", "learned", "signed"),
    [
        (None, "auto", None, False),
        (None, "auto", "probable", True),
        (None, "auto", "confirmed", True),
        (None, "always", None, True),
        (None, "never", "confirmed", False),
        (True, "auto", None, True),
        (True, "never", None, True),
        (False, "always", "confirmed", False),
    ],
)
def test_machine_over_policy_over_learned(
    machine: bool | None, policy: str, learned: str | None, signed: bool
) -> None:
    state = snapshot(
        Machine(mac=MAC, secure_boot=machine),
        policy=msgspec.convert({"secure_boot": policy}, Policy),
        learned=msgspec.convert({"secure_boot": learned}, Learned),
    )
    expected = "shimx64.efi" if signed else "snponly.efi"
    for who in (client(7), client(0x10, HTTP)):
        assert offered(who, state)[0] == f"uefi-x64/{expected}"


def test_signed_chain_that_led_nowhere_is_left_for_another_loader() -> None:
    state = snapshot(learned=Learned(secure_boot="probable", dead_ends=(SHIM,)))
    assert offered(client(7), state)[0] == "uefi-x64/snponly.efi"


@pytest.mark.parametrize("architecture", [0x00, 0x06, 0x1B])
def test_where_no_signed_chain_is_there_is_none_to_prefer(architecture: int) -> None:
    plain = offered(client(architecture), snapshot())
    wanted = snapshot(policy=Policy(secure_boot="always"))
    assert offered(client(architecture), wanted) == plain


DEBIAN = "uefi-x64/shimx64.efi"


@pytest.mark.parametrize(
    ("machine", "armed", "policy", "file"),
    [
        pytest.param(machine, armed, policy, file, id=name)
        for name, machine, armed, policy, file in [
            ("target", Machine(mac=MAC, target="fedora", secure_boot=True), None, None, FEDORA),
            ("default", Machine(mac=MAC, secure_boot=True), None, "fedora", FEDORA),
            ("armed", Machine(mac=MAC, secure_boot=True), "fedora", None, FEDORA),
            ("armed-first", Machine(mac=MAC, target="fedora", loader=SHIM), "wipe", None, DEBIAN),
            ("pinned", Machine(mac=MAC, target="fedora", loader=SHIM), None, None, FEDORA),
            (
                *("pinned-to-what-cannot-ask",),
                *(Machine(mac=MAC, loader=SYSLINUX, secure_boot=True), "fedora", None, FEDORA),
            ),
            (
                "other-target",
                Machine(mac=MAC, target="debian", secure_boot=True),
                None,
                None,
                DEBIAN,
            ),
            ("menu", Machine(mac=MAC, target="menu", secure_boot=True), None, "fedora", DEBIAN),
            ("gone", Machine(mac=MAC, target="gone", secure_boot=True), None, None, DEBIAN),
            (
                *("no-secure-boot", Machine(mac=MAC, target="fedora"), None, None),
                "uefi-x64/snponly.efi",
            ),
            (
                *("grub-pinned", Machine(mac=MAC, target="fedora", loader=GRUB), None, None),
                "uefi-x64/grubx64.efi",
            ),
        ]
    ],
)
def test_shim_of_the_vendor_that_signed_the_kernel(
    machine: Machine, armed: str | None, policy: str | None, file: str
) -> None:
    state = snapshot(
        machine,
        armed=armed,
        policy=Policy() if policy is None else Policy(default=policy),
        targets=(vendor("fedora"),),
    )
    for who in (client(7), client(0x10, HTTP)):
        assert offered(who, state)[0] == file


def test_vendor_s_shim_is_for_its_own_processor() -> None:
    state = snapshot(
        Machine(mac=MAC, target="fedora", secure_boot=True), targets=(vendor("fedora"),)
    )
    assert offered(client(0x0B), state)[0] == "uefi-arm64/shimaa64.efi"
    assert offered(client(0x00), state)[0] == "bios/undionly.kpxe"


def test_vendor_s_shim_that_led_nowhere_is_not_tried_again_unless_pinned() -> None:
    learned = Learned(secure_boot="confirmed", dead_ends=(SHIM,))
    for machine, file in [
        (Machine(mac=MAC, target="fedora"), "uefi-x64/snponly.efi"),
        (Machine(mac=MAC, target="fedora", loader=SHIM), FEDORA),
    ]:
        state = snapshot(machine, learned=learned, targets=(vendor("fedora"),))
        assert offered(client(7), state)[0] == file


def test_name_that_shim_could_not_read_from_the_header_is_no_chain() -> None:
    room = MAX_BOOT_FILE - len("images/live@4/")
    for size, is_chain in [(room, True), (room + 1, False)]:
        shim = "x" * size
        state = snapshot(
            Machine(mac=MAC, target="fedora", secure_boot=True), targets=(vendor("fedora", shim),)
        )
        assert (offered(client(7), state)[0] == f"images/live@4/{shim}") is is_chain
