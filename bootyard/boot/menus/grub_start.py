"""How GRUB starts a target, by the target's loader; and why it cannot, or may not.

GRUB sends names over HTTP as they are, so it is given only those that need no encoding.
"""

from functools import lru_cache

from bootyard.boot.menus.grub_words import indented, kernel_arguments, label, left_out, quote, say
from bootyard.boot.menus.places import encoded, file_of, fill, is_plain, unmet
from bootyard.boot.menus.reader import Reader
from bootyard.boot.menus.server import Server
from bootyard.model.snapshot import BootTarget, Image, Injected

TRIES = 3
"""How often a target is loaded over HTTP before TFTP: a dead port takes GRUB 16 s to give up."""

READING_SECONDS = 20

LOCKED = '[ "${lockdown}" = y ]'
"""True under Secure Boot (GRUB's `kern/lockdown.c`)."""

MULTIBOOT = "multiboot2"
"""The module for it: not in the packaged GRUBs, but an operator may have put one in with it."""

_STARTED = frozenset({"linux", "efi", "multiboot"})
_FIRMWARES_OWN = "microsoft"
"""Whose signature firmware itself trusts: EFI programs need no vendor's shim with it."""


def http(server: Server) -> str:
    """Name the catalog as GRUB does."""
    return f"(http,{server.address}:{server.http_port})"


def tftp(server: Server) -> str:
    """Name the boot tree over TFTP as GRUB does."""
    return f"(tftp,{server.address})"


def why_not(target: BootTarget, reader: Reader) -> str:
    """Say why GRUB cannot start a target; nothing: it can."""
    image = reader.snapshot.images[target.image]
    paths = [injected.path.lstrip("/") for injected in target.injected]
    files = [target.kernel_file, *target.loaded_files]
    names = (image.id, *(name for name in files if name), *paths)
    is_combo = target.kernel.casefold().endswith(".c32")
    if target.loader not in _STARTED or is_combo or not all(map(is_plain, names)):
        return "needs iPXE"
    return unmet(target, reader)


def is_trusted(target: BootTarget, vendor: str) -> bool:
    """Tell whether a GRUB of `vendor` starts it under Secure Boot."""
    if target.loader == "multiboot":
        return False
    return target.signed_by == vendor or (
        target.loader == "efi" and target.signed_by == _FIRMWARES_OWN
    )


def start_if_trusted(target: BootTarget, reader: Reader) -> tuple[str, ...]:
    """Start a target, or say why Secure Boot does not let it be started."""
    lines = start(target, reader)
    if is_trusted(target, reader.vendor):
        return lines
    return (
        f"if {LOCKED}; then",
        *indented(*refusal(target, reader.vendor), *wait("start the local disk")),
        "else",
        *indented(*lines),
        "fi",
    )


def start(target: BootTarget, reader: Reader) -> tuple[str, ...]:
    """Load and start a target, again after a failure; `linux` forgets what was loaded before."""
    server, image = reader.server, reader.snapshot.images[target.image]
    own_args = reader.kernel_args if target.loader == "linux" else ""
    command_line = f"{target.command_line} {own_args}"
    title = label(target.title)
    unfit = " ".join(left_out(command_line))
    trees = _trees(server, needs_catalog=target.needs_catalog)
    arguments = _arguments(command_line, image, server)
    return (
        *((say(f"Bootyard: left out, GRUB cannot carry it: {unfit}"),) if unfit else ()),
        f"for tree in {trees}; do",
        *indented(
            say(f"Bootyard: loading {title}"),
            *_load(target, image, server, arguments),
            say(f"Bootyard: {title} did not load, trying again"),
            "sleep 2",
        ),
        "done",
    )


@lru_cache(16)
def _trees(server: Server, *, needs_catalog: bool) -> str:
    """List where a target is loaded from, one try after the other."""
    over_tftp, over_http = quote(tftp(server)), quote(f"{http(server)}/tree")
    if not server.catalog_answers:
        return " ".join((over_tftp,) * TRIES)
    last = () if needs_catalog else (over_tftp,)
    return " ".join((*(over_http,) * TRIES, *last))


def _load(target: BootTarget, image: Image, server: Server, arguments: str) -> tuple[str, ...]:
    kernel = _file(image, target.kernel)
    if target.loader == "efi":
        # What ended well by itself is not started again.
        return _when((f"chainloader {kernel}{arguments}", "boot"), "break")
    if target.loader == "multiboot":
        modules = (
            f"module2 {_file(image, module.file)}{_arguments(module.command_line, image, server)}"
            for module in target.modules
        )
        return _when((f"{MULTIBOOT} {kernel}{arguments}", *modules), "boot")
    initrds = (
        *(_file(image, file) for file in target.initrds),
        *(_newc(injected, image) for injected in target.injected),
    )
    initrd = (f"initrd {' '.join(initrds)}",) if initrds else ()
    return _when((f"linux {kernel}{arguments}", *initrd), "boot")


def _newc(injected: Injected, image: Image) -> str:
    """Put a file into the initial root file system; GRUB makes the folders on its way."""
    name = injected.path.lstrip("/")
    return f"{quote(f'newc:{name}:')}{_file(image, injected.file)}"


def _when(commands: tuple[str, ...], then: str) -> tuple[str, ...]:
    """Run commands one after the other as long as they succeed: there is no `&&`."""
    if not commands:
        return (then,)
    return (f"if {commands[0]}; then", *indented(*_when(commands[1:], then)), "fi")


def _file(image: Image, file: str) -> str:
    return f'"${{tree}}"{quote(f"/{file_of(image, file)}")}'


def _arguments(command_line: str, image: Image, server: Server) -> str:
    words = (fill(word, image, server) for word in kernel_arguments(command_line))
    return "".join(f" {quote(word)}" for word in words)


def why_locked(target: BootTarget) -> str:
    """Say, in a few words, why Secure Boot keeps a target from being started."""
    if not target.signed_by or target.loader == "multiboot":
        return "not signed for Secure Boot"
    if not target.chains:
        return f"signed by {label(target.signed_by)}, not trusted here"
    return f"signed by {label(target.signed_by)}, starts by boot-once only"


def refusal(target: BootTarget, vendor: str) -> tuple[str, ...]:
    """Say why Secure Boot keeps a kernel from being started, and what to do about it."""
    title, signer = label(target.title), label(target.signed_by)
    trusted = f"Secure Boot is on, and this GRUB starts kernels that {vendor} signed."
    if target.signed_by and target.chains:
        return (
            say(trusted),
            say(f"Bootyard: {title} is signed by {signer}; its own loaders start it:"),
            *how_to_arm(target),
        )
    whose = f"{title} is signed by {signer}" if target.signed_by else f"{title} is signed by nobody"
    return (
        say(trusted),
        say(f"Bootyard: {whose}. To start it, switch Secure Boot off in the firmware setup."),
    )


def how_to_arm(target: BootTarget) -> tuple[str, ...]:
    """Say how a target is started by boot-once."""
    return (
        f'echo "  bootyard machine boot-once ${{net_default_mac}} "{quote(encoded(target.id))}',
        say("and then a restart of this machine."),
    )


def wait(what_follows: str) -> tuple[str, ...]:
    """Leave time to read."""
    return (
        say(f"Press Esc to {what_follows}."),
        f"sleep --interruptible {READING_SECONDS}",
    )
