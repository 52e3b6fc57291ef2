"""One candidate, read from disk, as an entry of the library. Blocks; never raises for bad input."""

import hashlib
from pathlib import Path

import msgspec

from bootyard.model.document import encode
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import Root, Slice
from bootyard.runtime.log import get_logger
from services.catalog.library import names
from services.catalog.library.derived import DerivedStore
from services.catalog.library.description import (
    MAX_BYTES,
    NOTHING_SAID,
    Description,
    parse_description,
)
from services.catalog.library.image import LibraryImage, problem_image
from services.catalog.library.kernels import HEADER_BYTES
from services.catalog.library.look import DESCRIPTION, Candidate, FileSeen, total_size
from services.catalog.library.pick import names_in_tree, pick
from services.catalog.library.recognise import Material, recognise
from services.catalog.library.revisions import Remembered
from services.catalog.library.tarball import VERSION_INFO, Unpacked

log = get_logger(__name__)

MISREAD = ImageRejected(
    "it could not be read because of a fault in Bootyard", "report it with the catalog's log"
)
MAX_SERVED = 256
"""Files of a folder that are served beside kernel and initrds."""


class Assessed(msgspec.Struct, frozen=True):
    """The outcome for one candidate."""

    image: LibraryImage
    again: bool = False
    """True when the disk is to blame, not the image: worth another try without any change."""


class ToUnpack(msgspec.Struct, frozen=True):
    """A tarball whose files are not in the derived store yet."""

    tarball: Path
    said: Description
    source: str
    """What the outcome is to be remembered for."""


class Assessor:
    """Reads candidates of one IMAGES_DIR."""

    def __init__(self, images_dir: Path, derived: DerivedStore) -> None:
        self._images_dir = images_dir
        self._derived = derived

    def assess(
        self, candidate: Candidate, remembered: Remembered | None = None
    ) -> Assessed | ToUnpack:
        """Read a candidate; `remembered` is what was unpacked of it last, if anything was."""
        try:
            return self._assess(candidate, remembered)
        except (ImageRejected, OSError) as error:
            return not_usable(candidate, error)
        except Exception:
            # One image that we misread must not hide all others.
            log.exception("image not read", path=candidate.path)
            return not_usable(candidate, MISREAD)

    def _assess(self, candidate: Candidate, remembered: Remembered | None) -> Assessed | ToUnpack:
        own = (candidate.path, *(file.real for file in candidate.files[:1]))
        if not all(map(names.is_text, own)):
            raise ImageRejected(
                "its name, or a folder's that it lies in, is not printable UTF-8 text",
                "rename it",
            )
        if candidate.problem:
            raise ImageRejected(candidate.problem, candidate.cure)
        said = self._describe(candidate)
        if candidate.form == "folder":
            return Assessed(recognise(self._folder(candidate, said)))
        source = _source(candidate, said)
        if remembered is None or remembered.source != source:
            return ToUnpack(self._path(candidate.files[0]), said, source)
        material = self._tarball(candidate, said, remembered.result)
        if material is None:
            return ToUnpack(self._path(candidate.files[0]), said, source)
        return Assessed(recognise(material))

    def _describe(self, candidate: Candidate) -> Description:
        own = (f for f in candidate.files if f.path == DESCRIPTION)
        file = candidate.description or (next(own, None) if candidate.form == "folder" else None)
        if file is None:
            return NOTHING_SAID
        _refuse_fault(file)
        with self._path(file).open("rb") as opened:
            return parse_description(opened.read(MAX_BYTES + 1), file.path)

    def _folder(self, candidate: Candidate, said: Description) -> Material:
        files = {file.path: file for file in candidate.files}
        picked = pick(files.keys() - {DESCRIPTION}, said)
        named = names_in_tree(picked)
        slices: dict[str, Slice] = {}
        for name, path in named.items():
            _refuse_fault(files[path])
            self._path(files[path]).open("rb").close()
            slices[name] = _slice(files[path])
        kernel, *initrds = named
        others, notes = _others(candidate, set(named.values()))
        for file in others:
            slices.setdefault(file.path, _slice(file))
        with self._path(files[picked.kernel]).open("rb") as opened:
            header = opened.read(HEADER_BYTES)
        info = files.get(VERSION_INFO)
        return Material(
            path=candidate.path,
            name=candidate.name,
            said=said,
            picked=picked,
            files=slices,
            kernel=kernel,
            initrds=tuple(initrds),
            kernel_header=header,
            kernel_size=files[picked.kernel].fingerprint.size,
            size_bytes=total_size(f for f in candidate.files if not f.fault),
            version_info="" if info is None or info.fault else self._text(info),
            notes=(*candidate.notes, *notes),
        )

    def _tarball(
        self, candidate: Candidate, said: Description, unpacked: Unpacked
    ) -> Material | None:
        slices: dict[str, Slice] = {}
        for name, stored in unpacked.files.items():
            found = self._derived.slice(stored)
            if found is None:
                return None
            slices[name] = found
        kernel, *initrds = names_in_tree(unpacked.picked)
        return Material(
            path=candidate.path,
            name=candidate.name,
            said=said,
            picked=unpacked.picked,
            files=slices,
            kernel=kernel,
            initrds=tuple(initrds),
            kernel_header=self._derived.read_start(unpacked.files[kernel], HEADER_BYTES),
            kernel_size=unpacked.files[kernel].size,
            size_bytes=candidate.files[0].fingerprint.size,
            sha256=unpacked.sha256,
            version_info=unpacked.version_info,
            notes=candidate.notes,
        )

    def _text(self, file: FileSeen) -> str:
        with self._path(file).open("rb") as opened:
            return opened.read(4096).decode("utf-8", "replace")

    def _path(self, file: FileSeen) -> Path:
        return self._images_dir / file.real


