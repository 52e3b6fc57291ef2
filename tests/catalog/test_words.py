"""What people read: about offers, about what is pinned or concluded, and about the policy."""

import pytest

from bootyard.boot.choice import BootOffer, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.architecture import ClientArchitecture, Firmware
from bootyard.model.events import OTHER_SERVER, BootOutcome, OfferStage, Step
from bootyard.model.loaders import LOADER_FILES, LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Learned, Machine, Policy, Root, Slice, Snapshot, SubnetRule
from services.catalog.boots.boot import BootStep
from services.catalog.http.words import (
    OUTCOMES,
    how_it_boots,
    policy_lines,
    step_note,
    usual_strategy,
)

MAC = MACAddress("52:54:00:12:34:56")


def step(kind: Step = Step.OFFERED, **more: object) -> BootStep:
    return BootStep(step=kind, at=0.0, service="proxydhcp", run="r", sequence=1, **more)  # type: ignore[arg-type]


def test_every_outcome_has_words() -> None:
    assert OUTCOMES.keys() == set(BootOutcome)


@pytest.mark.parametrize(
    ("kind", "architecture", "firmware"),
    [
        (ClientKind.ROM, ClientArchitecture.X86_BIOS, Firmware.BIOS),
        (ClientKind.ROM, ClientArchitecture.X64_UEFI, Firmware.UEFI_X64),
        (ClientKind.ROM, ClientArchitecture.ARM64_UEFI, Firmware.UEFI_ARM64),
        (ClientKind.HTTP, ClientArchitecture.X64_HTTP, Firmware.HTTP_X64),
        (ClientKind.IPXE, ClientArchitecture.X86_BIOS, Firmware.BIOS),
        (ClientKind.IPXE, ClientArchitecture.X64_UEFI, Firmware.UEFI_X64),
        (ClientKind.UBOOT, ClientArchitecture.ARM64_UBOOT, Firmware.UBOOT),
    ],
)
def test_the_usual_offer_is_what_a_new_machine_gets(
    kind: ClientKind, architecture: ClientArchitecture, firmware: Firmware
) -> None:
    client = BootClient(mac=MAC, firmware=firmware, kind=kind, architecture=architecture)
    loaders = {
        f"{platform}/{file}": Slice(root=Root.PACKAGED, path=file, extents=((0, 1),))
        for platform, names in LOADER_FILES.items()
        for files in names.values()
        for file in files
    }
    snapshot = Snapshot(epoch="test", number=1, http_port=8080, loaders=loaders)
    offer = choose(client, RecentBoot(), snapshot)
    assert isinstance(offer, BootOffer)
    assert usual_strategy(offer.stage, firmware) is offer.strategy


@pytest.mark.parametrize(
    ("told", "firmware", "note"),
    [
        (step(), Firmware.BIOS, None),
        (step(stage=OfferStage.ROM, strategy=OfferStrategy.DIRECT), Firmware.BIOS, None),
        (step(stage=OfferStage.ROM, strategy=OfferStrategy.DIRECT), None, None),
        (step(stage=OfferStage.PI, strategy=OfferStrategy.MENU), Firmware.PI, None),
        (
            step(stage=OfferStage.ROM, strategy=OfferStrategy.MENU),
            Firmware.BIOS,
            "as a boot menu of one entry, which is not the usual way for bios",
        ),
        (
            step(stage=OfferStage.ROM, strategy=OfferStrategy.DIRECT),
            Firmware.UEFI_X64,
            "without a question on port 4011, which is not the usual way for uefi-x64",
        ),
        (step(Step.LOADER, outcome="timeout"), Firmware.BIOS, None),
        (
            step(Step.ACKED, outcome=OTHER_SERVER, detail="192.0.2.66 also offers itself"),
            Firmware.BIOS,
            "192.0.2.66 also offers itself",
        ),
        (
            step(outcome=OTHER_SERVER),
            None,
            "another server on this network offers a boot file too",
        ),
    ],
)
def test_notes(told: BootStep, firmware: Firmware | None, note: str | None) -> None:
    assert step_note(told, firmware) == note


def test_nothing_is_said_of_a_machine_that_nothing_is_known_of() -> None:
    assert how_it_boots(MAC, None, Learned(), Policy()) == ()
    assert how_it_boots(MAC, Machine(mac=MAC, name="nuc"), Learned(), Policy()) == ()


def test_what_the_operator_says_goes_before_what_was_concluded() -> None:
    machine = Machine(
        mac=MAC, loader=LoaderName.GRUB, offer=OfferStrategy.DIRECT, secure_boot=False
    )
    learned = Learned(offer=OfferStrategy.MENU, secure_boot="confirmed")
    assert how_it_boots(MAC, machine, learned, Policy()) == (
        "loader grub: pinned",
        "offer direct: pinned",
        "Secure Boot off: said, not concluded",
    )


@pytest.mark.parametrize("how", ["probable", "confirmed"])
def test_a_conclusion_says_that_it_is_one_and_how_to_override_it(how: str) -> None:
    learned = Learned(secure_boot=how, dead_ends=(LoaderName.SNPONLY, LoaderName.IPXE))  # type: ignore[arg-type]
    secure_boot, dead_ends = how_it_boots(MAC, None, learned, Policy())
    assert ("probably" in secure_boot) == (how == "probable")
    assert "concluded from its boots" in secure_boot
    assert "so it gets the signed ones" in secure_boot
    assert f"`bootyard machine set {MAC} --secure-boot on|off` says it instead" in secure_boot
    assert dead_ends.endswith("snponly, ipxe")


def test_a_policy_may_leave_a_conclusion_without_consequence() -> None:
    learned = Learned(secure_boot="probable")
    (said,) = how_it_boots(MAC, None, learned, Policy(secure_boot="never"))
    assert "but the policy gives it no signed ones" in said


def test_the_policy_in_words() -> None:
    said = dict(policy_lines(Policy(timeout_seconds=0, secure_boot="never")))
    assert said["The menu waits"] == "for ever"
    assert said["Signed loaders"] == "for machines that are told so"
    assert "Only these are answered" not in said
    policy = Policy(
        allow=(MAC,),
        subnets=(
            SubnetRule(network="198.51.100.0/24", max_window_size=4, retry_seconds=1.5, tries=1),
        ),
    )
    said = dict(policy_lines(policy))
    assert said["Only these are answered"] == MAC
    assert said["TFTP in 198.51.100.0/24"] == (
        "windows of at most 4 blocks, again after 1.5 s, one try"
    )
