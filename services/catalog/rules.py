"""What may be said about machines and the policy. Pure: a value comes back, or RequestRefused."""

import re
from collections.abc import Container, Iterable, Mapping

from bootyard.boot.menus.ipxe_words import unsafe_words
from bootyard.model.architecture import Firmware
from bootyard.model.errors import RequestRefused
from bootyard.model.loaders import LOADER_FILES, LoaderName, platform_of
from bootyard.model.mac import PROBE_MAC, MACAddress
from bootyard.model.snapshot import LOCAL_DISK, MENU, BootTarget, TargetKind
from services.catalog.library.answers import answers_in

NAME = re.compile(r"[A-Za-z0-9._-]{1,63}")
TAG = re.compile(r"[A-Za-z0-9._:=/-]{1,63}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
MAX_KERNEL_ARGS = 1024
MAX_VALUE = 8192
MAX_ENTRIES = 64
MAX_LISTED = 1000
"""Machines that are allowed or denied: every packet is looked up in them."""
MAX_TIMEOUT_SECONDS = 3600
MAX_EXPIRES_MINUTES = 7 * 24 * 60

Targets = Mapping[str, BootTarget]
"""Everything that can be booted now, by id."""


def check_mac(text: str) -> MACAddress:
    """Read a machine's MAC address in any spelling."""
    try:
        mac = MACAddress.parse(text)
    except ValueError as error:
        raise RequestRefused(
            f"{text!r} is not a MAC address", "write it as 52:54:00:12:34:56"
        ) from error
    if mac.octets[0] & 1 or not any(mac.octets):
        raise RequestRefused(f"{mac} is no address of a machine", "give its network card's address")
    if mac == PROBE_MAC:
        raise RequestRefused(f"{mac} is kept for health checks", "give the machine's own address")
    return mac


def check_macs(texts: Iterable[str]) -> tuple[MACAddress, ...]:
    """Read a list of machines; each is kept once."""
    macs = tuple(dict.fromkeys(map(check_mac, texts)))
    if len(macs) > MAX_LISTED:
        raise RequestRefused(f"{len(macs)} machines are too many", f"list at most {MAX_LISTED}")
    return macs


def check_name(name: str) -> str:
    """Check a machine's name by itself; clashes are for whoever knows the others."""
    if not NAME.fullmatch(name):
        raise RequestRefused(
            f"{name!r} cannot be a machine's name", "use 1 to 63 of A-Z a-z 0-9 . _ -"
        )
    return name


def check_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Check a machine's tags; each is kept once."""
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise RequestRefused(
                f"{tag!r} cannot be a tag", "use 1 to 63 of A-Z a-z 0-9 . _ : = / -"
            )
    if len(tags) > MAX_ENTRIES:
        raise RequestRefused(f"{len(tags)} tags are too many", f"use at most {MAX_ENTRIES}")
    return tuple(dict.fromkeys(tags))


def check_kernel_args(text: str) -> str:
    """Check what is added to every kernel command line of a machine; blanks are made single."""
    unsafe = unsafe_words(text)
    if unsafe:
        raise RequestRefused(
            f"kernel arguments cannot carry {' '.join(map(repr, unsafe))} through a boot script",
            "leave these words out",
        )
    clean = " ".join(text.split())
    if len(clean) > MAX_KERNEL_ARGS:
        raise RequestRefused(
            f"{len(clean)} characters of kernel arguments are too many",
            f"use at most {MAX_KERNEL_ARGS}: a kernel takes 2048 with the image's own",
        )
    answers = answers_in(clean)
    if answers is not None:
        raise RequestRefused(
            f"{answers!r} would make every installer on this machine erase without asking",
            'put it into the cmdline of an image\'s description (kind = "unattended") and start'
            " that with `bootyard machine boot-once MAC ID`",
        )
    return clean


def check_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Check what templates of answers may use of a machine."""
    for name, value in variables.items():
        if not VARIABLE.fullmatch(name):
            raise RequestRefused(
                f"{name!r} cannot be a variable's name",
                "use letters, digits and _, not starting with a digit",
            )
        if len(value) > MAX_VALUE or "\0" in value:
            raise RequestRefused(
                f"the value of {name} is not usable", f"use text of at most {MAX_VALUE} characters"
            )
    if len(variables) > MAX_ENTRIES:
        raise RequestRefused(f"{len(variables)} variables are too many", f"use {MAX_ENTRIES}")
    return dict(variables)


def check_standing_target(target: str, targets: Targets, mac: str = "MAC") -> str:
    """Check a target that starts again and again: a machine's, or the policy's default."""
    if target in {MENU, LOCAL_DISK}:
        return target
    if check_target(target, targets).kind is TargetKind.UNATTENDED:
        raise RequestRefused(
            f"{target} erases the machine without asking, at every boot",
            f"start it once: `bootyard machine boot-once {mac} {target}`",
        )
    return target


def check_target(target: str, targets: Targets) -> BootTarget:
    """Find a target by its id."""
    found = targets.get(target)
    if found is None:
        known = ", ".join(sorted(targets)[:10]) or "none yet: put an image into IMAGES_DIR"
        raise RequestRefused(
            f"there is no target {target!r}",
            f"use one of those that `bootyard image list` shows as ready ({known})",
        )
    return found


def check_loader(
    loader: LoaderName, firmware: Firmware | None, present: Container[str]
) -> LoaderName:
    """Check that a machine can run the loader that is pinned for it.

    `firmware` is None while the machine was not seen; `present` are the files that there are, as
    `<firmware>/<file>`.
    """
    if firmware in {None, Firmware.UBOOT, Firmware.OTHER}:
        # Its processor is not known: what fits is chosen, or missed and told, when it boots.
        return loader
    platform = platform_of(firmware)
    loaders = LOADER_FILES.get(platform, {})
    there = [
        name
        for name, files in loaders.items()
        if any(f"{platform}/{file}" in present for file in files)
    ]
    if loader in there:
        return loader
    cure = f"use one of {', '.join(there)}" if there else "leave it on `auto`"
    if loader not in loaders:
        raise RequestRefused(f"firmware {firmware} cannot run {loader}", cure)
    files = " or ".join(loaders[loader])
    raise RequestRefused(
        f"there is no {loader} for firmware {firmware} here",
        f"{cure}, or put {files} into LOADERS_DIR/{platform}",
    )


def check_timeout(seconds: int) -> int:
    """Check how long a menu waits."""
    if not 0 <= seconds <= MAX_TIMEOUT_SECONDS:
        raise RequestRefused(
            f"a timeout of {seconds} seconds is not possible",
            f"use 0 (wait for ever) to {MAX_TIMEOUT_SECONDS}",
        )
    return seconds


def check_expiry(minutes: float) -> float:
    """Check how long a boot-once may wait for its machine."""
    if not 0 < minutes <= MAX_EXPIRES_MINUTES:
        raise RequestRefused(
            f"{minutes:g} minutes is no time for a boot-once to wait",
            f"use 1 to {MAX_EXPIRES_MINUTES}",
        )
    return minutes
