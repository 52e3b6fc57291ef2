"""Where scripts and menus find us."""

from functools import lru_cache
from ipaddress import IPv4Address

import msgspec

REMEMBERED = 4096
"""Texts that are remembered as they go into scripts: those of a library are the same every time."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where scripts find us: the address that this machine used to reach us."""

    address: IPv4Address
    http_port: int
    catalog_answers: bool
    """False in what tftp renders: the menu for when the catalog is dead."""

    @property
    def catalog(self) -> str:
        """Base URL of the catalog."""
        return f"http://{_text(self.address)}:{self.http_port}"

    @property
    def tftp(self) -> str:
        """Base URL of the boot tree over TFTP."""
        return f"tftp://{_text(self.address)}"

    @property
    def tree(self) -> str:
        """Base URL of the boot tree."""
        return f"{self.catalog}/tree" if self.catalog_answers else self.tftp


@lru_cache(16)
def _text(address: IPv4Address) -> str:
    return str(address)
