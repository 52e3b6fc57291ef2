import pytest

from bootyard.boot.choice import BootOffer, Silence, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.architecture import ClientArchitecture, Firmware, firmware_of
from bootyard.model.events import IgnoreReason, OfferStage
from bootyard.model.loaders import OfferStrategy
from bootyard.model.snapshot import Machine, Policy
from tests.samples import MAC, OTHER_MAC, snapshot


def client(architecture: int, kind: ClientKind = ClientKind.ROM) -> BootClient:
    number = ClientArchitecture(architecture)
    return BootClient(mac=MAC, firmware=firmware_of(number), kind=kind, architecture=number)


@pytest.mark.parametrize(
    ("who", "offer"),
    [
        pytest.param(
            client(0x00),
            ("loaders/bios/undionly.kpxe", OfferStrategy.DIRECT, OfferStage.ROM),
            id="bios",
        ),
        pytest.param(
            client(0x07),
            ("loaders/uefi-x64/snponly.efi", OfferStrategy.COMPATIBLE, OfferStage.ROM),
            id="uefi-x64",
        ),
        pytest.param(
            client(0x09),
            ("loaders/uefi-x64/snponly.efi", OfferStrategy.COMPATIBLE, OfferStage.ROM),
            id="x64-that-says-ebc",
        ),
        pytest.param(
            client(0x0B),
            ("loaders/uefi-arm64/ipxe.efi", OfferStrategy.COMPATIBLE, OfferStage.ROM),
            id="arm64-second-choice",
        ),
        pytest.param(
            client(0x00, ClientKind.IPXE),
            ("boot.ipxe", OfferStrategy.DIRECT, OfferStage.IPXE),
            id="ipxe-bios",
        ),
        pytest.param(
            client(0x07, ClientKind.IPXE),
            ("boot.ipxe", OfferStrategy.DIRECT, OfferStage.IPXE),
            id="ipxe-uefi",
        ),
    ],
)
def test_offers(who: BootClient, offer: tuple[str, OfferStrategy, OfferStage]) -> None:
    chosen = choose(who, RecentBoot(), snapshot())
    assert chosen == BootOffer(boot_file=offer[0], strategy=offer[1], stage=offer[2])


@pytest.mark.parametrize(
    ("who", "policy", "reason"),
    [
        pytest.param(client(0x06), Policy(), IgnoreReason.NO_LOADER, id="no-ia32-loader"),
        pytest.param(client(0x99), Policy(), IgnoreReason.NO_LOADER, id="unknown-architecture"),
        pytest.param(client(7), Policy(deny=(MAC,)), IgnoreReason.DENIED, id="denied"),
        pytest.param(client(7), Policy(allow=(OTHER_MAC,)), IgnoreReason.DENIED, id="not-allowed"),
        pytest.param(client(7), Policy(unknown="silence"), IgnoreReason.POLICY, id="unknown"),
    ],
)
def test_silence_has_a_reason(who: BootClient, policy: Policy, reason: IgnoreReason) -> None:
    chosen = choose(who, RecentBoot(), snapshot(policy=policy))
    assert isinstance(chosen, Silence)
    assert chosen.reason is reason
    assert chosen.detail


def test_a_registered_machine_is_answered_where_unknown_ones_are_not() -> None:
    state = snapshot(Machine(mac=MAC), policy=Policy(unknown="silence"))
    assert isinstance(choose(client(7), RecentBoot(), state), BootOffer)


def test_the_operator_knows_the_firmware_better() -> None:
    state = snapshot(Machine(mac=MAC, firmware=Firmware.UEFI_ARM64))
    chosen = choose(client(7), RecentBoot(), state)
    assert isinstance(chosen, BootOffer)
    assert chosen.boot_file == "loaders/uefi-arm64/ipxe.efi"
