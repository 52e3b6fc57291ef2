"""One candidate, read from disk, as an entry of the library. Blocks; never raises for bad input."""

import hashlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from bootyard.model.document import encode
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import Slice
from bootyard.runtime.log import get_logger
from services.catalog.library import names, single
from services.catalog.library.by_recipe import image_by_recipe
from services.catalog.library.contents import Contents, refuse_fault, slice_of
from services.catalog.library.derived import DerivedStore
from services.catalog.library.description import (
    MAX_BYTES,
    NOTHING_SAID,
    Description,
    parse_description,
)
from services.catalog.library.discs.disc import DiscTree
from services.catalog.library.discs.store import DiscStore, key_of
from services.catalog.library.image import LibraryImage, problem_image
from services.catalog.library.kernels import HEADER_BYTES
from services.catalog.library.look import DESCRIPTION, Candidate, total_size
from services.catalog.library.pi_image import recognise_pi
from services.catalog.library.pick import names_in_tree, pick
from services.catalog.library.raspberry import pi_folder
from services.catalog.library.recipes.recognise import recognise_tree
from services.catalog.library.recipes.schema import Recipes
from services.catalog.library.recognise import Material, recognise
from services.catalog.library.revisions import Remembered
from services.catalog.library.secureboot import ChainFiles, Read, Signed, examine, find_chains
from services.catalog.library.tarball import VERSION_INFO, Unpacked

log = get_logger(__name__)

MISREAD = ImageRejected(
    "it could not be read because of a fault in Bootyard", "report it with the catalog's log"
)
UNPACKED_FORM = 2
"""Raised when more is taken out of a tarball than before: what is remembered is too little then."""


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


class ToIndex(msgspec.Struct, frozen=True):
    """A disc that has no index yet."""

    disc: Path


Later = ToUnpack | ToIndex
"""Work that is done in a process of its own before a candidate can be assessed."""


class Assessor:
    """Reads candidates of one IMAGES_DIR."""

    def __init__(
        self, images_dir: Path, derived: DerivedStore, discs: DiscStore, recipes: Recipes
    ) -> None:
        self._images_dir = images_dir
        self._derived = derived
        self._discs = discs
        self._recipes = recipes

    def assess(
        self, candidate: Candidate, remembered: Remembered | None = None
    ) -> Assessed | Later:
        """Read a candidate; `remembered` is what was unpacked of it last, if anything was."""
        try:
            return self._assess(candidate, remembered)
        except (ImageRejected, OSError) as error:
            return not_usable(candidate, error)
        except Exception:
            # One image that we misread must not hide all others.
            log.exception("image not read", path=candidate.path)
            return not_usable(candidate, MISREAD)

    def _assess(self, candidate: Candidate, remembered: Remembered | None) -> Assessed | Later:
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
            return Assessed(self._folder(candidate, said))
        if candidate.form == "disc":
            return self._disc(candidate, said)
        if candidate.form != "tarball":
            return Assessed(self._single(candidate, said))
        source = _source(candidate, said)
        if remembered is None or remembered.source != source:
            return ToUnpack(self._images_dir / candidate.files[0].real, said, source)
        material = self._tarball(candidate, said, remembered.result)
        if material is None:
            return ToUnpack(self._images_dir / candidate.files[0].real, said, source)
        return Assessed(recognise(material))

    def _describe(self, candidate: Candidate) -> Description:
        own = (f for f in candidate.files if f.path == DESCRIPTION)
        file = candidate.description or (next(own, None) if candidate.form == "folder" else None)
        if file is None:
            return NOTHING_SAID
        refuse_fault(file)
        with (self._images_dir / file.real).open("rb") as opened:
            return parse_description(opened.read(MAX_BYTES + 1), file.path)

    def _folder(self, candidate: Candidate, said: Description) -> LibraryImage:
        contents = Contents(self._images_dir, candidate)
        paths = contents.files.keys() - {DESCRIPTION}
        folder = pi_folder(paths)
        if folder is not None:
            return recognise_pi(candidate, contents, said, folder)
        picked = pick(paths, said)
        named = names_in_tree(picked)
        slices = {name: contents.slice(path) for name, path in named.items()}
        kernel, *initrds = named
        others, notes = contents.others(set(named.values()))
        for path, slice_ in others.items():
            slices.setdefault(path, slice_)
        chains = find_chains(contents.sound() if said.secureboot is None else paths, said)
        for path in {path for chain in chains for path in (chain.shim, chain.grub)}:
            slices.setdefault(path, contents.slice(path))
        read = contents.reader(picked.kernel)
        return recognise(
            Material(
                path=candidate.path,
                name=candidate.name,
                said=said,
                picked=picked,
                files=slices,
                kernel=kernel,
                initrds=tuple(initrds),
                kernel_header=read(0, HEADER_BYTES),
                kernel_size=contents.files[picked.kernel].fingerprint.size,
                kernel_signed=examine(read),
                chains=chains,
                programs=_examined(chains, contents.reader),
                size_bytes=total_size(f for f in candidate.files if not f.fault),
                version_info=contents.text(VERSION_INFO),
                notes=(*candidate.notes, *notes),
            )
        )

    def _disc(self, candidate: Candidate, said: Description) -> Assessed | ToIndex:
        [file] = candidate.files
        where = self._images_dir / file.real
        disc = self._discs.open(key_of(where, file.fingerprint))
        if disc is None:
            return ToIndex(where)
        with closing(disc):
            tree = DiscTree(self._images_dir, file.real, disc)
            image_id = names.slug(candidate.name)
            found = recognise_tree(tree, said, image_id, self._recipes)
            image = image_by_recipe(
                candidate.path, tree, found, said, tree.slice_of, whole=slice_of(file)
            )
            notes = (*image.notes, *disc.header.notes)
            return Assessed(msgspec.structs.replace(image, notes=notes))

    def _single(self, candidate: Candidate, said: Description) -> LibraryImage:
        [file] = candidate.files
        refuse_fault(file)
        with (self._images_dir / file.real).open("rb") as opened:
            header = opened.read(single.HEADER_BYTES)
        return single.single_image(candidate.form, candidate.path, said, slice_of(file), header)

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

        def reader(name: str) -> Read:
            return lambda offset, length: self._derived.read(unpacked.files[name], offset, length)

        read = reader(kernel)
        return Material(
            path=candidate.path,
            name=candidate.name,
            said=said,
            picked=unpacked.picked,
            files=slices,
            kernel=kernel,
            initrds=tuple(initrds),
            kernel_header=read(0, HEADER_BYTES),
            kernel_size=unpacked.files[kernel].size,
            kernel_signed=examine(read),
            chains=unpacked.chains,
            programs=_examined(unpacked.chains, reader),
            size_bytes=candidate.files[0].fingerprint.size,
            sha256=unpacked.sha256,
            version_info=unpacked.version_info,
            notes=candidate.notes,
        )


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
    wanted = (said.kernel, said.initrd, said.secureboot)
    return hashlib.sha256(
        encode((UNPACKED_FORM, candidate.files[0].fingerprint, wanted))
    ).hexdigest()


def _examined(chains: tuple[ChainFiles, ...], reader: Callable[[str], Read]) -> dict[str, Signed]:
    """Look at each file of the chains once."""
    files = {name for chain in chains for name in (chain.shim, chain.grub)}
    return {name: examine(reader(name)) for name in files}


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
