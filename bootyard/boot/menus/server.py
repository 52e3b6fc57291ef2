"""Where scripts and menus find us."""

from ipaddress import IPv4Address

import msgspec


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where scripts find us: the address that this machine used to reach us."""

    address: IPv4Address
    http_port: int
    catalog_answers: bool
    """False in what tftp renders: the menu for when the catalog is dead."""

    @property
    def catalog(self) -> str:
        """Base URL of the catalog."""
        return f"http://{self.address}:{self.http_port}"

    @property
    def tftp(self) -> str:
        """Base URL of the boot tree over TFTP."""
        return f"tftp://{self.address}"

    @property
    def tree(self) -> str:
        """Base URL of the boot tree."""
        return f"{self.catalog}/tree" if self.catalog_answers else self.tftp
