"""What an image's own boot loaders offer, by their configurations. Pure.

These files are anybody's: what is read, followed and kept is counted, and nothing of it is run.
"""

from collections.abc import Callable, Iterable

import msgspec

from services.catalog.library.recipes.grub_config import parse_grub
from services.catalog.library.recipes.loader_entry import parse_loader_entry
from services.catalog.library.recipes.material import ImageTree
from services.catalog.library.recipes.own_entry import MAX_ENTRIES, OwnEntry
from services.catalog.library.recipes.syslinux_config import parse_syslinux
from services.catalog.library.recipes.text import one_line, own_words

MAX_FILES = 24
MAX_FILE = 256 * 1024
MAX_INITRDS = 8

_GRUB = (
    *("boot/grub/loopback.cfg", "boot/grub/grub.cfg", "boot/grub2/grub.cfg"),
    *("EFI/BOOT/grub.cfg", "EFI/*/grub.cfg", "boot/grub/kernels.cfg", "grub/grub.cfg"),
)
_SYSLINUX = (
    *(
        "isolinux/isolinux.cfg",
        "isolinux/txt.cfg",
        "isolinux/live.cfg",
        "boot/isolinux/isolinux.cfg",
    ),
    *("syslinux/syslinux.cfg", "boot/syslinux/syslinux.cfg", "boot/syslinux/isolinux.cfg"),
    *("syslinux.cfg", "isolinux.cfg", "*/boot/syslinux/*.cfg"),
)
_LOADER = ("loader/entries/*.conf", "boot/loader/entries/*.conf")


class _Reading:
    """Reads configurations of one image, each once and not too many."""

    def __init__(self, tree: ImageTree) -> None:
        self._tree = tree
        self._seen = set[str]()

    def text(self, path: str) -> str | None:
        """Give a file's text; None for one that is not there, was read, or is one too many."""
        found = self._tree.find(path)
        if found is None or found in self._seen or len(self._seen) >= MAX_FILES:
            return None
        self._seen.add(found)
        return self._tree.read(found, 0, MAX_FILE).decode("utf-8", "replace")

    def matching(self, patterns: Iterable[str]) -> list[str]:
        """List the files that are there, in the order of the patterns."""
        return list(dict.fromkeys(path for p in patterns for path in self._tree.glob(p)))


def own_entries(tree: ImageTree) -> tuple[OwnEntry, ...]:
    """List the entries whose kernel and initrds are there, in their order; each start once.

    Raises OSError when the image cannot be read.
    """
    reading = _Reading(tree)
    found: list[OwnEntry] = []
    for patterns, parse in ((_GRUB, parse_grub), (_SYSLINUX, parse_syslinux)):
        found += _parsed(reading, patterns, parse)
    for path in reading.matching(_LOADER):
        text = reading.text(path)
        if text is not None:
            found += parse_loader_entry(text, path)
    return _usable(tree, found)


def _parsed(
    reading: _Reading,
    patterns: Iterable[str],
    parse: Callable[[str, str, Callable[[str], str | None]], list[OwnEntry]],
) -> list[OwnEntry]:
    entries: list[OwnEntry] = []
    for path in reading.matching(patterns):
        text = reading.text(path)
        if text is not None and len(entries) < MAX_ENTRIES:
            entries += parse(text, path, reading.text)
    return entries[:MAX_ENTRIES]


def _usable(tree: ImageTree, found: list[OwnEntry]) -> tuple[OwnEntry, ...]:
    usable: dict[tuple[str, tuple[str, ...], str], OwnEntry] = {}
    for entry in found:
        kernel = tree.find(entry.kernel)
        initrds = [tree.find(path) for path in entry.initrds[:MAX_INITRDS]]
        if kernel is None:
            continue
        there = tuple(path for path in initrds if path is not None)
        if len(there) < len(initrds):
            continue
        line = own_words(entry.command_line)
        usable.setdefault(
            (kernel, there, line),
            msgspec.structs.replace(
                entry,
                title=one_line(entry.title, 80),
                kernel=kernel,
                initrds=there,
                command_line=line,
            ),
        )
    return tuple(usable.values())
