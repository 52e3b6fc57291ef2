"""What names lead to is remembered as long as it is so."""

import time
from ipaddress import IPv4Address

import pytest

from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import BootTree, Found, NotFound
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import Root, Slice, builtin_snapshot
from bootyard.runtime.snapshots import SnapshotHolder
from services.tftp import lookups
from services.tftp.lookups import REMEMBERED, REMEMBERED_SECONDS, Lookups

HOST, OTHER_HOST = IPv4Address("192.0.2.10"), IPv4Address("192.0.2.11")
LOADER = "loaders/uefi-x64/test.efi"


def holder(path: str = "test.efi", *more: str) -> SnapshotHolder:
    return SnapshotHolder(builtin_snapshot(8080, loaders(path, *more)))


def loaders(path: str, *more: str) -> dict[str, Slice]:
    names = {"uefi-x64/test.efi": path, **{name: name for name in more}}
    return {
        name: Slice(root=Root.LOADERS, path=file, extents=((0, 1),)) for name, file in names.items()
    }


def facts(server: IPv4Address = HOST, firmware: Firmware | None = None) -> RequestFacts:
    client = IPv4Address("192.0.2.50")
    return RequestFacts(
        client_ip=client, server_address=server, transport="tftp", firmware=firmware
    )


def slice_path(found: Found | NotFound) -> str:
    assert isinstance(found, Found)
    assert isinstance(found.content, Slice)
    return found.content.path


def test_a_file_is_looked_up_once() -> None:
    desk = Lookups(holder())
    first = desk.resolve(LOADER, facts())
    assert desk.resolve(LOADER, facts(OTHER_HOST)) is first


def test_another_snapshot_counts_at_once() -> None:
    held = holder()
    desk = Lookups(held)
    assert slice_path(desk.resolve(LOADER, facts())) == "test.efi"
    held.adopt(BootTree(builtin_snapshot(8080, loaders("new.efi"))))
    assert slice_path(desk.resolve(LOADER, facts())) == "new.efi"


def test_what_an_older_snapshot_had_is_not_remembered_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = holder()
    desk = Lookups(held)
    held.adopt(BootTree(builtin_snapshot(8080, {})))
    assert slice_path(desk.resolve(LOADER, facts())) == "test.efi"
    held._previous.clear()
    assert slice_path(desk.resolve(LOADER, facts())) == "test.efi"
    now = time.monotonic()
    monkeypatch.setattr(lookups, "monotonic", lambda: now + REMEMBERED_SECONDS + 1)
    assert isinstance(desk.resolve(LOADER, facts()), NotFound)


def test_scripts_name_the_address_that_was_asked() -> None:
    desk = Lookups(holder())
    scripts = [desk.resolve("autoexec.ipxe", facts(server)) for server in (HOST, OTHER_HOST)]
    assert scripts[0] != scripts[1]


def test_a_bare_module_is_of_the_machines_own_firmware() -> None:
    desk = Lookups(holder("test.efi", "bios/menu.c32", "uefi-x64/menu.c32"))
    found = [
        desk.resolve("menu.c32", facts(firmware=f)) for f in (Firmware.BIOS, Firmware.UEFI_X64)
    ]
    assert [slice_path(each) for each in found] == ["bios/menu.c32", "uefi-x64/menu.c32"]


def test_made_up_names_are_not_remembered() -> None:
    desk = Lookups(holder())
    for number in range(2 * REMEMBERED):
        desk.resolve(f"{number}", facts())
        desk.resolve(LOADER + "\udcff" * (number % 7), facts())
    assert len(desk._files) <= REMEMBERED
