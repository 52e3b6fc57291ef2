"""iPXE scripts: the first script, menus, and what goes round the start of a target.

Text from operators and images enters a script only through `words` and `label`, names only through
`encoded`. An item of a menu is what stands behind `start_` in the label that it leads to; names of
our own have a colon, which no target's has.

Every way that fails leads to `failed`, and from there, after some tries, to a question that goes on
to the local disk by itself: nothing hangs, and nothing goes round for ever with nobody there.
"""

from functools import partial

from bootyard.boot.menus import ipxe_start
from bootyard.boot.menus.ipxe_menu import CHOSEN, MENU_AGAIN, menu
from bootyard.boot.menus.ipxe_words import label
from bootyard.boot.menus.places import encoded
from bootyard.boot.menus.reader import Reader
from bootyard.boot.menus.sections import Section, sections_of
from bootyard.boot.menus.server import Server
from bootyard.boot.plan import BootNow, Plan, ShowMenu
from bootyard.model.snapshot import LOCAL_DISK, BootTarget, MenuEntry, Snapshot

HTTP_TRIES = 5
"""How often a target is loaded over HTTP before TFTP: waits of 1, 2, 3, 4 s bridge a restart."""

QUESTION_SECONDS = 30
"""How long a machine waits for a person after a target that did not start."""

MACHINE_QUERY = "mac=${netX/mac}&uuid=${uuid}&buildarch=${buildarch}&platform=${platform}"

OPEN_INTERFACE = (
    "set idx:int32 0",
    ":interface",
    "isset ${net${idx}/mac} || goto ask_dhcp",
    "isset ${net${idx}/ip} || goto next_interface",
    "ifopen net${idx} && goto opened ||",
    ":next_interface",
    "inc idx",
    "goto interface",
    ":ask_dhcp",
    "dhcp || goto local_disk",
    ":opened",
)
"""For a script that iPXE has from its firmware, which loaded it beside the loader.

The EFI build keeps the lease of PXE and HTTP Boot firmware, but has the interface closed: opening
it saves a DHCP cycle, six seconds and every second-DHCP failure.
"""


def render_first_script(server: Server, snapshot: Snapshot) -> str:
    """Render what every iPXE gets first, over TFTP: ask the catalog, else the menu kept here."""
    return _script(
        *OPEN_INTERFACE,
        f"chain --autofree --replace --timeout 10000 {server.catalog}/boot.ipxe?{MACHINE_QUERY} ||",
        "echo Bootyard: the catalog does not answer, using the menu kept by tftp",
        f"chain --autofree --replace --timeout 20000 {server.tftp}/menu.ipxe ||",
        *_local_disk(snapshot),
    )


def render_plan(
    plan: Plan,
    server: Server,
    snapshot: Snapshot,
    kernel_args: str = "",
    *,
    opens_interface: bool = False,
) -> str:
    """Render a machine's menu, or its boot-once; for iPXE that just started, with its network."""
    opening = OPEN_INTERFACE if opens_interface else ()
    reader = Reader(
        server=server, snapshot=snapshot, kernel_args=kernel_args, firmware=plan.firmware
    )
    match plan:
        case BootNow(target=target):
            return _script(
                *opening,
                *_boot_once(target, reader),
                *_local_disk(snapshot),
            )
        case ShowMenu():
            sections = sections_of(plan, snapshot, partial(ipxe_start.why_not, reader=reader))
            return _script(
                *opening,
                *menu(plan, sections, reader),
                *_tries(server, "gave_up"),
                *_starts(sections, reader),
                *_question(),
                *_leave_for_local_disk(server),
                *_local_disk(snapshot),
            )


def render_local_disk(snapshot: Snapshot) -> str:
    """Render the script of a machine that chose, or was given, its local disk."""
    return _script(*_local_disk(snapshot))


def render_entry(entry: MenuEntry) -> str:
    """Render an entry of the operator's own, as a script that the menu starts and that returns.

    By itself it can neither jump to a label of the menu nor end it.
    """
    return _script(entry.script)


def _script(*lines: str) -> str:
    return "\n".join(("#!ipxe", *lines)) + "\n"


def _boot_once(target: BootTarget, reader: Reader) -> tuple[str, ...]:
    title = label(target.title)
    reason = ipxe_start.why_not(target, reader)
    if reason:
        return (
            f"echo Bootyard: boot-once {title}: {reason}",
            f"prompt --timeout {QUESTION_SECONDS * 1000} Press a key to start the local disk ||",
        )
    name = encoded(target.id)
    return (
        f"echo Bootyard: boot-once {title}",
        f"set selected {name}",
        *_tries(reader.server, "local_disk"),
        f":start_{name}",
        *ipxe_start.start(target, reader, "local_disk"),
    )


def _tries(server: Server, given_up: str) -> tuple[str, ...]:
    """Start what is in `selected`; after a failure again, from TFTP in the end."""
    again: tuple[str, ...] = (f"iseq ${{try}} {HTTP_TRIES} && goto {given_up} ||",)
    if server.catalog_answers:
        again = (
            f"iseq ${{try}} {HTTP_TRIES} && set tree {server.tftp} ||",
            f"iseq ${{try}} {HTTP_TRIES + 1} && goto {given_up} ||",
        )
    return (
        f":{CHOSEN}",
        "set try:int32 0",
        f"set tree {server.tree}",
        ":load",
        "imgfree",
        f"goto start_${{selected}} || goto {given_up}",
        ":failed",
        "imgfree",
        "inc try",
        *again,
        "echo Bootyard: ${selected} did not load, trying again",
        "sleep ${try}",
        "goto load",
    )


def _starts(sections: tuple[Section, ...], reader: Reader) -> tuple[str, ...]:
    return tuple(
        line
        for section in sections
        for entry in section.entries
        if not entry.why_not
        for line in (
            f":start_{encoded(entry.target.id)}",
            *ipxe_start.start(entry.target, reader, "ended"),
        )
    )


def _question() -> tuple[str, ...]:
    """Lead back to the menu, or, with nobody there, to the local disk.

    What was started by itself may end by itself, too.
    """
    return (
        ":gave_up",
        "echo Bootyard: ${selected} did not start",
        ":ended",
        f"prompt --timeout {QUESTION_SECONDS * 1000} Press a key for the menu,"
        f" or the local disk starts && goto {MENU_AGAIN} || goto local_disk",
    )


def _leave_for_local_disk(server: Server) -> tuple[str, ...]:
    """Tell the catalog that the local disk was chosen, so that the boot's timeline ends there."""
    if not server.catalog_answers:
        return (":local_disk_chosen",)
    return (
        ":local_disk_chosen",
        f"chain --autofree --replace --timeout 3000"
        f" {server.catalog}/boot.ipxe?{MACHINE_QUERY}&selected={LOCAL_DISK} ||",
    )


def _local_disk(snapshot: Snapshot) -> tuple[str, ...]:
    """Go on to the local disk.

    UEFI shows its setup menu after a boot option that ended well (UEFI 2.10 §3.1.2), and takes the
    next one, the disk, only after one that failed: so every exit is a failure.
    """
    method = snapshot.policy.local_disk_method
    command = {
        "exit": "exit 1",
        "sanboot": "sanboot --no-describe --drive 0x80 || exit 1",
        "poweroff": "poweroff || exit 1",
    }[method]
    return (":local_disk", "echo Bootyard: starting the local disk", command)
