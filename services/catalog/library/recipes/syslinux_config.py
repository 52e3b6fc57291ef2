"""`isolinux.cfg` and its kind, as far as they tell what can be booted. Pure."""

from collections.abc import Callable

from services.catalog.library.recipes.own_entry import (
    MAX_ENTRIES,
    OwnEntry,
    lines_of,
    path_in_image,
)

MAX_DEPTH = 6


class _Reader:
    def __init__(self, folder: str, read: Callable[[str], str | None]) -> None:
        self._folder = folder
        self._read = read
        self.entries: list[OwnEntry] = []
        self._label = self._title = self._kernel = self._line = self._file = ""
        self._initrds: list[str] = []

    def file(self, text: str, path: str, depth: int = 0) -> None:
        for line in lines_of(text):
            if len(self.entries) >= MAX_ENTRIES:
                return
            self._file = path
            key, _, rest = " ".join(line.split()).partition(" ")
            key = key.lower()
            if key == "menu":
                sub, _, rest = rest.partition(" ")
                key = f"menu {sub.lower()}"
            self._key(key, rest, depth)
        self._finish()

    def _key(self, key: str, rest: str, depth: int) -> None:
        if key == "label":
            self._finish()
            self._label = rest
        elif key == "menu label":
            self._title = rest.replace("^", "")
        elif key in {"kernel", "linux"} and rest:
            self._kernel = path_in_image(rest.split(maxsplit=1)[0], self._folder)
        elif key == "initrd":
            self._add_initrds(rest)
        elif key == "append":
            self._append(rest)
        elif key in {"include", "menu include", "config"} and rest and depth < MAX_DEPTH:
            self._finish()
            followed = path_in_image(rest.split(maxsplit=1)[0], self._folder)
            text = self._read(followed)
            if text is not None:
                self.file(text, followed, depth + 1)

    def _append(self, rest: str) -> None:
        words = rest.split()
        for word in words:
            if word.startswith("initrd="):
                self._add_initrds(word.removeprefix("initrd="))
        self._line = " ".join(word for word in words if not word.startswith("initrd="))

    def _add_initrds(self, paths: str) -> None:
        self._initrds += [path_in_image(p, self._folder) for p in paths.split(",") if p.strip()]

    def _finish(self) -> None:
        is_program = self._kernel.lower().endswith((".c32", ".0", ".bin", ".bss", ".com"))
        if self._kernel and not is_program:
            self.entries.append(
                OwnEntry(
                    title=self._title or self._label,
                    kernel=self._kernel,
                    initrds=tuple(self._initrds),
                    command_line=self._line,
                    file=self._file,
                )
            )
        self._label = self._title = self._kernel = self._line = ""
        self._initrds = []


def parse_syslinux(text: str, path: str, read: Callable[[str], str | None]) -> list[OwnEntry]:
    """List the entries of a configuration and of the files that it includes."""
    reader = _Reader(path.rpartition("/")[0], read)
    reader.file(text, path)
    return reader.entries
