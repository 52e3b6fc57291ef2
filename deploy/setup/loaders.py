"""Which loader comes from which package, and where it goes.

    loaders.py packages ARCHITECTURE          the packages to unpack
    loaders.py rare                           architectures that set-up can do without
    loaders.py lay UNPACKED DEST SUITE [ARCHITECTURE that could not be had ...]
    loaders.py check DEST [SUITE]             prints complete, incomplete or absent

Used by loaders.sh, also while an image is built: nothing but the standard library.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

DEBIAN = "trixie"


class Loader(NamedTuple):
    """One file of the layout, or all files that match a pattern."""

    destination: str  # <firmware>/<file>; ends in / for a pattern
    package: str
    architecture: str  # whose package lists have it
    sources: tuple[str, ...]  # the first that is in the package; Ubuntu has names of its own


GRUB = "usr/lib/grub"
SHIM = "usr/lib/shim"
IPXE = "usr/lib/ipxe"
SYSLINUX = "usr/lib/syslinux"

LAYOUT = (
    # iPXE. In trixie, snponly (the firmware's own network driver) exists for x64 only.
    Loader("bios/undionly.kpxe", "ipxe", "amd64", (f"{IPXE}/undionly.kpxe",)),
    Loader("bios/ipxe.pxe", "ipxe", "amd64", (f"{IPXE}/ipxe.pxe",)),
    Loader("bios/ipxe.lkrn", "ipxe", "amd64", (f"{IPXE}/ipxe.lkrn",)),
    Loader("uefi-x64/snponly.efi", "ipxe", "amd64", (f"{IPXE}/snponly.efi",)),
    Loader("uefi-x64/ipxe.efi", "ipxe", "amd64", (f"{IPXE}/ipxe-amd64.efi", f"{IPXE}/ipxe.efi")),
    Loader("uefi-arm64/ipxe.efi", "ipxe", "amd64", (f"{IPXE}/ipxe-arm64.efi",)),
    Loader("uefi-riscv64/ipxe.efi", "ipxe", "amd64", (f"{IPXE}/ipxe-riscv64.efi",)),
    Loader("uefi-loong64/ipxe.efi", "ipxe", "amd64", (f"{IPXE}/ipxe-loong64.efi",)),
    # The signed chain: shim, its key manager, and the GRUB that speaks TFTP and HTTP.
    Loader(
        "uefi-x64/shimx64.efi",
        "shim-signed",
        "amd64",
        (f"{SHIM}/shimx64.efi.signed", f"{SHIM}/shimx64.efi.signed.latest"),
    ),
    Loader(
        "uefi-x64/mmx64.efi", "shim-helpers-amd64-signed", "amd64", (f"{SHIM}/mmx64.efi.signed",)
    ),
    Loader(
        "uefi-x64/grubx64.efi",
        "grub-efi-amd64-signed",
        "amd64",
        (f"{GRUB}/x86_64-efi-signed/grubnetx64.efi.signed",),
    ),
    Loader(
        "uefi-arm64/shimaa64.efi",
        "shim-signed",
        "arm64",
        (f"{SHIM}/shimaa64.efi.signed", f"{SHIM}/shimaa64.efi.signed.latest"),
    ),
    Loader(
        "uefi-arm64/mmaa64.efi",
        "shim-helpers-arm64-signed",
        "arm64",
        (f"{SHIM}/mmaa64.efi.signed",),
    ),
    Loader(
        "uefi-arm64/grubaa64.efi",
        "grub-efi-arm64-signed",
        "arm64",
        (f"{GRUB}/arm64-efi-signed/grubnetaa64.efi.signed",),
    ),
    # 32-bit UEFI has no iPXE and no signed chain in Debian: GRUB as one file, unsigned.
    Loader(
        "uefi-ia32/grubia32.efi",
        "grub-efi-ia32-unsigned",
        "amd64",
        (f"{GRUB}/i386-efi/monolithic/grubnetia32.efi",),
    ),
    # Nor has 32-bit ARM; RISC-V and LoongArch have iPXE, and LoongArch no Debian release.
    Loader(
        "uefi-arm32/grubarm.efi",
        "grub-efi-arm-unsigned",
        "armhf",
        (f"{GRUB}/arm-efi/monolithic/grubnetarm.efi", f"{GRUB}/arm-efi/monolithic/grubarm.efi"),
    ),
    Loader(
        "uefi-riscv64/grubriscv64.efi",
        "grub-efi-riscv64-unsigned",
        "riscv64",
        (
            f"{GRUB}/riscv64-efi/monolithic/grubnetriscv64.efi",
            f"{GRUB}/riscv64-efi/monolithic/grubriscv64.efi",
        ),
    ),
    # pxelinux and syslinux; modules of one firmware do not load in another.
    Loader("bios/pxelinux.0", "pxelinux", "amd64", ("usr/lib/PXELINUX/pxelinux.0",)),
    Loader("bios/lpxelinux.0", "pxelinux", "amd64", ("usr/lib/PXELINUX/lpxelinux.0",)),
    Loader("bios/memdisk", "syslinux-common", "amd64", (f"{SYSLINUX}/memdisk",)),
    Loader("bios/", "syslinux-common", "amd64", (f"{SYSLINUX}/modules/bios/*.c32",)),
    Loader(
        "uefi-x64/syslinux.efi",
        "syslinux-efi",
        "amd64",
        ("usr/lib/SYSLINUX.EFI/efi64/syslinux.efi",),
    ),
    Loader(
        "uefi-x64/ldlinux.e64",
        "syslinux-common",
        "amd64",
        (f"{SYSLINUX}/modules/efi64/ldlinux.e64",),
    ),
    Loader("uefi-x64/", "syslinux-common", "amd64", (f"{SYSLINUX}/modules/efi64/*.c32",)),
    Loader(
        "uefi-ia32/syslinux.efi",
        "syslinux-efi",
        "amd64",
        ("usr/lib/SYSLINUX.EFI/efi32/syslinux.efi",),
    ),
    Loader(
        "uefi-ia32/ldlinux.e32",
        "syslinux-common",
        "amd64",
        (f"{SYSLINUX}/modules/efi32/ldlinux.e32",),
    ),
    Loader("uefi-ia32/", "syslinux-common", "amd64", (f"{SYSLINUX}/modules/efi32/*.c32",)),
)

# Package lists that are asked for once: what few machines need holds no set-up back.
RARE = ("armhf", "riscv64")

# A changed layout makes what was unpacked by an older one out of date.
RECIPE = hashlib.sha256(repr(LAYOUT).encode()).hexdigest()


def packages(architecture: str) -> list[str]:
    """The packages that the layout takes from the lists of `architecture`."""
    return sorted({each.package for each in LAYOUT if each.architecture == architecture})


def lay(unpacked: Path, dest: Path, suite: str, incomplete: list[str]) -> None:
    """Copy the loaders out of the unpacked packages and write where each came from."""
    files: dict[str, dict[str, str | int]] = {}
    for loader in LAYOUT:
        package = unpacked / f"{loader.package}.{loader.architecture}"
        found = next((hits for source in loader.sources if (hits := [*package.glob(source)])), [])
        if not found:
            if suite == DEBIAN and loader.architecture not in (*incomplete, *RARE):
                sys.exit(f"loaders: {loader.package} has no {loader.sources[0]}")
            if package.exists() or loader.architecture not in RARE:
                print(f"loaders: {suite} has no {loader.destination}")
            continue
        version = package.with_name(package.name + ".version").read_text().strip()
        for source in sorted(found):
            name = loader.destination
            name += source.name if name.endswith("/") else ""
            target = dest / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            files[name] = {
                "package": loader.package,
                "version": version,
                "suite": suite,
                "architecture": loader.architecture,
                "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
                "size": target.stat().st_size,
            }
    if not files:
        sys.exit("loaders: no package could be had")
    manifest = {
        "schema": 1,
        "suite": suite,
        "recipe": RECIPE,
        "incomplete": incomplete,
        "files": dict(sorted(files.items())),
    }
    (dest / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n")


def check(dest: Path, suite: str) -> str:
    """Say whether the loaders in `dest` are those of this layout, unharmed."""
    try:
        manifest: dict[str, Any] = json.loads((dest / "MANIFEST.json").read_bytes())
        if manifest["recipe"] != RECIPE or suite not in {"", manifest["suite"]}:
            return "absent"
        for name, origin in manifest["files"].items():
            if hashlib.sha256((dest / name).read_bytes()).hexdigest() != origin["sha256"]:
                return "absent"
    except (OSError, ValueError, KeyError):
        return "absent"
    return "incomplete" if manifest["incomplete"] else "complete"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["packages", architecture]:
            print(*packages(architecture), sep="\n")
        case ["rare"]:
            print(*RARE, sep="\n")
        case ["lay", unpacked, dest, suite, *incomplete]:
            lay(Path(unpacked), Path(dest), suite, incomplete)
        case ["check", dest, *suite]:
            print(check(Path(dest), "".join(suite)))
        case _:
            sys.exit(__doc__)
