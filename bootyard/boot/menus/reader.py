"""Who reads a script, and what is known of them."""

import msgspec

from bootyard.boot.menus.server import Server
from bootyard.boot.vendor import PACKAGED_VENDOR
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import Snapshot


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """A machine's boot loader, which a script is rendered for."""

    server: Server
    snapshot: Snapshot
    kernel_args: str = ""
    """What its operator adds to every kernel's command line."""
    firmware: Firmware | None = None
    """None: not known."""
    vendor: str = PACKAGED_VENDOR
    """Whose GRUB it is."""
