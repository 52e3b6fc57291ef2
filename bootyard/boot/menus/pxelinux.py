"""Menus of pxelinux, syslinux.efi and U-Boot: `pxelinux.cfg/…`."""

from bootyard.boot.menus.server import Server
from bootyard.boot.plan import Plan
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import Snapshot


def render_plan(
    plan: Plan,
    server: Server,
    snapshot: Snapshot,
    kernel_args: str = "",
    firmware: Firmware | None = None,
) -> str:
    """Render a machine's menu. `firmware` tells whose modules it can name; None: not known."""
    raise NotImplementedError
