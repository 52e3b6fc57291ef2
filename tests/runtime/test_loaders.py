"""Loaders on disk: the user's win, and what lies in a wrong place is named."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bootyard.model.loaders import LOADER_FILES, SIGNED_IPXE_FILES, LoaderName
from bootyard.model.snapshot import Root
from bootyard.runtime.loaders import LoaderFolders, misplaced_loaders, scan_loaders


def _put(directory: Path, *names: str, data: bytes = b"loader") -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_the_users_loader_wins(tmp_path: Path) -> None:
    packaged, user = tmp_path / "packaged", tmp_path / "user"
    _put(packaged, "uefi-x64/snponly.efi", "bios/undionly.kpxe", "MANIFEST.json")
    _put(user, "uefi-x64/snponly.efi", data=b"my own loader")
    _put(user, "uefi-x64/.hidden", ".hidden/x.efi")
    (user / "uefi-x64/folder").mkdir()
    loaders = scan_loaders(packaged, user)
    assert {name: (s.root, s.size) for name, s in loaders.items()} == {
        "bios/undionly.kpxe": (Root.PACKAGED, 6),
        "uefi-x64/snponly.efi": (Root.LOADERS, 13),
    }


def test_no_folders_no_loaders(tmp_path: Path) -> None:
    assert scan_loaders(tmp_path / "a", tmp_path / "b") == {}
    assert list(misplaced_loaders(tmp_path / "b")) == []


def test_a_link_that_leads_nowhere_is_no_loader(tmp_path: Path) -> None:
    (tmp_path / "uefi-x64").mkdir()
    (tmp_path / "uefi-x64/snponly.efi").symlink_to("gone")
    assert scan_loaders(tmp_path / "none", tmp_path) == {}


@pytest.mark.parametrize(("shim", "stage"), SIGNED_IPXE_FILES.items())
def test_a_signed_ipxe_needs_what_its_shim_starts(tmp_path: Path, shim: str, stage: str) -> None:
    packaged, user = tmp_path / "packaged", tmp_path / "user"
    _put(packaged, f"uefi-x64/{stage}")
    _put(user, f"uefi-x64/{shim}")
    assert f"uefi-x64/{shim}" not in scan_loaders(packaged, user)
    ((path, cure),) = misplaced_loaders(user)
    assert path == f"uefi-x64/{shim}"
    assert f"the signed {stage}" in cure
    _put(user, f"uefi-x64/{stage}", data=b"signed")
    assert f"uefi-x64/{shim}" in scan_loaders(packaged, user)
    assert list(misplaced_loaders(user)) == []


def test_a_shim_of_ipxes_goes_before_the_packaged_one() -> None:
    for loaders in LOADER_FILES.values():
        files = loaders.get(LoaderName.SHIM, ())
        assert [file in SIGNED_IPXE_FILES for file in files[:-1]] == [True] * (len(files) - 1)
        assert all(file not in SIGNED_IPXE_FILES for file in files[-1:])


@pytest.mark.parametrize(
    ("name", "path", "cure"),
    [
        ("undionly.kpxe", "undionly.kpxe", "such as bios/undionly.kpxe"),
        ("snponly.efi", "snponly.efi", "such as uefi-x64/snponly.efi"),
        ("grubaa64.efi", "grubaa64.efi", "such as uefi-arm64/grubaa64.efi"),
        ("own.efi", "own.efi", "such as uefi-x64/own.efi"),
        ("http-x64/snponly.efi", "http-x64/", "rename it to uefi-x64"),
        ("x86_64-sb/ipxe.efi", "x86_64-sb/", "give it the name of a firmware"),
        ("uefi-x64/sb/ipxe.efi", "uefi-x64/sb/", "move the files in it to uefi-x64/ itself"),
        ("uefi-x64/SNPONLY.EFI", "uefi-x64/SNPONLY.EFI", "rename it to snponly.efi"),
    ],
)
def test_a_wrong_place_is_named_with_the_cure(
    tmp_path: Path, name: str, path: str, cure: str
) -> None:
    _put(tmp_path, name)
    ((found, said),) = misplaced_loaders(tmp_path)
    assert found == path
    assert cure in said


def test_what_belongs_there_is_not_named(tmp_path: Path) -> None:
    _put(tmp_path, ".gitkeep", "README.md", "uefi-x64/snponly.efi", "uefi-x64/own.efi")
    _put(tmp_path, "bios/vesamenu.c32", "uefi-x64/ipxe.efi.sig")
    assert list(misplaced_loaders(tmp_path)) == []


def test_the_warning_comes_once_and_again_when_it_comes_back(tmp_path: Path) -> None:
    folders = LoaderFolders(tmp_path / "packaged", tmp_path)
    _put(tmp_path, "snponly.efi", "ipxe.efi")
    with capture_logs() as logs:
        folders.scan()
        folders.scan()
        (tmp_path / "ipxe.efi").unlink()
        folders.scan()
        _put(tmp_path, "ipxe.efi")
        folders.scan()
    told = [Path(entry["path"]).name for entry in logs]
    assert told == ["ipxe.efi", "snponly.efi", "ipxe.efi"]
    assert all(entry["log_level"] == "warning" and entry["cure"] for entry in logs)
