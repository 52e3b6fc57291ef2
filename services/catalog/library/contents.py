"""The files of one candidate in IMAGES_DIR: opened, read in pieces, named as slices. Blocks."""

from collections.abc import Collection
from pathlib import Path

from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import Root, Slice
from services.catalog.library import names
from services.catalog.library.look import DESCRIPTION, Candidate, FileSeen
from services.catalog.library.secureboot import Read

MAX_SERVED = 256
"""Files of a folder that are served beside what boots."""


class Contents:
    """Files of a candidate, by their paths in it."""

    def __init__(self, images_dir: Path, candidate: Candidate) -> None:
        self._images_dir = images_dir
        self.files = {file.path: file for file in candidate.files}

    def slice(self, path: str) -> Slice:
        """Give a file that machines will ask for. Raises ImageRejected and OSError."""
        file = self.files[path]
        refuse_fault(file)
        self.where(file).open("rb").close()
        return slice_of(file)

    def found(self, path: str) -> Slice | None:
        """Give a file that somebody asks for, by folded case where none is spelled so."""
        folded = path.casefold()
        spelled = path if path in self.files else None
        name = spelled or next((name for name in self.files if name.casefold() == folded), None)
        file = None if name is None else self.files[name]
        if file is None or file.fault or name == DESCRIPTION or not names.is_text(file.real):
            return None
        return slice_of(file)

    def sound(self) -> set[str]:
        """Name the files that can be served, as far as one look tells."""
        return {path for path, file in self.files.items() if not file.fault}

    def reader(self, path: str) -> Read:
        """Read pieces of a file."""
        where = self.where(self.files[path])

        def read(offset: int, length: int) -> bytes:
            with where.open("rb") as file:
                file.seek(offset)
                return file.read(length)

        return read

    def text(self, path: str | None, limit: int = 4096) -> str:
        """Read a small text; empty when it is not there or cannot be served."""
        file = self.files.get(path) if path is not None else None
        if file is None or file.fault:
            return ""
        with self.where(file).open("rb") as opened:
            return opened.read(limit).decode("utf-8", "replace")

    def others(
        self, booted: Collection[str], limit: int = MAX_SERVED
    ) -> tuple[dict[str, Slice], tuple[str, ...]]:
        """Choose what is served beside what boots: a root file system, a preseed file, …"""
        fit = [
            file
            for file in self.files.values()
            if file.path not in booted
            and file.path != DESCRIPTION
            and not file.fault
            and names.is_text(file.path)
            and names.is_text(file.real)
            and "\\" not in file.path
        ]
        notes: tuple[str, ...] = ()
        if len(fit) > limit:
            notes = (
                f"{len(fit)} files beside what boots are too many to serve:"
                " only those directly in the folder are",
            )
            fit = [file for file in fit if "/" not in file.path][:limit]
        return {file.path: slice_of(file) for file in fit}, notes

    def where(self, file: FileSeen) -> Path:
        """Name a file on disk, links resolved."""
        return self._images_dir / file.real


def slice_of(file: FileSeen) -> Slice:
    """Name the whole of a file as machines get it."""
    return Slice(
        root=Root.IMAGES,
        path=file.real,
        extents=((0, file.fingerprint.size),),
        fingerprint=file.fingerprint,
    )


def refuse_fault(file: FileSeen) -> None:
    """Raise ImageRejected for a file that cannot be served."""
    if file.fault:
        raise ImageRejected(
            f"{names.printable(file.path)} {file.fault}",
            "put the file itself there: links are followed only inside the images folder",
        )
    if not names.is_text(file.real):
        raise ImageRejected(
            f"{names.printable(file.path)} leads to a name that is not printable UTF-8 text",
            "rename what it leads to",
        )
