"""Ethernet addresses: any spelling in, one spelling out."""

import re
from typing import Self

_SEPARATORS = re.compile(r"[:.\-\s]")
_HEX12 = re.compile(r"[0-9a-fA-F]{12}")


class MACAddress(str):
    """A MAC address as lower-case ``52:54:00:12:34:56``; equal to that text, so it is its JSON."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``52:54:00:12:34:56``, ``52-54-…``, ``5254.0012.3456`` or ``525400123456``.

        Raises ValueError for anything that has not six bytes.
        """
        digits = _SEPARATORS.sub("", text)
        if not _HEX12.fullmatch(digits):
            raise ValueError(f"{text!r} is not a MAC address; write it as 52:54:00:12:34:56")
        return cls.from_bytes(bytes.fromhex(digits))

    @classmethod
    def from_bytes(cls, octets: bytes) -> Self:
        """Make an address from six bytes as they are on the wire."""
        if len(octets) != 6:
            raise ValueError(f"a MAC address has 6 bytes, not {len(octets)}")
        return cls(octets.hex(":"))

    @property
    def octets(self) -> bytes:
        """The six bytes as they are on the wire."""
        return bytes.fromhex(self.replace(":", ""))

    @property
    def dashed(self) -> str:
        """``52-54-00-12-34-56``, the spelling in pxelinux and GRUB file names."""
        return self.replace(":", "-")


PROBE_MAC = MACAddress("02:00:00:00:00:00")
"""Health and doctor probes; they leave no events, counts or machines."""
