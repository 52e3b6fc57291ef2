"""Whose GRUB a machine runs: under Secure Boot it starts kernels of its own vendor only. Pure."""

from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import BootTarget, Machine, Snapshot

PACKAGED_VENDOR = "debian"
"""Whose key the packaged GRUB is signed with, and whose kernels its shim trusts."""


def vendor_offered(snapshot: Snapshot, mac: MACAddress | None, machine: Machine | None) -> str:
    """Name the vendor whose chain a machine is offered, by what it is to boot next."""
    target = snapshot.targets.get(snapshot.armed.get(mac, "")) if mac is not None else None
    if target is None:
        wanted = machine.target if machine is not None else None
        target = snapshot.targets.get(wanted or snapshot.policy.default)
    return _signer((target,) if target is not None else ())


def vendor_of_image(snapshot: Snapshot, image: str | None) -> str:
    """Name the vendor of the chain that was fetched from an image (None: a packaged one)."""
    return _signer(tuple(t for t in snapshot.targets.values() if t.image == image))


def _signer(targets: tuple[BootTarget, ...]) -> str:
    """Name who signed a chain: usable ones start the kernel of their image."""
    signers = (t.signed_by for t in targets if t.chains)
    return next((signer for signer in signers if signer), PACKAGED_VENDOR)
