"""An image that no recipe knows: how it boots itself from a disc, made fit for the network. Pure.

Its own menus name kernels and command lines; its initrd tells which family of live systems or
installers it is of, and so which words make it fetch the rest over HTTP. What cannot be told is
offered as a disk over HTTP, which does for what loads all of itself through the firmware.
"""

from bootyard.boot.menus.ipxe_words import label
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import TargetKind
from services.catalog.library import names
from services.catalog.library.description import NOTHING_SAID
from services.catalog.library.pick import pick
from services.catalog.library.recipes.disc_words import without_disc_words
from services.catalog.library.recipes.fetching import Fetching, Hints, fetching
from services.catalog.library.recipes.match import Finder
from services.catalog.library.recipes.material import ImageTree
from services.catalog.library.recipes.outcome import Draft
from services.catalog.library.recipes.own_entry import OwnEntry
from services.catalog.library.recipes.own_menus import own_entries
from services.catalog.library.recipes.plan import MIB, Start
from services.catalog.library.recipes.text import one_line
from services.catalog.library.titles import naming_of, with_kind

MAX_STARTS = 8
LEAST_MEMORY_MB = 256

OWN_MENU = "own-menu"
WHOLE_DISC = "whole-disc"
"""What is said instead of a recipe's id."""


def guess(finder: Finder) -> Draft:
    """Make the best of an image. Raises ImageRejected where nothing of it can start, OSError."""
    tree = finder.tree
    entries = _entries(tree)
    if not entries:
        return _as_disk(tree, "there is no kernel with an initrd that its own menus name")
    first = entries[0]
    # The largest one: others are microcode.
    sniffed = finder.sniffed(max(first.initrds, key=tree.size_of))
    how = fetching(Hints(finder, sniffed, first.command_line))
    if isinstance(how, str):
        return _as_disk(tree, how)
    naming = naming_of(one_line(tree.name, 120))
    offers = f"{first.file} offers {one_line(first.title, 60)!r}" if first.file else ""
    return Draft(
        recipe=OWN_MENU,
        status="guess",
        title=with_kind(naming, how.kind),
        family=naming.family,
        version=naming.version,
        starts=_starts(entries[:MAX_STARTS], how, tree),
        evidence=(offers or "its files are named like a kernel and its initrd", how.why),
        notes=("nothing is known of this kind of image: it may not boot",),
    )


def _entries(tree: ImageTree) -> tuple[OwnEntry, ...]:
    """List what the image's own menus start; without menus, what its names say."""
    found = own_entries(tree)
    systems = [e for e in found if e.initrds and "memtest" not in e.kernel.lower()]
    if systems:
        return tuple(systems)
    try:
        picked = pick(frozenset(tree.paths()), NOTHING_SAID)
    except ImageRejected:
        return ()
    if not all(names.is_script_safe(path) for path in (picked.kernel, *picked.initrds)):
        return ()
    return (OwnEntry(title=tree.name, kernel=picked.kernel, initrds=picked.initrds, file=""),)


def _starts(entries: tuple[OwnEntry, ...], how: Fetching, tree: ImageTree) -> tuple[Start, ...]:
    starts: list[Start] = []
    taken = set[str]()
    for entry in entries:
        line = without_disc_words(entry.command_line) if how.words else entry.command_line
        starts.append(
            Start(
                variant=_variant(entry.title, taken) if starts else "",
                title=one_line(label(entry.title), 60),
                kind=how.kind,
                loader="linux",
                kernel=entry.kernel,
                initrds=entry.initrds,
                command_line=f"{line} {how.words}".strip(),
                least_memory_mb=LEAST_MEMORY_MB + round(how.memory_of_whole * tree.size / MIB),
            )
        )
    return tuple(starts)


def _variant(title: str, taken: set[str]) -> str:
    """Make an id of an entry's title that no other entry has."""
    slug = names.slug(title)[:30].strip("-") or "entry"
    own, number = slug, 2
    while own in taken:
        own, number = f"{slug}-{number}", number + 1
    taken.add(own)
    return own


def _as_disk(tree: ImageTree, why: str) -> Draft:
    """Offer the whole image as a disk over HTTP. Raises ImageRejected where there is no image."""
    reason = one_line(why, 300)
    if tree.container != "disc":
        raise ImageRejected(
            reason, 'name what starts in image.toml: kernel = "…", initrd = ["…"], cmdline = "…"'
        )
    naming = naming_of(one_line(tree.name, 120))
    start = Start(variant="", title="", kind=TargetKind.INSTALLER, loader="sanboot", kernel="")
    return Draft(
        recipe=WHOLE_DISC,
        status="guess",
        title=naming.title,
        family=naming.family,
        version=naming.version,
        starts=(start,),
        chains=(),
        evidence=(reason,),
        notes=(
            reason,
            "it is offered as a disk over HTTP, which only its boot loader sees: a system that"
            " looks for its disc later does not find it",
        ),
    )
