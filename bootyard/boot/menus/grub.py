"""GRUB configurations: the first script, menus, and how a target is started."""

from bootyard.boot.menus.server import Server
from bootyard.boot.plan import Plan
from bootyard.model.snapshot import Snapshot


def render_first_script(server: Server, snapshot: Snapshot) -> str:
    """Render what every GRUB gets first, over TFTP: ask the catalog, else the menu kept here."""
    raise NotImplementedError


def render_plan(plan: Plan, server: Server, snapshot: Snapshot, kernel_args: str = "") -> str:
    """Render a machine's menu, or its boot-once."""
    raise NotImplementedError


def render_local_disk(snapshot: Snapshot) -> str:
    """Render the configuration of a machine that chose, or was given, its local disk."""
    raise NotImplementedError
