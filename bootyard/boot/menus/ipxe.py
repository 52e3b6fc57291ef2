"""iPXE scripts: the first script, menus, and how a target is started.

Text from operators and images enters a script only through `words` and `label`: iPXE expands
``${…}``, splits at white space and takes ``&&``, ``||``, ``;`` and ``#`` for its own.
"""

from collections.abc import Iterable

from bootyard.boot.menus.server import Server
from bootyard.boot.plan import BootNow, Plan, ShowMenu
from bootyard.model.snapshot import LOCAL_DISK, BootTarget, Snapshot

HTTP_TRIES = 5
"""How often a target is loaded over HTTP before TFTP: waits of 1, 2, 3, 4 s bridge a restart."""


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


def unsafe_words(text: str) -> tuple[str, ...]:
    """List the words of `text` that a script cannot carry, for a message to whoever wrote them."""
    return tuple(word for word in text.split() if not _is_safe(word))


def words(text: str) -> str:
    """Make `text` fit for a command's arguments: one space between words, unsafe ones left out."""
    return " ".join(word for word in text.split() if _is_safe(word))


def label(text: str) -> str:
    """Make `text` fit for a line that people read: printable ASCII, nothing that iPXE expands."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text.replace("${", "$("))
    return words(plain) or "?"


def _is_safe(word: str) -> bool:
    printable = all("!" <= c <= "~" for c in word)
    return printable and "${" not in word and word not in {"&&", "||", ";"} and word[0] != "#"


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
    match plan:
        case BootNow(target=target):
            return _script(
                *opening,
                f"echo Bootyard: boot-once {label(target.title)}",
                *_start(target, server, snapshot, kernel_args),
                *_local_disk(snapshot),
            )
        case ShowMenu():
            return _script(
                *opening,
                *_menu(plan, server),
                *_flat(_start(t, server, snapshot, kernel_args) for t in plan.targets),
                *_leave_for_local_disk(server),
                *_local_disk(snapshot),
            )


def render_local_disk(snapshot: Snapshot) -> str:
    """Render the script of a machine that chose, or was given, its local disk."""
    return _script(*_local_disk(snapshot))


def _script(*lines: str) -> str:
    return "\n".join(("#!ipxe", *lines)) + "\n"


def _flat(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(line for part in parts for line in part)


def _menu(plan: ShowMenu, server: Server) -> tuple[str, ...]:
    countdown = timeout = ""
    if plan.timeout_seconds:
        countdown = f"--timeout {plan.timeout_seconds * 1000} "
        timeout = "" if plan.hidden else countdown
    announced: tuple[str, ...] = ()
    if plan.hidden:
        announced = (
            f"prompt {countdown}Bootyard: press a key for the boot menu, or the local disk starts"
            " && goto menu || goto local_disk_chosen",
        )
        if not plan.timeout_seconds and plan.preselected == LOCAL_DISK:
            announced = ("goto local_disk_chosen",)
    offline = "" if server.catalog_answers else " (the catalog is away)"
    return (
        *announced,
        ":menu",
        f"menu Bootyard{offline}",
        f"item {LOCAL_DISK} Local disk",
        *(f"item {target.id} {label(target.title)}" for target in plan.targets),
        *(
            f"item --gap -- {label(target.title)}: erases without asking, starts by boot-once only"
            for target in plan.armed_only
        ),
        f"choose --default {plan.preselected} {timeout}selected || goto local_disk_chosen",
        f"iseq ${{selected}} {LOCAL_DISK} && goto local_disk_chosen ||",
        "goto start_${selected}",
    )


def _start(
    target: BootTarget, server: Server, snapshot: Snapshot, kernel_args: str
) -> tuple[str, ...]:
    """Load and start a target, again after a failure.

    Every new try frees what was loaded: a kernel left in front of another try's initrd is taken
    for an initrd itself, and the machine panics.
    """
    name = target.id
    folder = snapshot.images[target.image].folder
    command_line = words(f"{target.command_line} {kernel_args}")
    initrd_names = [(file, file.rsplit("/", 1)[-1]) for file in target.initrds]
    arguments = " ".join([*(f"initrd={short}" for _, short in initrd_names), command_line]).rstrip()
    again = (
        (
            f"iseq ${{try}} {HTTP_TRIES} && set tree {server.tftp} ||",
            f"iseq ${{try}} {HTTP_TRIES + 1} && goto local_disk ||",
        )
        if server.catalog_answers
        else (f"iseq ${{try}} {HTTP_TRIES} && goto local_disk ||",)
    )
    return (
        f":start_{name}",
        "set try:int32 0",
        f"set tree {server.tree}",
        f":load_{name}",
        "imgfree",
        f"kernel --timeout 30000 ${{tree}}/{folder}/{target.kernel} {arguments}"
        f" || goto failed_{name}",
        *(
            f"initrd --timeout 30000 --name {short} ${{tree}}/{folder}/{file} || goto failed_{name}"
            for file, short in initrd_names
        ),
        "boot ||",
        f":failed_{name}",
        "imgfree",
        "inc try",
        *again,
        f"echo Bootyard: {label(target.title)} did not load, trying again",
        "sleep ${try}",
        f"goto load_{name}",
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
