"""What fuzzing starts from: packets of real firmware, small documents, and every input that once
broke something (`found/<target>/*.hex`, which stay for ever).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from bootyard.model.document import encode
from bootyard.model.events import BootEvent, Step
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Learned, Machine, Policy, SubnetRule
from tests import captures, samples
from tests.catalog import efi_programs
from tests.catalog.discs import packed
from tests.catalog.discs.hostile import REJECTED, SANE
from tests.proxydhcp import packets

FOUND = Path(__file__).parent / "found"
MAX_DISC = 4096
"""Bytes of a disc to start from, packed."""

_NAMES = (
    "boot.ipxe",
    "/loaders/uefi-x64/autoexec.ipxe",
    "\\Boot\\BCD",
    "images/live@1/linux",
    "grub/grub.cfg-01-52-54-00-12-34-56",
    "pxelinux.cfg/C000020A",
    "9ffefdef/start4.elf",
    "loaders/bios/../x",
    "undionly.kpxe\xff",
)
_DESCRIPTION = b"""title = "Debian 12"
kind = "installer"
architectures = ["amd64", "arm64"]
kernel = "boot/linux"
initrd = ["initrd.gz"]
cmdline = "console=ttyS0"
[secureboot]
shim = "EFI/BOOT/BOOTX64.EFI"
grub = "EFI/BOOT/grubx64.efi"
"""
_CONFIG = b"""# a comment
[pi4]
kernel=vmlinuz
[all]
arm_64bit=1
auto_initramfs=1
initramfs initramfs8 followkernel
os_prefix=current/
"""


def seeds(target: str) -> tuple[bytes, ...]:
    """Give the inputs that a target starts from."""
    found = sorted((FOUND / target).glob("*.hex"))
    return (*_MADE[target](), *(bytes.fromhex(path.read_text()) for path in found))


def _tftp() -> Iterator[bytes]:
    yield from (captures.load(n) for n in captures.names() if "rrq" in n or "error" in n)
    yield from (b"\0\3\0\1data", b"\0\4\0\0", b"\0\6tsize\x00100\0")


def _snapshots() -> Iterator[bytes]:
    yield samples.snapshot(Machine(mac=samples.MAC, name="nuc-3", kernel_args="quiet")).to_json()
    yield samples.snapshot().to_json()


def _documents() -> Iterator[bytes]:
    mac = samples.MAC
    yield encode(Machine(mac=mac, secure_boot=True))
    yield encode(Learned(secure_boot="probable"))
    yield encode(Policy(subnets=(SubnetRule(network="198.51.100.0/24", tries=3),)))
    yield encode(
        BootEvent(service="tftp", run="r", sequence=1, time=1.5, step=Step.LOADER, mac=mac)
    )


def _programs() -> Iterator[bytes]:
    yield from (efi_programs.SHIM, efi_programs.grub_of("Debian"))
    yield efi_programs.efi_program(efi_programs.IA32)


def _dhcp() -> Iterator[bytes]:
    """Give recorded packets, and those of machines that could not be recorded."""
    relayed = {61: b"\1" + bytes(200), 82: b"\1\4eth0", 57: b"\5\xdc"}
    yield packets.request(giaddr=packets.CLIENT, more=relayed).to_bytes()
    yield packets.request(arch=b"\0\x16", vendor_class=b"U-Boot.armv8").to_bytes()
    pi = MACAddress.parse("dc:a6:32:01:36:c2")
    yield packets.request(mac=pi, arch=b"\0\0", vendor_class=b"PXEClient:Arch:00000").to_bytes()
    yield packets.request(arch=b"\0\x13", vendor_class=b"HTTPClient").to_bytes()
    yield packets.request(8, more={43: bytes.fromhex("470480420000ff")}).to_bytes()
    for name in captures.names():
        if "rrq" not in name and "error" not in name:
            yield captures.load(name)


@cache
def _discs() -> tuple[bytes, ...]:
    whole = (*(data for data, _ in SANE.values()), *REJECTED.values())
    return tuple(small for data in whole if 0 < len(small := packed.pack(data)) <= MAX_DISC)


_MADE: dict[str, Callable[[], Iterable[bytes]]] = {
    "dhcp_packet": _dhcp,
    "dhcp_reply": lambda: (bytes((n % 4, n % 8, n)) + each for n, each in enumerate(_dhcp())),
    "responder": lambda: (bytes((n % 3,)) + each for n, each in enumerate(_dhcp())),
    "tftp": _tftp,
    "snapshot": _snapshots,
    "changed_snapshot": lambda: (bytes(range(n, n + 12)) for n in range(0, 120, 12)),
    "document": _documents,
    "names": lambda: (name.encode("latin-1") for name in _NAMES),
    "image_toml": lambda: (_DESCRIPTION,),
    "pe_signature": _programs,
    "config_txt": lambda: (_CONFIG,),
    "disc": _discs,
}
