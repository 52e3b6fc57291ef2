"""How text gets into an iPXE script and stays text.

iPXE has no quoting at all (`core/exec.c`, `image/script.c`): it expands ``${…}``, splits at white
space, takes ``&&``, ``||`` and ``;`` and what starts with ``#`` for its own where they are words by
themselves, and goes on in the next line after a backslash at a line's end.
"""

import re
from functools import lru_cache

from bootyard.boot.menus.server import REMEMBERED

_WORD = re.compile(r"(?!#)(?!(?:&&|\|\||;)\Z)(?:(?!\$\{)[!-~])+")


def is_safe(word: str) -> bool:
    """Tell whether a word means nothing but itself."""
    return _WORD.fullmatch(word) is not None


def unsafe_words(text: str) -> tuple[str, ...]:
    """List the words of `text` that a script cannot carry, for a message to whoever wrote them."""
    return tuple(word for word in text.split() if not is_safe(word))


@lru_cache(REMEMBERED)
def words(text: str) -> str:
    """Make `text` fit for a command's arguments: one space between words, unsafe ones left out."""
    return " ".join(word for word in text.split() if is_safe(word))


@lru_cache(REMEMBERED)
def label(text: str) -> str:
    """Make `text` fit for the end of a line that people read: printable ASCII, one line."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text.replace("${", "$("))
    return words(plain.replace("\\", "/")) or "?"
