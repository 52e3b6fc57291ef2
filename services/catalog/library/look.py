"""What lies in IMAGES_DIR: one walk over names and `stat`, nothing is opened.

A candidate is one folder or file that is an image, or that somebody may take for one. Links are
followed as far as they stay inside.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from bootyard.model.snapshot import Fingerprint
from bootyard.runtime.files import fingerprint_of
from services.catalog.library import names
from services.catalog.library.names import Form
from services.catalog.library.pick import LAYOUT_FOLDERS, looks_bootable
from services.catalog.library.raspberry import is_firmware, pi_folder

DESCRIPTION = "image.toml"
MAX_DEPTH = 5
MAX_FILES = 4000
"""How many files of one image are looked at."""

_TARBALLS = (".tar.gz", ".tgz")
_SINGLE: dict[str, Form] = {
    ".iso": "disc",
    ".efi": "program",
    ".img": "disk",
    ".ipxe": "script",
    ".wim": "wim",
}
"""Endings of files that are images by themselves."""
_UNBOOTABLE = (
    *(".tar", ".tar.xz", ".tar.zst", ".tar.bz2", ".zip", ".7z", ".rar"),
    *(".iso.xz", ".iso.gz", ".img.xz", ".img.gz", ".img.zst", ".img.bz2", ".raw.xz", ".qcow2"),
    *(".vmdk", ".vhd", ".vhdx", ".vdi", ".dmg"),
)
_CASES = tuple[str, str]


class FileSeen(msgspec.Struct, frozen=True):
    """One file, as `stat` tells it."""

    path: str
    """Relative to the folder of the image; `/` between parts."""
    real: str
    """Relative to IMAGES_DIR, links resolved: what a slice names."""
    fingerprint: Fingerprint
    changed_ns: int
    """ctime: rights and renames count as a change too."""
    fault: str = ""
    """Why it cannot be served: `leads out of the images folder`, …"""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Something to assess. Two that are equal give the same outcome."""

    path: str
    """Relative to IMAGES_DIR, as it is on disk."""
    form: Form
    files: tuple[FileSeen, ...] = ()
    description: FileSeen | None = None
    """Beside a file: its `<name>.toml`. A folder's own is among its files."""
    problem: str = ""
    cure: str = ""
    notes: tuple[str, ...] = ()
    copying: tuple[Fingerprint, ...] = ()
    """Hidden and unfinished files of a folder: while one grows, the folder is not complete."""

    @property
    def name(self) -> str:
        """Of the folder, or of the file without its extension."""
        last = self.path.rpartition("/")[2]
        return last if self.form == "folder" else names.stem(last)


class Unreachable(Exception):
    """IMAGES_DIR is there and cannot be listed at the moment."""


def look(images_dir: Path) -> tuple[Candidate, ...]:
    """List the candidates in IMAGES_DIR, shallow ones first; none when it does not exist.

    Raises Unreachable when the directory itself cannot be listed (a file server that is away).
    """
    try:
        root = images_dir.resolve(strict=True)
        os.scandir(root).close()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise Unreachable(str(error)) from error
    found = _Walk(root).folder("", 0)
    return tuple(sorted(found, key=lambda c: (c.path.count("/"), c.path)))


class _Listing(NamedTuple):
    folders: list[FileSeen]
    files: list[FileSeen]
    unfinished: list[FileSeen]
    """Files whose names say that they are not complete, or nobody's business."""


