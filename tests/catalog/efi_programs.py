"""EFI programs for tests: a PE header, and certificates with the names of whoever "signed" it.

Nobody's key is in them: what reads them reads names only.
"""

import struct
from datetime import UTC, datetime

from asn1crypto import algos, cms, core, keys, x509

X64, ARM64, IA32 = 0x8664, 0xAA64, 0x014C
HEADER = 0x200


def certificate(subject: str, issuer: str, serial: int = 7, organisation: str = "") -> object:
    """Make a certificate; its key and its signature are bytes without a meaning."""
    names = {"common_name": subject} | ({"organization_name": organisation} if organisation else {})
    algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa"})
    key = keys.RSAPublicKey({"modulus": 65537, "public_exponent": 3})
    body = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": serial,
            "signature": algorithm,
            "issuer": x509.Name.build({"common_name": issuer}),
            "validity": {
                "not_before": x509.Time({"utc_time": datetime(2022, 1, 1, tzinfo=UTC)}),
                "not_after": x509.Time({"utc_time": datetime(2042, 1, 1, tzinfo=UTC)}),
            },
            "subject": x509.Name.build(names),
            "subject_public_key_info": keys.PublicKeyInfo(
                {"algorithm": {"algorithm": "rsa"}, "public_key": key}
            ),
        }
    )
    return x509.Certificate(
        {
            "tbs_certificate": body,
            "signature_algorithm": algorithm,
            "signature_value": b"not a signature",
        }
    )


def signature(
    subject: str,
    issuer: str = "Example CA",
    *,
    organisation: str = "",
    with_certificate: bool = True,
) -> bytes:
    """Make the PKCS #7 of one signer."""
    own = certificate(subject, issuer, organisation=organisation)
    other = certificate("Another Intermediate CA", "Another Root", serial=8)
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {
                    "issuer_and_serial_number": {
                        "issuer": x509.Name.build({"common_name": issuer}),
                        "serial_number": 7,
                    }
                }
            ),
            "digest_algorithm": {"algorithm": "sha256"},
            "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"},
            "signature": b"not a signature",
        }
    )
    signed = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {
                "content_type": "1.3.6.1.4.1.311.2.1.4",  # SPC_INDIRECT_DATA of Authenticode
                "content": core.OctetString(b"digest"),
            },
            "certificates": [other, own] if with_certificate else [other],
            "signer_infos": [signer],
        }
    )
    dumped: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()
    return dumped


def table(*signatures: bytes) -> bytes:
    """Put signatures into a table of certificates (PE/COFF §5.7)."""
    out = b""
    for data in signatures:
        entry = struct.pack("<IHH", 8 + len(data), 0x0200, 2) + data
        out += entry.ljust((len(entry) + 7) & ~7, b"\0")
    return out


def efi_program(machine: int = X64, *signatures: bytes, body: bytes = b"") -> bytes:
    """Make a PE32+ file (PE32 for IA32): a header, `body`, and the table of signatures."""
    header = bytearray(HEADER)
    header[:2] = b"MZ"
    struct.pack_into("<I", header, 0x3C, 0x80)
    header[0x80:0x84] = b"PE\0\0"
    struct.pack_into("<H", header, 0x84, machine)
    magic, directories = (0x10B, 96) if machine == IA32 else (0x20B, 112)
    start = 0x98
    struct.pack_into("<H", header, start, magic)
    struct.pack_into("<I", header, start + directories - 4, 16)
    body = body.ljust((len(body) + 7) & ~7, b"\0")
    certificates = table(*signatures)
    if certificates:
        entry = start + directories + 4 * 8
        struct.pack_into("<II", header, entry, HEADER + len(body), len(certificates))
    return bytes(header) + body + certificates


SHIM = efi_program(X64, signature("Windows UEFI Driver Publisher", "Microsoft UEFI CA 2023"))


def grub_of(vendor: str, machine: int = X64) -> bytes:
    """Make a GRUB that a vendor signed."""
    return efi_program(machine, signature(f"{vendor} Secure Boot Signer", f"{vendor} CA"))


def kernel_of(vendor: str, machine: int = X64) -> bytes:
    """Make a kernel with an EFI stub that a vendor signed."""
    return efi_program(machine, signature(f"{vendor} Secure Boot Signer", f"{vendor} CA"))
