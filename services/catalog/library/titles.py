"""What an image is called, and of which family and version it is, by its name. Pure."""

import re

import msgspec

from bootyard.model.snapshot import TargetKind

_FAMILIES = {
    "debian": "Debian",
    "ubuntu": "Ubuntu",
    "kubuntu": "Kubuntu",
    "xubuntu": "Xubuntu",
    "lubuntu": "Lubuntu",
    "linuxmint": "Linux Mint",
    "devuan": "Devuan",
    "kali": "Kali",
    "fedora": "Fedora",
    "rocky": "Rocky Linux",
    "almalinux": "AlmaLinux",
    "centos": "CentOS",
    "rhel": "RHEL",
    "opensuse": "openSUSE",
    "sles": "SLES",
    "arch": "Arch Linux",
    "archlinux": "Arch Linux",
    "alpine": "Alpine",
    "nixos": "NixOS",
    "proxmox": "Proxmox",
    "flatcar": "Flatcar",
    "talos": "Talos",
    "gparted": "GParted",
    "clonezilla": "Clonezilla",
    "memtest86plus": "Memtest86+",
    "memtest86": "Memtest86",
}
_SAME_FAMILY = {"archlinux": "arch", "kubuntu": "ubuntu", "xubuntu": "ubuntu", "lubuntu": "ubuntu"}
_DEBIAN_RELEASES = {
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "forky": "14",
}
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)")
_VERSION_INFO = re.compile(r"^Debian version:\s*([\w.]+)", re.MULTILINE)
_WORDS = re.compile(r"[\s_-]+")


class Naming(msgspec.Struct, frozen=True):
    """What a name says; `title` is complete only for a known family."""

    title: str
    family: str = "unknown"
    version: str = ""


def naming_of(name: str) -> Naming:
    """Read the name of a folder, or of a file without its extension."""
    parts = [part for part in _WORDS.split(name) if part]
    family = next((part.lower() for part in parts if part.lower() in _FAMILIES), None)
    if family is None:
        return Naming(title=" ".join(name.split()) or "image")
    rest = parts[:]
    rest.pop([part.lower() for part in parts].index(family))
    version = next((m[1] for part in rest if (m := _VERSION.fullmatch(part))), "")
    if family == "debian" and not version:
        version = next((_DEBIAN_RELEASES.get(part.lower(), "") for part in rest), "")
    return Naming(
        title=" ".join([_FAMILIES[family], *rest]),
        family=_SAME_FAMILY.get(family, family),
        version=version,
    )


def naming_of_version_info(text: str) -> Naming | None:
    """Read the `version.info` that lies in Debian's netboot tarball."""
    found = _VERSION_INFO.search(text)
    if found is None:
        return None
    return Naming(title=f"Debian {found[1]}", family="debian", version=found[1])


def with_kind(naming: Naming, kind: TargetKind) -> str:
    """Complete a title that was made up, by what the image does."""
    if naming.family == "unknown" or "install" in naming.title.lower():
        return naming.title
    suffix = {
        TargetKind.INSTALLER: " installer",
        TargetKind.UNATTENDED: " unattended installer",
    }
    return naming.title + suffix.get(kind, "")
