"""Whole menus for a library with an image of every loader kind, as they were looked over.

`python -m tests.boot.test_golden_menus` writes them anew.
"""

import subprocess
from pathlib import Path

import pytest

from bootyard.boot.menus.server import Server
from bootyard.model.architecture import Firmware
from tests.boot.every_loader import CATALOG, OFFLINE, Language, library, rendered

GOLDEN = Path(__file__).with_name("golden")

MENUS: tuple[tuple[str, Language, Server, Firmware | None], ...] = (
    ("bios.ipxe", "ipxe", CATALOG, Firmware.BIOS),
    ("uefi-x64.ipxe", "ipxe", CATALOG, Firmware.UEFI_X64),
    ("unknown.ipxe", "ipxe", CATALOG, None),
    ("bios-offline.ipxe", "ipxe", OFFLINE, Firmware.BIOS),
    ("uefi-x64.grub.cfg", "grub", CATALOG, Firmware.UEFI_X64),
    ("uefi-x64-offline.grub.cfg", "grub", OFFLINE, Firmware.UEFI_X64),
    ("bios.pxelinux.cfg", "pxelinux", CATALOG, Firmware.BIOS),
    ("bios-offline.pxelinux.cfg", "pxelinux", OFFLINE, Firmware.BIOS),
    ("uefi-x64-offline.pxelinux.cfg", "pxelinux", OFFLINE, Firmware.UEFI_X64),
    ("unknown-offline.pxelinux.cfg", "pxelinux", OFFLINE, None),
)


@pytest.mark.parametrize(("name", "language", "server", "firmware"), MENUS)
def test_menus(name: str, language: Language, server: Server, firmware: Firmware | None) -> None:
    text = rendered(language, library(), server, firmware)
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_there_is_no_golden_file_that_nothing_is_compared_with() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == {name for name, *_ in MENUS}


@pytest.mark.needs("grub-script-check")
@pytest.mark.parametrize("name", [name for name, language, *_ in MENUS if language == "grub"])
def test_grub_itself_understands_its_menus(name: str) -> None:
    checked = subprocess.run(
        ["grub-script-check", str(GOLDEN / name)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


if __name__ == "__main__":
    for name, language, server, firmware in MENUS:
        (GOLDEN / name).write_text(rendered(language, library(), server, firmware))
