"""GRUB configurations: the first script, menus, and how a target is started.

For GRUB on UEFI, 2.06 and later. Text from operators and images enters a script only through
`quote`. GRUB's shell has no `&&`, and `source` runs what it gets whatever it is, an error page
too: the catalog is asked whether it lives before its answer is.

A script only defines what is to be done, and whoever read it does that once the file is closed.
GRUB numbers its TCP ports from 21550 at every start: a connection that is still open when another
program starts stands in the way of the machine's next boot (RFC 5961 §4.2; GRUB waits 16 s).
"""

from bootyard.boot.menus.grub_disk import local_disk_function
from bootyard.boot.menus.grub_words import kernel_arguments, label, left_out, quote, say
from bootyard.boot.menus.server import Server
from bootyard.boot.plan import BootNow, Plan, ShowMenu
from bootyard.boot.vendor import PACKAGED_VENDOR
from bootyard.model.snapshot import LOCAL_DISK, BootTarget, Snapshot

TRIES = 3
"""How often a target is loaded over HTTP before TFTP: a dead port takes GRUB 16 s to give up."""

READING_SECONDS = 20

_QUERY = "mac=${net_default_mac}&platform=${grub_platform}&buildarch=${grub_cpu}"
_THEN = "bootyard_then"
"""The variable that names what a script wants done. Its end sets it: it was not cut off."""
_LATER = "bootyard_later"
"""The variable that says that whoever reads a script does what it wants."""
_LOCKED = '[ "${lockdown}" = y ]'
"""True under Secure Boot (GRUB's `kern/lockdown.c`)."""


