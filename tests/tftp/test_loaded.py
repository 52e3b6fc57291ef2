"""Whose loader an address fetched last."""

from ipaddress import IPv4Address

from bootyard.model.architecture import Firmware
from services.tftp.loaded import LoadedFirmware

FIRST, SECOND, THIRD = (IPv4Address(f"192.0.2.{number}") for number in (100, 101, 102))


def test_the_last_loader_counts() -> None:
    loaded = LoadedFirmware()
    assert loaded.of(FIRST) is None
    loaded.remember(FIRST, Firmware.BIOS)
    loaded.remember(FIRST, Firmware.UEFI_X64)
    assert (loaded.of(FIRST), loaded.of(SECOND)) == (Firmware.UEFI_X64, None)


def test_the_table_is_bounded_and_forgets_who_was_silent_for_longest() -> None:
    loaded = LoadedFirmware(limit=2)
    loaded.remember(FIRST, Firmware.BIOS)
    loaded.remember(SECOND, Firmware.BIOS)
    loaded.remember(FIRST, Firmware.BIOS)
    loaded.remember(THIRD, Firmware.BIOS)
    assert [loaded.of(address) for address in (FIRST, SECOND, THIRD)] == [
        Firmware.BIOS,
        None,
        Firmware.BIOS,
    ]
