"""Text files of an image that are served changed, because they have to name our address. Pure."""

from bootyard.model.snapshot import PLACEHOLDERS
from services.catalog.library.recipes.schema import Rewrite

MAX_REWRITTEN = 32 * 1024


def rewritten(text: str, rewrite: Rewrite) -> str:
    """Change a file of `key=value` lines, such as ESXi's `boot.cfg`.

    PLACEHOLDERS that the file itself has are broken, so that only the recipe's are filled in.
    """
    for placeholder in PLACEHOLDERS:
        text = text.replace(placeholder, placeholder.strip("{}"))
    left = dict(rewrite.set)
    lines = []
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        name = key.strip().lower()
        if not equals:
            lines.append(line)
        elif name in rewrite.set:
            if name in left:
                lines.append(f"{name}={left.pop(name)}")
        elif name in rewrite.relative:
            lines.append(f"{key}={_relative(value)}")
        else:
            lines.append(line)
    lines += [f"{name}={value}" for name, value in left.items()]
    return "\n".join(lines) + "\n"


def _relative(value: str) -> str:
    """`/b.b00 --- /jumpstrt.gz` -> `b.b00 --- jumpstrt.gz`."""
    return " ".join(word.removeprefix("/") for word in value.split())