def not_usable(candidate: Candidate, error: ImageRejected | OSError) -> Assessed:
    """Turn what went wrong with a candidate into its entry."""
    if isinstance(error, ImageRejected):
        return Assessed(_problem(candidate, error.problem, error.cure))
    name = error.filename if isinstance(error.filename, str) else candidate.path
    file = names.printable(name.rpartition("/")[2])
    if isinstance(error, PermissionError):
        problem = f"{file} cannot be read: permission denied"
        cure = "let the user that runs Bootyard read it: chmod o+r, and o+rx on folders"
    else:
        problem = f"{file}: {error.strerror or error}"
        cure = (
            "see to the disks of BOOTYARD_IMAGES_DIR and BOOTYARD_STATE_DIR;"
            " it is tried again by itself"
        )
    return Assessed(_problem(candidate, problem, cure), again=True)


def _source(candidate: Candidate, said: Description) -> str:
    """Name what unpacking depends on: the file, and which of its members are asked for."""
    return hashlib.sha256(
        encode((candidate.files[0].fingerprint, said.kernel, said.initrd))
    ).hexdigest()


def _slice(file: FileSeen) -> Slice:
    return Slice(
        root=Root.IMAGES,
        path=file.real,
        extents=((0, file.fingerprint.size),),
        fingerprint=file.fingerprint,
    )


def _others(candidate: Candidate, booted: set[str]) -> tuple[tuple[FileSeen, ...], tuple[str, ...]]:
    """Choose what is served beside kernel and initrds: a root file system, a preseed file, …"""
    others = [
        file
        for file in candidate.files
        if file.path not in booted
        and file.path != DESCRIPTION
        and not file.fault
        and names.is_text(file.path)
        and names.is_text(file.real)
        and "\\" not in file.path
    ]
    if len(others) <= MAX_SERVED:
        return tuple(others), ()
    return tuple(f for f in others if "/" not in f.path)[:MAX_SERVED], (
        f"{len(others)} files beside kernel and initrd are too many to serve:"
        " only those directly in the folder are",
    )


def _refuse_fault(file: FileSeen) -> None:
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


def _problem(candidate: Candidate, problem: str, cure: str) -> LibraryImage:
    return msgspec.structs.replace(
        problem_image(
            names.printable(candidate.path),
            names.slug(candidate.name),
            names.printable(candidate.name),
            problem,
            cure,
        ),
        size_bytes=total_size(f for f in candidate.files if not f.fault),
        notes=candidate.notes,
    )