def render_first_script(server: Server, snapshot: Snapshot) -> str:
    """Render what every GRUB gets first, over TFTP: ask the catalog, else the menu kept here.

    `source` puts the answer's entries into this very menu; after `configfile` Esc would lead back
    here and start the next answer.
    """
    return _script(
        *local_disk_function(snapshot),
        f"set {_LATER}=y",
        f'if [ -s "{_http(server)}/tree/.health" ]; then',
        f'  source "{_http(server)}/tree/grub/grub.cfg?{_QUERY}"',
        "fi",
        f'if [ -z "${{{_THEN}}}" ]; then',
        f"  {say('Bootyard: the catalog does not answer, using the menu kept by tftp')}",
        f"  source '{_tftp(server)}/grub/menu.cfg'",
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
    match plan:
        case BootNow(target=target):
            return _script(
                *local_disk_function(snapshot),
                "function bootyard_boot_once {",
                *_indented(
                    say(f"Bootyard: boot-once {label(target.title)}"),
                    *_start_if_trusted(target, server, snapshot, kernel_args, vendor),
                    "bootyard_local_disk",
                ),
                "}",
                *_then("bootyard_boot_once"),
            )
        case ShowMenu():
            return _script(
                *local_disk_function(snapshot),
                *_local_disk_chosen_function(server),
                *_announcement_function(plan),
                *_defaults(plan, vendor),
                *_local_disk_entry(server),
                *(
                    line
                    for target in plan.targets
                    for line in _entry(target, server, snapshot, kernel_args, vendor)
                ),
                *(line for target in plan.armed_only for line in _armed_only_entry(target)),
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


def _indented(*lines: str) -> tuple[str, ...]:
    return tuple(f"  {line}" for line in lines)


def _http(server: Server) -> str:
    return f"(http,{server.address}:{server.http_port})"


def _tftp(server: Server) -> str:
    return f"(tftp,{server.address})"


def _trees(server: Server) -> tuple[str, ...]:
    """List where a target is loaded from, one try after the other."""
    if server.catalog_answers:
        return (*(f"{_http(server)}/tree",) * TRIES, _tftp(server))
    return (_tftp(server),) * TRIES


def _local_disk_chosen_function(server: Server) -> tuple[str, ...]:
    """Tell the catalog that the local disk was chosen, so that the boot's timeline ends there."""
    tell: tuple[str, ...] = ()
    if server.catalog_answers:
        tell = (
            f"set {_LATER}=y",
            f'source "{_http(server)}/tree/grub/grub.cfg?{_QUERY}&selected={LOCAL_DISK}"',
        )
    return (
        "function bootyard_local_disk_chosen {",
        *_indented(*tell, "bootyard_local_disk"),
        "}",
    )


def _announcement_function(plan: ShowMenu) -> tuple[str, ...]:
    """Announce a hidden menu. `timeout_style` cannot: its timeout takes what is preselected."""
    announce: tuple[str, ...] = ("true",)
    if plan.hidden and plan.timeout_seconds:
        announce = (
            say("Bootyard: press Esc for the boot menu, or the local disk starts"),
            f"if sleep --interruptible --verbose {plan.timeout_seconds}; then",
            "  bootyard_local_disk_chosen",
            "fi",
        )
    elif plan.hidden and plan.preselected == LOCAL_DISK:
        announce = ("bootyard_local_disk_chosen",)
    return ("function bootyard_announce {", *_indented(*announce), "}")


def _defaults(plan: ShowMenu, vendor: str) -> tuple[str, ...]:
    """Preselect an entry, and the local disk where that one would not be started."""
    target = next((t for t in plan.targets if t.id == plan.preselected), None)
    timeout = -1 if plan.hidden or not plan.timeout_seconds else plan.timeout_seconds
    if target is None:
        default: tuple[str, ...] = (f"set default={quote(LOCAL_DISK)}",)
    else:
        default = (f"set default={quote(_entry_id(target))}",)
        if target.signed_by != vendor:
            default += (f"if {_LOCKED}; then", f"  set default={quote(LOCAL_DISK)}", "fi")
    return (*default, "set timeout_style=menu", f"set timeout={timeout}")


def _entry_id(target: BootTarget) -> str:
    """Name an entry: a plain number would be taken for a position."""
    return f"start {target.id}"


def _local_disk_entry(server: Server) -> tuple[str, ...]:
    title = "Local disk" if server.catalog_answers else "Local disk (the catalog is away)"
    return (
        f"menuentry {quote(title)} --id {quote(LOCAL_DISK)} {{",
        "  bootyard_local_disk_chosen",
        "}",
    )


def _entry(
    target: BootTarget, server: Server, snapshot: Snapshot, kernel_args: str, vendor: str
) -> tuple[str, ...]:
    title = label(target.title)
    entry = (
        f"menuentry {quote(title)} --id {quote(_entry_id(target))} {{",
        *_indented(*_start(target, server, snapshot, kernel_args), "bootyard_local_disk"),
        "}",
    )
    if target.signed_by == vendor:
        return entry
    return (
        f"if {_LOCKED}; then",
        *_indented(
            f"menuentry {quote(f'{title}: {_why_not(target)}')} --id {quote(_entry_id(target))} {{",
            *_indented(*_refusal(target, vendor), *_wait("go back")),
            "}",
        ),
        "else",
        *_indented(*entry),
        "fi",
    )


def _armed_only_entry(target: BootTarget) -> tuple[str, ...]:
    """Name what starts by boot-once only; GRUB has no entry that cannot be chosen."""
    title = f"{label(target.title)}: erases without asking, starts by boot-once only"
    return (
        f"menuentry {quote(title)} --id {quote(_entry_id(target))} {{",
        *_indented(
            say(f"Bootyard: {label(target.title)} erases without asking. To start it once:"),
            *_how_to_arm(target),
            *_wait("go back"),
        ),
        "}",
    )


def _start_if_trusted(
    target: BootTarget, server: Server, snapshot: Snapshot, kernel_args: str, vendor: str
) -> tuple[str, ...]:
    start = _start(target, server, snapshot, kernel_args)
    if target.signed_by == vendor:
        return start
    return (
        f"if {_LOCKED}; then",
        *_indented(*_refusal(target, vendor), *_wait("start the local disk")),
        "else",
        *_indented(*start),
        "fi",
    )


def _start(
    target: BootTarget, server: Server, snapshot: Snapshot, kernel_args: str
) -> tuple[str, ...]:
    """Load and start a target, again after a failure; `linux` forgets what was loaded before."""
    folder = snapshot.images[target.image].folder
    command_line = f"{target.command_line} {kernel_args}"
    arguments = "".join(f" {quote(word)}" for word in kernel_arguments(command_line))
    initrds = "".join(f' "${{tree}}"{quote(f"/{folder}/{file}")}' for file in target.initrds)
    start = (f"if initrd{initrds}; then", "  boot", "fi") if initrds else ("boot",)
    title = label(target.title)
    unfit = " ".join(left_out(command_line))
    return (
        *((say(f"Bootyard: left out, GRUB cannot carry it: {unfit}"),) if unfit else ()),
        f"for tree in {' '.join(quote(tree) for tree in _trees(server))}; do",
        *_indented(
            say(f"Bootyard: loading {title}"),
            f'if linux "${{tree}}"{quote(f"/{folder}/{target.kernel}")}{arguments}; then',
            *_indented(*start),
            "fi",
            say(f"Bootyard: {title} did not load, trying again"),
            "sleep 2",
        ),
        "done",
    )


def _why_not(target: BootTarget) -> str:
    if not target.signed_by:
        return "not signed for Secure Boot"
    if not target.chains:
        return f"signed by {label(target.signed_by)}, not trusted here"
    return f"signed by {label(target.signed_by)}, starts by boot-once only"


def _refusal(target: BootTarget, vendor: str) -> tuple[str, ...]:
    """Say why Secure Boot keeps a kernel from being started, and what to do about it."""
    title, signer = label(target.title), label(target.signed_by)
    trusted = f"Secure Boot is on, and this GRUB starts kernels that {vendor} signed."
    if target.signed_by and target.chains:
        return (
            say(trusted),
            say(f"Bootyard: {title} is signed by {signer}; its own loaders start it:"),
            *_how_to_arm(target),
        )
    whose = f"{title} is signed by {signer}" if target.signed_by else f"{title} is signed by nobody"
    return (
        say(trusted),
        say(f"Bootyard: {whose}. To start it, switch Secure Boot off in the firmware setup."),
    )


def _how_to_arm(target: BootTarget) -> tuple[str, ...]:
    return (
        f'echo "  bootyard machine boot-once ${{net_default_mac}} "{quote(target.id)}',
        say("and then a restart of this machine."),
    )


def _wait(what_follows: str) -> tuple[str, ...]:
    return (
        say(f"Press Esc to {what_follows}."),
        f"sleep --interruptible {READING_SECONDS}",
    )
