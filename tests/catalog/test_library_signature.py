"""Who signed an EFI program: names out of certificates, whole and damaged."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.library.secureboot import Signed, examine
from services.catalog.library.signature import (
    MAX_TABLE,
    Signer,
    certificate_table,
    pe_machine,
    signers,
    vendors,
)
from tests.catalog.efi_programs import ARM64, IA32, X64, efi_program, signature, table


def _examine(program: bytes) -> Signed:
    return examine(lambda offset, length: program[offset : offset + length])


@pytest.mark.parametrize(
    ("subject", "issuer", "vendor"),
    [
        ("Debian Secure Boot Signer 2022 - linux", "Debian Secure Boot CA", "debian"),
        ("Canonical Ltd. Secure Boot Signing (2022 v1)", "Canonical Ltd. Master CA", "ubuntu"),
        ("Red Hat Secure Boot Signing 501", "Red Hat Secure Boot CA 5", "redhat"),
        ("kernel-signer", "Fedora Secure Boot CA 20200709", "fedora"),
        ("openSUSE Secure Boot Signkey", "openSUSE Secure Boot CA", "opensuse"),
        ("SUSE Linux Enterprise Secure Boot Signkey", "SUSE Linux CA", "suse"),
        ("Rocky Linux Secure Boot Signing 101", "Rocky Secure Boot Root CA", "rocky"),
        ("AlmaLinux Secure Boot Signing", "AlmaLinux Root CA", "almalinux"),
        ("Oracle CN Kernel Signing", "Oracle Root", "oracle"),
        ("CentOS Secure Boot Signing 201", "CentOS Secure Boot CA 2", "centos"),
        ("Microsoft Windows UEFI Driver Publisher", "Microsoft UEFI CA 2023", "microsoft"),
        # Nobody of the list: a slug of what it calls itself.
        ("Büro Müller & Co. Kernels", "Own Root", "b-ro-m-ller-co-kernels"),
        ("§", "§", ""),
    ],
)
def test_names_give_the_vendor(subject: str, issuer: str, vendor: str) -> None:
    (signer,) = signers(table(signature(subject, issuer)))
    assert signer.vendor == vendor


def test_the_organisation_counts_as_well() -> None:
    data = signature("Kernel Signer 1", "Root 1", organisation="Red Hat, Inc.")
    assert vendors(table(data)) == ("redhat",)


def test_a_certificate_that_is_left_out_is_known_by_its_issuer() -> None:
    data = signature("Signer", "Debian Secure Boot CA", with_certificate=False)
    assert signers(table(data)) == (Signer((), ("Debian Secure Boot CA",)),)
    assert vendors(table(data)) == ("debian",)


def test_the_own_name_goes_before_the_issuers() -> None:
    assert vendors(table(signature("SUSE Signer", "Microsoft UEFI CA 2023"))) == ("suse",)


def test_several_signatures_are_all_read() -> None:
    both = table(signature("Microsoft Signer"), b"no pkcs #7 at all", signature("Debian Signer"))
    assert vendors(both) == ("microsoft", "debian")
    assert Signed(vendors=vendors(both)).vendor == "debian"


@pytest.mark.parametrize("machine", [X64, ARM64, IA32])
def test_the_table_is_found_for_every_processor(machine: int) -> None:
    program = efi_program(machine, signature("Debian Signer"), body=b"code" * 5000)
    assert _examine(program) == Signed(machine=machine, vendors=("debian",))


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"MZ", id="two-bytes"),
        pytest.param(b"MZ" + bytes(0x3E), id="no-pe"),
        pytest.param(b"MZ" + bytes(0x3A) + b"\xff\xff\xff\xff", id="pe-far-away"),
        pytest.param(b"\x7fELF" + bytes(5000), id="elf"),
        pytest.param(bytes(5000), id="zeros"),
    ],
)
def test_what_is_no_efi_program(program: bytes) -> None:
    assert _examine(program) == Signed()


def test_an_unsigned_program_has_no_table() -> None:
    program = efi_program(X64)
    assert certificate_table(program) is None
    assert _examine(program) == Signed(machine=X64)


def test_a_header_that_ends_early_or_lies() -> None:
    program = efi_program(X64, signature("Debian Signer"))
    for end in range(0x200):
        certificate_table(program[:end])
        pe_machine(program[:end])
    without_directories = bytearray(program)
    struct.pack_into("<I", without_directories, 0x98 + 108, 4)
    assert certificate_table(bytes(without_directories)) is None
    far = bytearray(program)
    struct.pack_into("<II", far, 0x98 + 112 + 32, 0x7FFFFFFF, 0x7FFFFFFF)
    assert certificate_table(bytes(far)) == (0x7FFFFFFF, MAX_TABLE)
    assert _examine(bytes(far)) == Signed(machine=X64)


def test_a_table_that_is_cut_off_names_nobody() -> None:
    whole = table(signature("Debian Signer"))
    assert vendors(whole) == ("debian",)
    for end in range(len(whole) - 8):
        assert vendors(whole[:end]) == ()


def test_damage_is_left_out() -> None:
    good = table(signature("Debian Signer"))
    for position in range(8, len(good), 3):
        damaged = bytearray(good)
        damaged[position] ^= 0xFF
        vendors(bytes(damaged))


@given(st.binary(max_size=300))
def test_any_bytes_are_harmless(data: bytes) -> None:
    vendors(data)
    vendors(struct.pack("<IHH", 8 + len(data), 0x0200, 2) + data)
    certificate_table(b"MZ" + bytes(0x3A) + b"\x40\0\0\0PE\0\0" + data)
