"""Which boot file each machine is offered: a table for each rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.choice import BootOffer, Silence, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.architecture import FIRMWARE_OF, Firmware
from bootyard.model.events import IgnoreReason, OfferStage
from bootyard.model.loaders import LOADER_FILES, LoaderName, OfferStrategy, loader_named
from bootyard.model.snapshot import (
    BootTarget,
    Learned,
    Machine,
    Policy,
    TargetKind,
)
from tests.boot.choices import (
    COMPATIBLE,
    DIRECT,
    FEDORA,
    GOOD,
    GRUB,
    HTTP,
    IPXE,
    IPXE_BUILD,
    MENU,
    OLD,
    ONE,
    PACKAGED,
    PI,
    PXELINUX,
    SHIM,
    SNPONLY,
    SYSLINUX,
    UBOOT,
    UNDIONLY,
    client,
    offered,
    pi,
    silent,
    snapshot,
    vendor,
)
from tests.samples import MAC, OTHER_MAC


@pytest.mark.parametrize(
    ("who", "offer"),
    [
        pytest.param(who, (f"{file}", strategy, OfferStage(stage)), id=name)
        for name, who, file, strategy, stage in [
            ("bios", client(0x00), "bios/undionly.kpxe", DIRECT, "rom"),
            ("x64", client(0x07), "uefi-x64/snponly.efi", COMPATIBLE, "rom"),
            ("x64-as-9", client(0x09), "uefi-x64/snponly.efi", COMPATIBLE, "rom"),
            ("ia32", client(0x06), "uefi-ia32/grubia32.efi", COMPATIBLE, "rom"),
            ("arm64", client(0x0B), "uefi-arm64/ipxe.efi", COMPATIBLE, "rom"),
            ("riscv64", client(0x1B), "uefi-riscv64/ipxe.efi", COMPATIBLE, "rom"),
            ("loong64", client(0x27), "uefi-loong64/ipxe.efi", COMPATIBLE, "rom"),
            ("http-x64", client(0x10, HTTP), "uefi-x64/snponly.efi", DIRECT, "http"),
            ("http-ebc", client(0x11, HTTP), "uefi-x64/snponly.efi", DIRECT, "http"),
            ("http-ia32", client(0x0F, HTTP), "uefi-ia32/grubia32.efi", DIRECT, "http"),
            ("http-arm64", client(0x13, HTTP), "uefi-arm64/ipxe.efi", DIRECT, "http"),
            ("http-riscv64", client(0x1C, HTTP), "uefi-riscv64/ipxe.efi", DIRECT, "http"),
            ("http-loong64", client(0x28, HTTP), "uefi-loong64/ipxe.efi", DIRECT, "http"),
            ("http-with-a-pxe-number", client(7, HTTP), "uefi-x64/snponly.efi", DIRECT, "http"),
            ("pxe-with-an-http-number", client(0x10), "uefi-x64/snponly.efi", COMPATIBLE, "rom"),
            ("u-boot-arm64", client(0x16, UBOOT), "uefi-arm64/ipxe.efi", DIRECT, "rom"),
            ("u-boot-efi-arm64", client(0x0B, UBOOT), "uefi-arm64/ipxe.efi", DIRECT, "rom"),
            ("u-boot-riscv64", client(0x1B, UBOOT), "uefi-riscv64/ipxe.efi", DIRECT, "rom"),
            ("ipxe-bios", client(0x00, IPXE, GOOD), "boot.ipxe", DIRECT, "ipxe"),
            ("ipxe-x64", client(0x07, IPXE, GOOD), "boot.ipxe", DIRECT, "ipxe"),
            ("ipxe-unknown", client(0xFFFF, IPXE, GOOD), "boot.ipxe", DIRECT, "ipxe"),
        ]
    ],
)
def test_first_offer(who: BootClient, offer: tuple[str, OfferStrategy, OfferStage]) -> None:
    assert offered(who, snapshot()) == offer


@pytest.mark.parametrize(
    ("who", "policy", "reason"),
    [
        pytest.param(client(0x0A), Policy(), IgnoreReason.NO_LOADER, id="no-arm32-loader"),
        pytest.param(client(0x15, UBOOT), Policy(), IgnoreReason.NO_LOADER, id="u-boot-arm32"),
        pytest.param(client(0x00, UBOOT), Policy(), IgnoreReason.NO_LOADER, id="u-boot-x86"),
        pytest.param(client(0x12, HTTP), Policy(), IgnoreReason.NO_LOADER, id="http-arm32"),
        pytest.param(client(0x14, HTTP), Policy(), IgnoreReason.NO_LOADER, id="http-bios"),
        pytest.param(client(0x99), Policy(), IgnoreReason.NO_LOADER, id="unknown-architecture"),
        pytest.param(client(0x00, PI), Policy(), IgnoreReason.NO_LOADER, id="pi-without-files"),
        pytest.param(client(7), Policy(deny=(MAC,)), IgnoreReason.DENIED, id="denied"),
        pytest.param(client(7), Policy(allow=(OTHER_MAC,)), IgnoreReason.DENIED, id="not-allowed"),
        pytest.param(client(7), Policy(unknown="silence"), IgnoreReason.POLICY, id="unknown"),
        pytest.param(
            client(0, IPXE, GOOD), Policy(deny=(MAC,)), IgnoreReason.DENIED, id="denied-ipxe"
        ),
    ],
)
def test_silence_has_a_reason(who: BootClient, policy: Policy, reason: IgnoreReason) -> None:
    chosen = choose(who, RecentBoot(), snapshot(policy=policy))
    assert isinstance(chosen, Silence)
    assert chosen.reason is reason
    assert chosen.detail


def test_missing_loader_is_named_with_the_architecture() -> None:
    assert silent(client(0x1B), snapshot(loaders=())) == (
        "there is no loader for uefi-riscv64 (architecture 0x1b)"
    )
    assert "(architecture 0x99)" in silent(client(0x99), snapshot())
    pinned = snapshot(Machine(mac=MAC, loader=SYSLINUX), loaders=("uefi-x64/snponly.efi",))
    assert "no syslinux loader for uefi-x64" in silent(client(7), pinned)


def test_a_registered_machine_is_answered_where_unknown_ones_are_not() -> None:
    state = snapshot(Machine(mac=MAC), policy=Policy(unknown="silence"))
    assert isinstance(choose(client(7), RecentBoot(), state), BootOffer)
    state = snapshot(policy=Policy(allow=(MAC,)))
    assert isinstance(choose(client(7), RecentBoot(), state), BootOffer)


@pytest.mark.parametrize(
    ("who", "firmware", "file"),
    [
        (client(7), Firmware.UEFI_ARM64, "uefi-arm64/ipxe.efi"),
        (client(7), Firmware.BIOS, "bios/undionly.kpxe"),
        (client(0x10, HTTP), Firmware.UEFI_X64, "uefi-x64/snponly.efi"),
        (client(0x10, HTTP), Firmware.HTTP_ARM64, "uefi-arm64/ipxe.efi"),
        # What has a Raspberry Pi's address and is none, or runs UEFI without saying so.
        (client(0x00, PI), Firmware.UEFI_ARM64, "uefi-arm64/ipxe.efi"),
        (client(0x00, UBOOT), Firmware.UEFI_X64, "uefi-x64/snponly.efi"),
    ],
)
def test_the_operator_knows_the_firmware_better(
    who: BootClient, firmware: Firmware, file: str
) -> None:
    assert offered(who, snapshot(Machine(mac=MAC, firmware=firmware)))[0] == file


@pytest.mark.parametrize(
    ("architecture", "ladder"),
    [
        (0x00, [UNDIONLY, IPXE_BUILD, PXELINUX]),
        (0x07, [SNPONLY, IPXE_BUILD, SHIM, GRUB]),
        (0x06, [GRUB]),
        (0x0B, [IPXE_BUILD, SHIM, GRUB]),
        (0x1B, [IPXE_BUILD]),
    ],
)
def test_ladder_of_dead_ends(architecture: int, ladder: list[LoaderName]) -> None:
    who = client(architecture)
    for rung, expected in enumerate(ladder):
        state = snapshot(learned=Learned(dead_ends=tuple(ladder[:rung])))
        loader = loader_named(f"loaders/{offered(who, state)[0]}")
        assert loader is not None
        assert loader[1] is expected
    detail = silent(who, snapshot(learned=Learned(dead_ends=tuple(ladder))))
    assert detail.startswith(f"no loader led anywhere ({', '.join(ladder)})")
    assert "local disk" in detail


def test_syslinux_is_never_tried_unasked() -> None:
    only = snapshot(loaders=("uefi-x64/syslinux.efi",))
    assert silent(client(7), only)


def test_the_user_s_signed_ipxe_goes_before_the_packaged_shim() -> None:
    state = snapshot(
        learned=Learned(secure_boot="probable"),
        loaders=(*PACKAGED, "uefi-x64/ipxe-shimx64.efi"),
    )
    assert offered(client(7), state)[0] == "uefi-x64/ipxe-shimx64.efi"


UNATTENDED = (pi("pi-flash", TargetKind.UNATTENDED),)


@pytest.mark.parametrize(
    ("machine", "targets", "armed", "policy", "answered"),
    [
        pytest.param(machine, targets, armed, policy, answered, id=name)
        for name, machine, targets, armed, policy, answered in [
            ("the-only-one", None, ONE, None, Policy(), True),
            ("one-of-two", None, (*ONE, pi("pi-2")), None, Policy(), False),
            ("default-of-two", None, (*ONE, pi("pi-2")), None, Policy(default="pi-2"), True),
            ("unattended", None, UNATTENDED, None, Policy(), False),
            ("armed", Machine(mac=MAC), UNATTENDED, "pi-flash", Policy(), True),
            ("target", Machine(mac=MAC, target="pi-os"), ONE, None, Policy(), True),
            (
                "target-erases",
                Machine(mac=MAC, target="pi-flash"),
                UNATTENDED,
                None,
                Policy(),
                False,
            ),
            ("local-disk", Machine(mac=MAC, target="local-disk"), ONE, None, Policy(), False),
            ("default-disk", None, ONE, None, Policy(default="local-disk"), False),
            ("unknown-disk", None, ONE, None, Policy(unknown="local-disk"), False),
            ("known", Machine(mac=MAC), ONE, None, Policy(unknown="local-disk"), True),
        ]
    ],
)
def test_raspberry_pi(
    machine: Machine | None,
    targets: tuple[BootTarget, ...],
    armed: str | None,
    policy: Policy,
    answered: bool,
) -> None:
    state = snapshot(machine, targets=targets, armed=armed, policy=policy)
    if answered:
        assert offered(client(0, PI), state) == ("", MENU, OfferStage.PI)
    else:
        assert "Raspberry Pi" in silent(client(0, PI), state)


def test_a_pi_with_an_address_that_nobody_knows_is_one_by_the_operator_s_word() -> None:
    state = snapshot(Machine(mac=MAC, firmware=Firmware.PI), targets=ONE)
    assert offered(client(0), state) == ("", MENU, OfferStage.PI)


machines = st.none() | st.builds(
    Machine,
    mac=st.just(MAC),
    target=st.none() | st.sampled_from(["fedora", "wipe", "menu", "local-disk", "pi-os", "gone"]),
    firmware=st.none() | st.sampled_from(Firmware),
    loader=st.none() | st.sampled_from(LoaderName),
    offer=st.none() | st.sampled_from(OfferStrategy),
    secure_boot=st.none() | st.booleans(),
)
learned_things = st.none() | st.builds(
    Learned,
    offer=st.none() | st.sampled_from(OfferStrategy),
    secure_boot=st.none() | st.sampled_from(["probable", "confirmed"]),
    dead_ends=st.lists(st.sampled_from(LoaderName), unique=True).map(tuple),
)
clients = st.builds(
    client,
    st.sampled_from([*FIRMWARE_OF, 0x12, 0x99, 0xFFFF]),
    st.sampled_from(ClientKind),
    st.sampled_from([GOOD, OLD, frozenset[int]()]),
)
recents = st.builds(
    RecentBoot,
    strategy=st.none() | st.sampled_from(OfferStrategy),
    ignored=st.integers(0, 3),
    given=st.none() | st.sampled_from(["boot.ipxe", *(f"loaders/{loader}" for loader in PACKAGED)]),
)


@given(clients, recents, machines, learned_things, st.none() | st.sampled_from(["fedora", "wipe"]))
def test_every_choice_can_be_served_or_has_a_reason(
    who: BootClient,
    recent: RecentBoot,
    machine: Machine | None,
    learned: Learned | None,
    armed: str | None,
) -> None:
    state = snapshot(machine, learned=learned, armed=armed, targets=(*ONE, vendor("fedora")))
    chosen = choose(who, recent, state)
    if isinstance(chosen, Silence):
        assert chosen.detail
        assert who.kind is not IPXE
        return
    if chosen.boot_file.startswith("loaders/"):
        assert chosen.boot_file.removeprefix("loaders/") in state.loaders
        loader = loader_named(chosen.boot_file)
        assert loader is not None
        assert loader[1] in LOADER_FILES[loader[0]]
        cannot_ask = loader[1] in (PXELINUX, SYSLINUX)
        assert not (cannot_ask and armed and machine and machine.loader is loader[1])
    else:
        assert chosen.boot_file in {"boot.ipxe", "", FEDORA}
    assert (chosen.boot_file == "") is (chosen.stage is OfferStage.PI)
    assert choose(who, recent, state) == chosen
