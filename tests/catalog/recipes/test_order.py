"""Images that look like two kinds at once."""

import pytest

from bootyard.model.errors import ImageRejected
from tests.catalog.images import KERNEL
from tests.catalog.recipes.miniatures import MINIATURES, TREEINFO
from tests.catalog.recipes.trees import MIB, MemoryTree, initrd, recognise

_LIVE_OS: dict[str, bytes | int] = {
    "LiveOS/squashfs.img": 900 * MIB,
    "boot/x86_64/loader/linux": KERNEL,
    "boot/x86_64/loader/initrd": initrd("usr/lib/dracut/hooks/a", "usr/sbin/livenetroot"),
}


@pytest.mark.parametrize(
    ("volume_id", "recipe"),
    [
        ("Install-Leap-16.0-x86_64", "agama"),
        ("openSUSE-Leap-16.0-online", "agama"),
        ("Fedora-KDE-Live-43", "fedora-live"),
        ("SOMETHING", "dracut-live"),
        # Leap 15 is never Agama's.
        ("Leap-15.6", "dracut-live"),
    ],
)
def test_agama_and_fedora_both_have_live_os(volume_id: str, recipe: str) -> None:
    assert recognise(MemoryTree(_LIVE_OS, volume_id=volume_id)).recipe == recipe


def test_kalis_live_image_also_has_the_installer() -> None:
    assert {"install.amd/initrd.gz", "live/vmlinuz"} <= {*MINIATURES["kali-live"].paths()}
    assert recognise(MINIATURES["kali-live"]).recipe == "kali-live"


def test_debians_live_image_also_has_the_installer() -> None:
    files: dict[str, bytes | int] = {
        "live/vmlinuz": KERNEL,
        "live/initrd.img": MIB,
        "live/filesystem.squashfs": MIB,
        "install.amd/vmlinuz": KERNEL,
        "install.amd/initrd.gz": MIB,
        ".disk/info": b'Debian GNU/Linux 12.9.0 "Bookworm" - Official amd64 LIVE',
    }
    assert recognise(MemoryTree(files)).recipe == "debian-live"


def test_xcp_ng_also_has_a_treeinfo_and_a_pxeboot() -> None:
    assert {".treeinfo", "images/pxeboot/vmlinuz"} <= {*MINIATURES["xcp-ng"].paths()}
    assert recognise(MINIATURES["xcp-ng"]).recipe == "xcp-ng"


def test_mint_has_casper_and_is_no_server() -> None:
    found = recognise(MINIATURES["linuxmint"])
    assert (found.recipe, found.family, found.kind) == ("casper", "linuxmint", "live")


def test_an_installer_with_a_live_os_is_anacondas() -> None:
    files: dict[str, bytes | int] = {
        ".treeinfo": TREEINFO % (b"Fedora", b"42"),
        "images/pxeboot/vmlinuz": KERNEL,
        "images/pxeboot/initrd.img": MIB,
        "LiveOS/squashfs.img": MIB,
    }
    assert recognise(MemoryTree(files)).recipe == "anaconda"


def test_names_in_capitals_are_the_same_names() -> None:
    """ISO 9660 without Rock Ridge or Joliet has no other letters."""
    tree = MemoryTree(
        {
            "LIVE/VMLINUZ": KERNEL,
            "LIVE/INITRD.IMG": MIB,
            "LIVE/FILESYSTEM.SQUASHFS": MIB,
        }
    )
    found = recognise(tree)
    assert (found.recipe, found.targets[0].kernel) == ("debian-live", "LIVE/VMLINUZ")


def test_a_live_system_in_a_tarball_is_none_of_which_files_can_be_fetched() -> None:
    files: dict[str, bytes | int] = {
        "live/vmlinuz": KERNEL,
        "live/initrd.img": MIB,
        "live/filesystem.squashfs": MIB,
    }
    assert recognise(MemoryTree(files, container="folder")).recipe == "debian-live"
    with_own_files = recognise(MemoryTree(files, container="tarball"))
    assert with_own_files.status == "guess"


def test_what_takes_the_whole_image_is_for_discs_only() -> None:
    for name in ("ubuntu-server", "proxmox"):
        disc = MINIATURES[name]
        files = {path: disc._files[path] for path in disc.paths()}
        folder = MemoryTree(files, container="folder")
        try:
            found = recognise(folder)
        except ImageRejected:
            continue
        assert found.status == "guess"


class _Linked(MemoryTree):
    """A disc on which `live/vmlinuz` is a link to a file in another folder."""

    def glob(self, pattern: str) -> list[str]:
        found = super().glob(pattern)
        return ["boot/kernel-6.1" if path == "live/vmlinuz-6.1" else path for path in found]


def test_a_link_stands_for_what_it_leads_to() -> None:
    files: dict[str, bytes | int] = {
        "live/vmlinuz-6.1": KERNEL,
        "boot/kernel-6.1": KERNEL,
        "live/initrd.img": MIB,
        "live/filesystem.squashfs": MIB,
    }
    found = recognise(_Linked(files))
    assert (found.recipe, found.targets[0].kernel) == ("debian-live", "boot/kernel-6.1")


def test_a_live_system_whose_initrd_has_no_network_is_not_offered_as_one() -> None:
    files = {**_LIVE_OS, "boot/x86_64/loader/initrd": initrd("usr/lib/dracut/hooks/cmdline/a")}
    found = recognise(MemoryTree(files, volume_id="X", size=900 * MIB))
    assert (found.recipe, found.targets[0].loader) == ("whole-disc", "sanboot")
    assert "dracut without livenet" in found.evidence[0]
