"""Images in memory: names with sizes, and the few contents that recipes read."""

import gzip
import io
import lzma
import re
from collections.abc import Iterable, Mapping

from services.catalog.library.description import NOTHING_SAID, Description
from services.catalog.library.recipes.load import load_recipes
from services.catalog.library.recipes.material import Container, Recognised
from services.catalog.library.recipes.recognise import recognise_tree

MIB = 1024 * 1024
RECIPES = load_recipes()


class MemoryTree:
    """An `ImageTree` without an image: a file is its bytes, or as many zeros as it has."""

    def __init__(
        self,
        files: Mapping[str, bytes | int],
        *,
        volume_id: str = "",
        system_id: str = "",
        container: Container = "disc",
        name: str = "image",
        size: int | None = None,
    ) -> None:
        self._files = dict(files)
        self._folded = {path.casefold(): path for path in self._files}
        self.volume_id = volume_id
        self.system_id = system_id
        self.container: Container = container
        self.name = name
        self.size = sum(map(self.size_of, self._files)) if size is None else size
        self.is_complete = container != "tarball"
        self.bytes_read = 0

    def paths(self) -> Iterable[str]:
        return self._files

    def find(self, path: str) -> str | None:
        return path if path in self._files else self._folded.get(path.casefold())

    def glob(self, pattern: str) -> list[str]:
        parts = (re.escape(part) for part in re.split(r"([*?])", pattern))
        wild = {r"\*": "[^/]*", r"\?": "[^/]"}
        expression = re.compile("".join(wild.get(part, part) for part in parts), re.IGNORECASE)
        return sorted(path for path in self._files if expression.fullmatch(path))

    def size_of(self, path: str) -> int:
        content = self._files[path]
        return content if isinstance(content, int) else len(content)

    def read(self, path: str, offset: int = 0, length: int = 65536) -> bytes:
        content = self._files[path]
        if isinstance(content, int):
            data = bytes(max(0, min(length, content - offset)))
        else:
            data = content[offset : offset + length]
        self.bytes_read += len(data)
        return data


def recognise(
    tree: MemoryTree, said: Description = NOTHING_SAID, image_id: str = "img"
) -> Recognised:
    return recognise_tree(tree, said, image_id, RECIPES)


def cpio(*names: str, size: int = 0) -> bytes:
    """Make a newc archive of files with `size` zeros each."""
    archive = io.BytesIO()
    for name in (*names, "TRAILER!!!"):
        body = 0 if name == "TRAILER!!!" else size
        raw = name.encode() + b"\0"
        fields = (1, 0o100644, 0, 0, 1, 0, body, 0, 0, 0, 0, len(raw), 0)
        archive.write(b"070701" + b"".join(b"%08X" % field for field in fields) + raw)
        archive.write(bytes(-archive.tell() % 4))
        archive.write(bytes(body + -body % 4))
    return archive.getvalue()


def initrd(*names: str, packing: str = "gzip") -> bytes:
    """Make an initrd of empty files."""
    data = cpio(*names)
    if packing == "gzip":
        return gzip.compress(data)
    return lzma.compress(data) if packing == "xz" else data
