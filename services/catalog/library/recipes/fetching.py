"""How a system that no recipe knows gets the rest of its disc over HTTP, by its initrd. Pure."""

import msgspec

from bootyard.model.snapshot import ISO, TREE, TargetKind
from services.catalog.library import names
from services.catalog.library.recipes.match import Finder
from services.catalog.library.recipes.plan import MIB
from services.catalog.library.recipes.sniff import Sniffed

SELF_CONTAINED_MB = 700
"""A system that is all in its initrd comes on a disc that is not much larger."""

CANNOT_FETCH = "it cannot fetch the rest over HTTP; take the netboot files of the same release"


class Fetching(msgspec.Struct, frozen=True):
    """How a kind of system gets what is not in its initrd."""

    words: str
    """For its command line; empty: nothing is fetched."""
    kind: TargetKind
    why: str
    memory_of_whole: float = 0.0
    """How many times the image's size it takes."""


class Hints(msgspec.Struct, frozen=True):
    """What tells: the initrd's files, and the command line that the image's own menu has."""

    finder: Finder
    sniffed: Sniffed
    command_line: str

    def says(self, mark: str, word: str) -> bool:
        """Whether the initrd has a mark or, where it was not looked through, a word tells."""
        if self.sniffed.is_whole or mark in self.sniffed.marks:
            return mark in self.sniffed.marks
        return any(own.startswith(word) for own in self.command_line.split())

    def lacks(self, mark: str) -> bool:
        """Whether the initrd was looked through and has no such mark."""
        return self.sniffed.is_whole and mark not in self.sniffed.marks


def fetching(hints: Hints) -> Fetching | str:
    """Choose how the rest is fetched; a sentence where it cannot be. Raises OSError."""
    for ask in (_casper, _live_boot, _archiso, _anaconda, _dracut, _installers):
        found = ask(hints)
        if found is not None:
            return found
    sniffed, tree = hints.sniffed, hints.finder.tree
    if tree.container != "disc" or tree.size <= SELF_CONTAINED_MB * MIB:
        why = "" if sniffed.is_whole else f"; its initrd was not looked into: {sniffed.reason}"
        return Fetching("", TargetKind.INSTALLER, f"kernel and initrd start as they are{why}")
    if sniffed.is_whole:
        return f"it is not known how its initrd finds the rest of the disc: {CANNOT_FETCH}"
    return (
        f"its initrd was not looked into: {sniffed.reason}; describe the image by hand, with"
        " kernel, initrd and cmdline"
    )


def _casper(hints: Hints) -> Fetching | None:
    if not hints.says("casper", "boot=casper") or hints.finder.tree.container != "disc":
        return None
    return Fetching(
        f"boot=casper netboot=url ip=dhcp url={ISO}",
        TargetKind.LIVE,
        "its initrd has casper, which fetches the whole image",
        memory_of_whole=2.0,
    )


def _live_boot(hints: Hints) -> Fetching | str | None:
    if not hints.says("live-boot", "boot=live"):
        return None
    root = _file(hints, ("live/filesystem.squashfs", "live/*.squashfs", "*/*.squashfs"))
    if not root:
        return "its initrd has live-boot, and there is no live/*.squashfs for it to fetch"
    return Fetching(
        f"boot=live components fetch={TREE}/{root} ip=dhcp",
        TargetKind.LIVE,
        f"its initrd has live-boot, which fetches {root}",
        memory_of_whole=2.0,
    )


def _archiso(hints: Hints) -> Fetching | str | None:
    for kind, usual in (("archiso", "arch"), ("miso", "manjaro")):
        if not hints.says(kind, f"{kind}basedir="):
            continue
        if hints.lacks(f"{kind}-http"):
            return f"its initrd has {kind} without its HTTP hook: {CANNOT_FETCH}"
        words = hints.command_line.split()
        given = (word for word in words if word.startswith(f"{kind}basedir="))
        return Fetching(
            f"{next(given, f'{kind}basedir={usual}')} {kind}_http_srv={TREE}/ ip=dhcp",
            TargetKind.LIVE,
            f"its initrd has {kind}, which fetches its root file system",
            memory_of_whole=1.2,
        )
    return None


def _anaconda(hints: Hints) -> Fetching | None:
    if not hints.says("anaconda", "inst.stage2="):
        return None
    return Fetching(
        f"inst.stage2={TREE} ip=dhcp",
        TargetKind.INSTALLER,
        "its initrd is Anaconda's, which fetches its second stage",
    )


def _dracut(hints: Hints) -> Fetching | str | None:
    if not hints.says("dracut", "root=live:"):
        return None
    if hints.lacks("livenet"):
        return f"its initrd is made by dracut without livenet: {CANNOT_FETCH}"
    root = _file(hints, ("LiveOS/squashfs.img", "LiveOS/*.img", "*/*.squashfs"))
    return Fetching(
        f"root=live:{f'{TREE}/{root}' if root else ISO} rd.live.image ip=dhcp rd.neednet=1",
        TargetKind.LIVE,
        "its initrd has dracut's livenet, which fetches the root file system",
        memory_of_whole=1.2,
    )


def _installers(hints: Hints) -> Fetching | str | None:
    if "debian-installer" in hints.sniffed.marks:
        if hints.lacks("net-retriever"):
            return f"its initrd is the Debian installer's for discs: {CANNOT_FETCH}"
        return Fetching("", TargetKind.INSTALLER, "its initrd is the Debian installer's")
    if "linuxrc" in hints.sniffed.marks and _file(hints, ("media.1/media", "content", "CHECKSUMS")):
        return Fetching(
            f"install={TREE} netsetup=dhcp",
            TargetKind.INSTALLER,
            "its initrd has linuxrc, which fetches the installation system",
        )
    return None


def _file(hints: Hints, paths: tuple[str, ...]) -> str:
    """Find a file that can be named in a command line; empty when there is none."""
    found = hints.finder.first(paths, {})
    return found[0] if found is not None and names.is_script_safe(found[0]) else ""
