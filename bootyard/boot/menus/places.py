"""Where scripts find an image's files, and what PLACEHOLDERS stand for. Pure.

Names are percent-encoded (RFC 3986 §2.1), because no loader's language can quote in all of its
arguments: what comes of them is one word that means nothing to any of them.
"""

import re
from functools import lru_cache
from urllib.parse import quote

from bootyard.boot.menus.reader import Reader
from bootyard.boot.menus.server import REMEMBERED, Server
from bootyard.model.snapshot import HOST, ISO, TREE, BootTarget, Image

WHOLE = ".iso"
"""What the name of a whole image ends in: initramfs code goes by it."""

INSIDE = "iso"
"""The folder of an image that has every file of it, by the path that it has there."""

_WITHOUT_KERNEL = frozenset({"wimboot", "sanboot", "memdisk"})

_PLAIN = re.compile(r"[A-Za-z0-9._+@/][A-Za-z0-9._+@/-]*")


@lru_cache(REMEMBERED)
def encoded(name: str) -> str:
    """Write a name as one word of letters, digits and `._-+@/%~`, not starting with a dash."""
    if _PLAIN.fullmatch(name):
        return name
    word = quote(name, safe="/+@", errors="replace")
    return word.replace("-", "%2D", 1) if word.startswith("-") else word or "%"


def is_plain(name: str) -> bool:
    """Tell whether a name needs no encoding: loaders that know none can ask for it."""
    return _PLAIN.fullmatch(name) is not None


def file_of(image: Image, file: str) -> str:
    """Name a file of an image; no name: the whole image."""
    folder = encoded(image.folder)
    return f"{folder}/{encoded(file)}" if file else f"{folder}{WHOLE}"


def fill(text: str, image: Image, server: Server) -> str:
    """Put addresses in place of PLACEHOLDERS; of one line of safe words it makes another."""
    if "{" not in text:
        return text
    base = f"{server.catalog}/tree/{encoded(image.folder)}"
    tree, iso, host = f"{base}/{INSIDE}", f"{base}{WHOLE}", str(server.address)
    return text.replace(TREE, tree).replace(ISO, iso).replace(HOST, host)


def needs_whole(target: BootTarget) -> bool:
    """Tell whether a target cannot start without the whole image as one file."""
    texts = [target.command_line, *(module.command_line for module in target.modules)]
    injects = any(not injected.file for injected in target.injected)
    return (target.is_disk and not target.kernel) or injects or any(ISO in text for text in texts)


def unmet(target: BootTarget, reader: Reader) -> str:
    """Say what keeps every loader from starting a target now; nothing: nothing does."""
    if not target.kernel and target.loader not in _WITHOUT_KERNEL:
        return "names no file to start"
    if target.needs_catalog and not reader.server.catalog_answers:
        return "needs the catalog, which is away"
    if needs_whole(target) and reader.snapshot.images[target.image].whole is None:
        return "needs its image as one file"
    return ""


def disk_kind(target: BootTarget, image: Image) -> str:
    """Tell memdisk what it is given; the kind of disk it recognises by the size."""
    name = target.kernel or (image.whole.path if image.whole is not None else "")
    return "iso raw" if name.casefold().endswith(".iso") else "raw"
