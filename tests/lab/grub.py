"""What the lab knows of GRUB: what it asks for on the wire, and a disk that firmware trusts."""

import subprocess
from pathlib import Path

from tests.lab.capture import Datagram
from tests.lab.host import REPOSITORY
from tests.lab.local_disk import GREETING, make_local_disk

LOADERS = REPOSITORY / ".venv/share/bootyard/loaders"
PARTITION = "@@1M"
"""Where the one partition of a local disk begins, as mtools write it."""
_READ_REQUEST = b"\0\1"


def requested(datagrams: list[Datagram]) -> list[str]:
    """The names that were asked for over TFTP, in order, each once."""
    requests = (d.payload for d in datagrams if d.destination_port == 69)
    names = (r[2:].split(b"\0")[0].decode() for r in requests if r.startswith(_READ_REQUEST))
    return list(dict.fromkeys(names))


def make_signed_local_disk(path: Path) -> Path:
    """Write a disk with an operating system that Secure Boot starts: shim, GRUB, and a greeting."""
    make_local_disk(path)
    greeting = path.with_suffix(".cfg")
    greeting.write_text(f"echo '{GREETING}'\nsleep 600\n")
    disk = ("-i", f"{path}{PARTITION}")
    _mtools("mmd", *disk, "::EFI/debian", "::grub")
    _mtools("mcopy", *disk, LOADERS / "uefi-x64/shimx64.efi", "::EFI/debian/shimx64.efi")
    _mtools("mcopy", *disk, LOADERS / "uefi-x64/grubx64.efi", "::EFI/debian/grubx64.efi")
    _mtools("mcopy", *disk, greeting, "::grub/grub.cfg")
    return path


def _mtools(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=10)
