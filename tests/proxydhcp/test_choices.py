"""Remembered choices are the ones that would be made anew."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bootyard.boot.choice import choose
from bootyard.boot.client import BootClient, RecentBoot
from bootyard.model.document import encode
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Learned, Machine, Policy, Snapshot
from services.proxydhcp.choices import REMEMBERED, Choices
from services.proxydhcp.identify import RASPBERRY_PI_OUIS, identify
from tests.proxydhcp.packets import MAC, request
from tests.proxydhcp.test_responder import snapshot

REGISTERED = MACAddress.parse("02:00:00:00:01:01")
LEARNED = MACAddress.parse("02:00:00:00:01:02")
DENIED = MACAddress.parse("02:00:00:00:01:03")
OF_A_PI = MACAddress.parse(f"{RASPBERRY_PI_OUIS[0]}:00:00:01")


def tells_apart(policy: Policy | None = None) -> Snapshot:
    machine = Machine(mac=REGISTERED, loader=LoaderName.IPXE)
    learned = Learned(offer=OfferStrategy.DIRECT, secure_boot="probable")
    return msgspec.structs.replace(
        snapshot(policy),
        machines={str(REGISTERED): msgspec.Raw(encode(machine))},
        learned={str(LEARNED): msgspec.Raw(encode(learned))},
    )


SNAPSHOTS = (
    tells_apart(),
    tells_apart(Policy(deny=(DENIED,))),
    tells_apart(Policy(allow=(MAC,))),
    tells_apart(Policy(unknown="silence")),
    tells_apart(Policy(secure_boot="always")),
)
shared = Choices()
"""One for all examples: what it remembers is what is tested."""


@settings(deadline=None)
@given(
    held=st.sampled_from(SNAPSHOTS),
    mac=st.sampled_from((MAC, REGISTERED, LEARNED, DENIED, OF_A_PI)),
    arch=st.sampled_from((b"\0\0", b"\0\6", b"\0\7", b"\0\x0b", b"\0\x10", b"\0\x16", b"\0\x99")),
    vendor_class=st.sampled_from((b"PXEClient", b"HTTPClient", b"U-Boot.armv8")),
    ipxe=st.sampled_from((None, b"\x13\1\1\x27\1\1", b"\x13\1\1")),
    recent=st.builds(
        RecentBoot,
        strategy=st.none() | st.sampled_from(OfferStrategy),
        ignored=st.integers(0, 4),
        given=st.sampled_from((None, "loaders/bios/undionly.kpxe", "loaders/uefi-x64/ipxe.efi")),
    ),
)
def test_a_remembered_choice_is_the_one_that_would_be_made(
    *,
    held: Snapshot,
    mac: MACAddress,
    arch: bytes,
    vendor_class: bytes,
    ipxe: bytes | None,
    recent: RecentBoot,
) -> None:
    more = {} if ipxe is None else {175: ipxe}
    client = identify(request(mac=mac, arch=arch, vendor_class=vendor_class, more=more))
    assert isinstance(client, BootClient)
    assert shared.choose(client, recent, held) == choose(client, recent, held)


def test_another_snapshot_is_another_choice() -> None:
    choices = Choices()
    client = identify(request())
    assert isinstance(client, BootClient)
    before = choices.choose(client, RecentBoot(), snapshot())
    after = choices.choose(client, RecentBoot(), snapshot(Policy(unknown="silence")))
    assert before != after


def test_few_choices_are_remembered() -> None:
    choices = Choices()
    held = snapshot()
    for number in range(REMEMBERED * 3):
        client = identify(request(vendor_class=b"PXEClient:%d" % number))
        assert isinstance(client, BootClient)
        choices.choose(client, RecentBoot(), held)
        assert len(choices._made) <= REMEMBERED
