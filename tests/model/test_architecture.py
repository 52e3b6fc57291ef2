import pytest

from bootyard.model.architecture import PROCESSOR_OF, ClientArchitecture, Firmware, firmware_of


@pytest.mark.parametrize(
    ("number", "firmware"),
    [
        (0x00, Firmware.BIOS),
        (0x06, Firmware.UEFI_IA32),
        (0x07, Firmware.UEFI_X64),
        (0x09, Firmware.UEFI_X64),
        (0x0A, Firmware.UEFI_ARM32),
        (0x0B, Firmware.UEFI_ARM64),
        (0x10, Firmware.HTTP_X64),
        (0x13, Firmware.HTTP_ARM64),
        (0x16, Firmware.UBOOT),
        (0x1B, Firmware.UEFI_RISCV64),
        (0x27, Firmware.UEFI_LOONG64),
        (0x02, Firmware.OTHER),
        (0x1234, Firmware.OTHER),
    ],
)
def test_firmware_by_the_number_on_the_wire(number: int, firmware: Firmware) -> None:
    assert firmware_of(ClientArchitecture(number)) is firmware


def test_an_architecture_registered_after_us_keeps_its_number() -> None:
    later = ClientArchitecture(0x2B)
    assert later == 0x2B
    assert later.name == "ARCHITECTURE_43"
    with pytest.raises(ValueError, match="70000"):
        ClientArchitecture(70000)


def test_every_firmware_that_loads_programs_has_a_processor() -> None:
    without = set(Firmware) - set(PROCESSOR_OF)
    assert without == {Firmware.PI, Firmware.UBOOT, Firmware.OTHER}