class _Walk:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._base = f"{root}/" if str(root) != "/" else "/"

    def folder(self, path: str, depth: int) -> list[Candidate]:
        """Find candidates in a folder: itself, or what is below it."""
        try:
            listing = self._list(path)
        except OSError as error:
            return [_problem(path, "folder", *_unlisted(error))] if path else []
        folders, files, _ = listing
        image = self._image(path, listing, depth) if path else None
        if image is not None:
            return [image]
        below: list[Candidate] = []
        for folder in folders:
            where = _join(path, folder.path)
            if folder.fault:
                there = [_problem(where, "folder", *_outside(folder.fault))]
            elif depth >= MAX_DEPTH:
                break
            else:
                there = self.folder(where, depth + 1)
            if f"{folder.path}.toml" in (file.path for file in files):
                there = [_with_note(candidate, folder.path) for candidate in there]
            below += there
        below += _loose(path, files)
        if path and all(candidate.problem in _NOTHING for candidate in below):
            # One entry for a tree that holds nothing, not one for every folder in it.
            below = []
        if path and not below:
            below.append(_problem(path, "folder", *_nothing_in(folders, files)))
        return below

    def _image(self, path: str, listing: _Listing, depth: int) -> Candidate | None:
        is_image = any(
            file.path == DESCRIPTION
            or names.is_kernel(file.path)
            or names.is_initrd(file.path)
            or is_firmware(file.path)
            for file in listing.files
        )
        if not is_image:
            # Kernels lie deeper in what distributions pack: debian-installer/amd64/linux, …
            layouts = [f for f in listing.folders if f.path.lower() in LAYOUT_FOLDERS]
            listing = listing._replace(folders=layouts)
        everything = _Listing([], list(listing.files), list(listing.unfinished))
        self._collect(path, "", listing.folders, everything, depth)
        paths = [file.path for file in everything.files]
        if not is_image and not looks_bootable(paths) and pi_folder(paths) is None:
            return None
        return Candidate(
            path=path,
            form="folder",
            files=tuple(everything.files[:MAX_FILES]),
            copying=tuple(file.fingerprint for file in everything.unfinished),
        )

    def _collect(
        self, path: str, below: str, folders: list[FileSeen], into: _Listing, depth: int
    ) -> None:
        """Add what lies in `folders` of an image's folder, named from that folder on."""
        for folder in folders:
            if folder.fault or depth >= MAX_DEPTH or len(into.files) > MAX_FILES:
                continue
            inner = _join(below, folder.path)
            try:
                found = self._list(_join(path, inner))
            except OSError:
                continue
            into.files.extend(
                msgspec.structs.replace(file, path=_join(inner, file.path)) for file in found.files
            )
            into.unfinished.extend(found.unfinished)
            self._collect(path, inner, found.folders, into, depth + 1)

    def _list(self, path: str) -> _Listing:
        """List a folder by name; what vanishes meanwhile is left out."""
        listing = _Listing([], [], [])
        real = os.path.realpath(self._base + path)
        with os.scandir(self._base + path) as entries:
            present = sorted(entries, key=lambda entry: entry.name)
        for entry in present:
            try:
                seen, is_folder = self._see(entry, real)
            except FileNotFoundError:
                continue
            except OSError as error:
                seen, is_folder = _faulty(entry.name, error.strerror or str(error)), False
            if names.is_skipped(entry.name):
                listing.unfinished.extend([] if is_folder else [seen])
            else:
                (listing.folders if is_folder else listing.files).append(seen)
        return listing

    def _see(self, entry: os.DirEntry[str], folder: str) -> tuple[FileSeen, bool]:
        """Look at one entry of a folder (its real path): what it is, and whether a folder."""
        status = entry.stat(follow_symlinks=False)
        real, fault = f"{folder}/{entry.name}", ""
        is_folder = stat.S_ISDIR(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            real = os.path.realpath(entry.path)
            is_folder = Path(real).is_dir()
            if not real.startswith(self._base):
                fault = "leads out of the images folder"
            elif f"{folder}/".startswith(f"{real}/"):
                fault = "leads back to a folder that it lies in"
            elif not Path(real).exists():
                fault = "leads nowhere"
            else:
                status = entry.stat()
        if not fault and not is_folder and not stat.S_ISREG(status.st_mode):
            fault = "is not a regular file"
        seen = FileSeen(
            path=entry.name,
            real=real.removeprefix(self._base),
            fingerprint=fingerprint_of(status),
            changed_ns=status.st_ctime_ns,
            fault=fault,
        )
        return seen, is_folder


def _loose(path: str, files: list[FileSeen]) -> list[Candidate]:
    """Find candidates among files that lie in no image's folder."""
    by_name = {file.path: file for file in files}
    found = []
    for file in files:
        where, form = _join(path, file.path), _form_of(file.path)
        description = by_name.get(f"{names.stem(file.path)}.toml")
        if form is None:
            continue
        if form == "other":
            why = _NO_FOLDER if _is_part(file.path) else _UNSUPPORTED
            found.append(_problem(where, form, *why, file))
        elif file.fault:
            found.append(_problem(where, form, *_outside(file.fault), file))
        else:
            found.append(Candidate(path=where, form=form, files=(file,), description=description))
    return found


def _form_of(name: str) -> Form | None:
    """Tell what a file by itself is, by its name; None: nobody takes it for an image."""
    lower = name.lower()
    if lower.endswith(_TARBALLS):
        return "tarball"
    if lower.endswith(_UNBOOTABLE) or _is_part(name):
        return "other"
    return next((form for ending, form in _SINGLE.items() if lower.endswith(ending)), None)


def _is_part(name: str) -> bool:
    return names.is_kernel(name) or names.is_initrd(name)


def _with_note(candidate: Candidate, folder: str) -> Candidate:
    note = f"{names.printable(folder)}.toml is not read: a folder is described by image.toml in it"
    return msgspec.structs.replace(candidate, notes=(note,))


_NOTHING = ("the folder is empty", "there is no kernel in the folder")
_UNSUPPORTED = (
    "machines cannot boot a file of this kind",
    "unpack it: an .iso or .img, a folder with kernel and initrd, or a netboot .tar.gz can be",
)
_NO_FOLDER = (
    "it lies in no folder of an image",
    "put a kernel and its initrd into a folder of their own; the folder's name becomes the id",
)


def _problem(
    path: str, form: Form, problem: str, cure: str, file: FileSeen | None = None
) -> Candidate:
    files = () if file is None else (file,)
    return Candidate(path=path, form=form, files=files, problem=problem, cure=cure)


def _nothing_in(folders: list[FileSeen], files: list[FileSeen]) -> _CASES:
    empty = not folders and not files
    return (
        _NOTHING[0] if empty else _NOTHING[1],
        "put a kernel (linux, vmlinuz…, bzImage, kernel…) with its initrd into it,"
        ' or name it in image.toml: kernel = "…"',
    )


def _unlisted(error: OSError) -> _CASES:
    return (
        f"the folder cannot be listed: {error.strerror or error}",
        "let the user that runs Bootyard read it: chmod o+rx",
    )


def _outside(fault: str) -> _CASES:
    return (
        f"the link {fault}",
        "put the files themselves into the images folder, or mount their folder there",
    )


def _faulty(name: str, reason: str) -> FileSeen:
    return FileSeen(name, "", Fingerprint(0, 0, 0), 0, f"cannot be looked at: {reason}")


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def total_size(files: Iterable[FileSeen]) -> int:
    """Add up what files take, each once however many links lead to it."""
    return sum({file.real: file.fingerprint.size for file in files}.values())
