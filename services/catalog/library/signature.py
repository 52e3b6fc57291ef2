"""Who signed an EFI program, by the names in the certificates that it carries. Pure.

PE/COFF §5.7 (the attribute certificate table); an entry of it is PKCS #7 SignedData (RFC 2315 §9).
Nothing is verified: firmware and shim do that. The names say which chain of loaders will like a
kernel, and a wrong one costs a boot that ends with a message.
"""

import re
import struct
from collections.abc import Iterator

import msgspec
from asn1crypto import cms, x509

MAX_TABLE = 64 * 1024
"""Bytes that are read of a table; two signatures with their certificates take 20 KiB."""
MAX_SIGNATURES = 8
MAX_CERTIFICATES = 16

MICROSOFT = "microsoft"

_SECURITY_DIRECTORY = 4
_PKCS_SIGNED_DATA = 2
"""WIN_CERT_TYPE_PKCS_SIGNED_DATA."""

_OPTIONAL_HEADER = {0x10B: 96, 0x20B: 112}
"""PE32 and PE32+: where the data directories start in the optional header."""

_VENDORS = (
    ("debian", ("debian",)),
    ("ubuntu", ("canonical", "ubuntu")),
    ("fedora", ("fedora",)),
    ("centos", ("centos",)),
    ("rocky", ("rocky",)),
    ("almalinux", ("almalinux",)),
    ("oracle", ("oracle",)),
    ("redhat", ("red hat", "redhat")),
    ("opensuse", ("opensuse",)),
    ("suse", ("suse",)),
    ("arch", ("arch linux", "archlinux")),
    ("proxmox", ("proxmox",)),
    ("vmware", ("vmware",)),
    (MICROSOFT, (MICROSOFT,)),
)
"""Slugs, by words in signers' names; a name that holds two of them is of the first."""

_MALFORMED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
)
"""What asn1crypto raises for bytes that are something else."""


class Signer(msgspec.Struct, frozen=True):
    """Names of one signature's certificate, or of its issuer when it is not there."""

    subject: tuple[str, ...]
    issuer: tuple[str, ...]

    @property
    def vendor(self) -> str:
        """A slug: of the list above, or made of the name; empty when it has no letter."""
        for names in (self.subject, self.issuer):
            text = " ".join(names).casefold()
            for slug, words in _VENDORS:
                if any(word in text for word in words):
                    return slug
        own = next(iter((*self.subject, *self.issuer)), "")
        return re.sub(r"[^a-z0-9]+", "-", own.casefold()).strip("-")[:40].rstrip("-")


def certificate_table(header: bytes) -> tuple[int, int] | None:
    """Find the table of signatures of a PE file by its first bytes: offset and length in the file.

    None for what is not signed or no PE file. The length is at most MAX_TABLE; whether the file
    has that many bytes is not known here.
    """
    start = _optional_header(header)
    if start is None:
        return None
    offset = _OPTIONAL_HEADER.get(_u16(header, start), 0)
    if not offset or _u32(header, start + offset - 4) <= _SECURITY_DIRECTORY:
        return None
    entry = start + offset + _SECURITY_DIRECTORY * 8
    if entry + 8 > len(header):
        return None
    where, size = _u32(header, entry), _u32(header, entry + 4)
    return (where, min(size, MAX_TABLE)) if where and size > 8 else None


def pe_machine(header: bytes) -> int | None:
    """Give the machine type of a PE file (PE/COFF §3.3.1); None for other files."""
    start = _optional_header(header)
    return None if start is None else _u16(header, start - 20)


def signers(table: bytes) -> tuple[Signer, ...]:
    """Read who signed, from a table of signatures; what cannot be read is left out."""
    found: list[Signer] = []
    for data in _signatures(table[:MAX_TABLE]):
        try:
            found.extend(_signers_of(data))
        except _MALFORMED:
            continue
    return tuple(found)


def vendors(table: bytes) -> tuple[str, ...]:
    """Name the vendors of a table's signatures, each once."""
    return tuple(dict.fromkeys(signer.vendor for signer in signers(table) if signer.vendor))


def _signatures(table: bytes) -> Iterator[bytes]:
    """Split a table into its PKCS #7 entries, which start at multiples of eight bytes."""
    position = 0
    for _ in range(MAX_SIGNATURES):
        if position + 8 > len(table):
            return
        length, _revision, kind = struct.unpack_from("<IHH", table, position)
        if length <= 8 or position + length > len(table):
            return
        if kind == _PKCS_SIGNED_DATA:
            yield table[position + 8 : position + length]
        position += (length + 7) & ~7


def _signers_of(data: bytes) -> list[Signer]:
    content = cms.ContentInfo.load(data)
    if content["content_type"].native != "signed_data":
        return []
    signed = content["content"]
    certificates = [
        choice.chosen
        for choice, _ in zip(signed["certificates"] or (), range(MAX_CERTIFICATES), strict=False)
        if choice.name == "certificate"
    ]
    found = []
    for info, _ in zip(signed["signer_infos"], range(MAX_SIGNATURES), strict=False):
        by = info["sid"].chosen
        issuer, serial = by["issuer"], by["serial_number"].native
        own = next(
            (c for c in certificates if c.serial_number == serial and c.issuer == issuer), None
        )
        found.append(Signer(() if own is None else _names(own.subject), _names(issuer)))
    return found


def _names(name: x509.Name) -> tuple[str, ...]:
    """Organisation and common name: between them they name every vendor seen."""
    values: dict[str, object] = name.native
    picked: list[str] = []
    for key in ("organization_name", "common_name"):
        value = values.get(key)
        picked.extend(str(each) for each in (value if isinstance(value, list) else [value]) if each)
    return tuple(picked)


def _optional_header(header: bytes) -> int | None:
    if header[:2] != b"MZ" or len(header) < 0x40:
        return None
    start = _u32(header, 0x3C)
    if header[start : start + 4] != b"PE\0\0" or start + 26 > len(header):
        return None
    return start + 24


def _u16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "little")


def _u32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")
