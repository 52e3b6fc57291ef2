"""GRUB configurations: the first script, menus, and what goes round the start of a target.

For GRUB on UEFI, 2.06 and later. Text from operators and images enters a script only through
`quote`. GRUB's shell has no `&&`, and `source` runs what it gets whatever it is, an error page
too: the catalog is asked whether it lives before its answer is.

A script only defines what is to be done, and whoever read it does that once the file is closed.
GRUB numbers its TCP ports from 21550 at every start: a connection that is still open when another
program starts stands in the way of the machine's next boot (RFC 5961 §4.2; GRUB waits 16 s).
"""

from functools import partial

from bootyard.boot.menus.grub_disk import local_disk_function
from bootyard.boot.menus.grub_menu import (
    did_not_start_function,
    entries,
    entry_id,
    machine_entries,
    own_entries,
)
from bootyard.boot.menus.grub_start import (
    LOCKED,
    http,
    is_trusted,
    start_if_trusted,
    tftp,
    wait,
    why_not,
)
from bootyard.boot.menus.grub_words import indented, label, quote, say
from bootyard.boot.menus.reader import Reader
from bootyard.boot.menus.sections import sections_of
from bootyard.boot.menus.server import Server
from bootyard.boot.plan import BootNow, Plan, ShowMenu
from bootyard.boot.vendor import PACKAGED_VENDOR
from bootyard.model.snapshot import LOCAL_DISK, BootTarget, Snapshot

_QUERY = "mac=${net_default_mac}&platform=${grub_platform}&buildarch=${grub_cpu}"
_THEN = "bootyard_then"
"""The variable that names what a script wants done. Its end sets it: it was not cut off."""
_LATER = "bootyard_later"
"""The variable that says that whoever reads a script does what it wants."""


def render_first_script(server: Server, snapshot: Snapshot) -> str:
    """Render what every GRUB gets first, over TFTP: ask the catalog, else the menu kept here.

    `source` puts the answer's entries into this very menu; after `configfile` Esc would lead back
    here and start the next answer.
    """
    return _script(
        *local_disk_function(snapshot),
        f"set {_LATER}=y",
        f'if [ -s "{http(server)}/tree/.health" ]; then',
        f'  source "{http(server)}/tree/grub/grub.cfg?{_QUERY}"',
        "fi",
        f'if [ -z "${{{_THEN}}}" ]; then',
        f"  {say('Bootyard: the catalog does not answer, using the menu kept by tftp')}",
        f"  source '{tftp(server)}/grub/menu.cfg'",
        "fi",
        f'if [ -z "${{{_THEN}}}" ]; then',
        f"  set {_THEN}=bootyard_local_disk",
        "fi",
        f"${{{_THEN}}}",
    )


def render_plan(
    plan: Plan,
    server: Server,
    snapshot: Snapshot,
    kernel_args: str = "",
    vendor: str = PACKAGED_VENDOR,
) -> str:
    """Render a machine's menu, or its boot-once, for a GRUB of `vendor`.

    Under Secure Boot GRUB starts only kernels that its own vendor signed.
    """
    reader = Reader(
        server=server,
        snapshot=snapshot,
        kernel_args=kernel_args,
        firmware=plan.firmware,
        vendor=vendor,
    )
    match plan:
        case BootNow(target=target):
            return _script(
                *local_disk_function(snapshot),
                "function bootyard_boot_once {",
                *indented(
                    say(f"Bootyard: boot-once {label(target.title)}"),
                    *_boot_once(target, reader),
                    "bootyard_local_disk",
                ),
                "}",
                *_then("bootyard_boot_once"),
            )
        case ShowMenu():
            return _script(
                *local_disk_function(snapshot),
                *did_not_start_function(),
                *_menu(plan, reader),
                *_then("bootyard_announce"),
            )


def render_local_disk(snapshot: Snapshot) -> str:
    """Render the configuration of a machine that chose, or was given, its local disk."""
    return _script(*local_disk_function(snapshot), *_then("bootyard_local_disk"))


def _script(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _then(function: str) -> tuple[str, ...]:
    """End a script. After HTTP Boot nobody reads it but GRUB itself, which shows the menu."""
    return (
        f"set {_THEN}={function}",
        f'if [ -z "${{{_LATER}}}" ]; then',
        f"  {function}",
        "fi",
    )


def _boot_once(target: BootTarget, reader: Reader) -> tuple[str, ...]:
    reason = why_not(target, reader)
    if reason:
        return (say(f"Bootyard: {label(target.title)}: {reason}"), *wait("start the local disk"))
    return start_if_trusted(target, reader)


def _menu(plan: ShowMenu, reader: Reader) -> tuple[str, ...]:
    sections = sections_of(plan, reader.snapshot, partial(why_not, reader=reader))
    started = {e.target.id: e.target for s in sections for e in s.entries if not e.why_not}
    preselected = started.get(plan.preselected)
    return (
        *_local_disk_chosen_function(reader.server),
        *_announcement_function(plan, preselected),
        *_defaults(plan, preselected, reader.vendor),
        *_local_disk_entry(reader.server),
        *entries(sections, preselected, reader),
        *own_entries(reader.snapshot),
        *machine_entries(),
    )


def _local_disk_chosen_function(server: Server) -> tuple[str, ...]:
    """Tell the catalog that the local disk was chosen, so that the boot's timeline ends there."""
    tell: tuple[str, ...] = ()
    if server.catalog_answers:
        tell = (
            f"set {_LATER}=y",
            f'source "{http(server)}/tree/grub/grub.cfg?{_QUERY}&selected={LOCAL_DISK}"',
        )
    return (
        "function bootyard_local_disk_chosen {",
        *indented(*tell, "bootyard_local_disk"),
        "}",
    )


def _announcement_function(plan: ShowMenu, preselected: BootTarget | None) -> tuple[str, ...]:
    """Announce a hidden menu. `timeout_style` cannot: its timeout takes what is preselected."""
    announce: tuple[str, ...] = ("true",)
    if plan.hidden and plan.timeout_seconds:
        announce = (
            say("Bootyard: press Esc for the boot menu, or the local disk starts"),
            f"if sleep --interruptible --verbose {plan.timeout_seconds}; then",
            "  bootyard_local_disk_chosen",
            "fi",
        )
    elif plan.hidden and preselected is None:
        announce = ("bootyard_local_disk_chosen",)
    return ("function bootyard_announce {", *indented(*announce), "}")


def _defaults(plan: ShowMenu, target: BootTarget | None, vendor: str) -> tuple[str, ...]:
    """Preselect an entry, and the local disk where that one would not be started."""
    timeout = -1 if plan.hidden or not plan.timeout_seconds else plan.timeout_seconds
    if target is None:
        default: tuple[str, ...] = (f"set default={quote(LOCAL_DISK)}",)
    else:
        default = (f"set default={quote(entry_id(target))}",)
        if not is_trusted(target, vendor):
            default += (f"if {LOCKED}; then", f"  set default={quote(LOCAL_DISK)}", "fi")
    return (*default, "set timeout_style=menu", f"set timeout={timeout}")


def _local_disk_entry(server: Server) -> tuple[str, ...]:
    title = "Local disk" if server.catalog_answers else "Local disk (the catalog is away)"
    return (
        f"menuentry {quote(title)} --id {quote(LOCAL_DISK)} {{",
        "  bootyard_local_disk_chosen",
        "}",
    )
