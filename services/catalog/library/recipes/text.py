"""Text out of images, made fit for people and boot scripts: none of it is trusted. Pure."""

import re
from collections.abc import Iterable

from bootyard.boot.menus.ipxe_words import unsafe_words
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import PLACEHOLDERS
from services.catalog.library import names

MAX_COMMAND_LINE = 2000
"""x86 Linux takes 2047 characters; a machine's own arguments come on top."""

DROPPED_WORDS = ("initrd=", "BOOT_IMAGE=")
"""Boot scripts write these themselves; copied from a boot loader's menu they lead astray."""

_PLAIN_WORD = re.compile(r"[A-Za-z0-9._:+@%,/-]*")


def one_line(text: str, limit: int) -> str:
    """Make one printable line of at most `limit` characters."""
    plain = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
    return " ".join(plain.split())[:limit].rstrip()


def is_plain(value: str) -> bool:
    """Whether a value can stand in a command line, as a part of a word."""
    return _PLAIN_WORD.fullmatch(value) is not None


def own_words(command_line: str) -> str:
    """Keep the words of an image's own command line that a boot script can carry."""
    words = command_line[: 4 * MAX_COMMAND_LINE].split()
    unsafe = {*unsafe_words(" ".join(words))}
    kept = [
        word
        for word in words
        if word not in unsafe
        and not word.startswith(DROPPED_WORDS)
        and not any(placeholder in word for placeholder in PLACEHOLDERS)
    ]
    line = " ".join(kept)
    return line if len(line) <= MAX_COMMAND_LINE else line[:MAX_COMMAND_LINE].rpartition(" ")[0]


def check_command_line(command_line: str) -> None:
    """Refuse a command line that no boot script carries. Raises ImageRejected."""
    unsafe = unsafe_words(command_line)
    if unsafe:
        raise ImageRejected(
            f"a boot script cannot carry {' '.join(map(repr, unsafe))} in the command line",
            "leave these words out of cmdline and cmdline_append",
        )
    if len(command_line) > MAX_COMMAND_LINE:
        raise ImageRejected(
            f"the command line has {len(command_line)} characters",
            f"a kernel takes 2047; use at most {MAX_COMMAND_LINE}",
        )


def joined_command_line(*parts: str) -> tuple[str, tuple[str, ...]]:
    """Join what was said of a command line, without DROPPED_WORDS, and note which were there.

    Raises ImageRejected.
    """
    words = " ".join(parts).split()
    dropped = [word for word in words if word.startswith(DROPPED_WORDS)]
    command_line = " ".join(word for word in words if word not in dropped)
    check_command_line(command_line)
    notes = (f"{word!r} is left out of the command line: scripts add it" for word in dropped)
    return command_line, tuple(notes)


def check_names(paths: Iterable[str]) -> None:
    """Refuse file names that no boot script carries. Raises ImageRejected."""
    for path in paths:
        if not names.is_script_safe(path):
            raise ImageRejected(
                f"a boot script cannot carry the file name {names.printable(path)[:120]!r}",
                "names on the disc have to be A-Z a-z 0-9 . _ + @ - only, not starting with - or .",
            )
