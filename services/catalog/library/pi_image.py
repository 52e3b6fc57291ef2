"""A folder with a Raspberry Pi's boot files, as an entry of the library. Blocks.

The Pi's firmware asks for files by names of its own: every file of the folder is served.
"""

import msgspec

from bootyard.model.snapshot import BootTarget, TargetKind
from services.catalog.library import kernels, names
from services.catalog.library.answers import answers_in
from services.catalog.library.contents import Contents
from services.catalog.library.description import Description
from services.catalog.library.image import LibraryImage
from services.catalog.library.look import Candidate, total_size
from services.catalog.library.raspberry import (
    CONFIG,
    MAX_TEXT,
    PiFiles,
    parse_config,
    plan_pi,
    title_of,
)
from services.catalog.library.titles import naming_of

MAX_FILES = 1500
"""Raspberry Pi OS has 400 files, most of them overlays of a few hundred bytes."""


def recognise_pi(
    candidate: Candidate, contents: Contents, said: Description, folder: str
) -> LibraryImage:
    """Make the entry, with revision 0; `folder` is where the Pi's files lie in the candidate.

    Raises ImageRejected, and OSError.
    """
    inside = _Inside(contents, folder)
    files = plan_pi(inside.sizes, parse_config(inside.text(CONFIG)), _from(folder, said))
    served = {name: contents.slice(inside.paths[name]) for name in (files.kernel, *files.initrds)}
    others, too_many = contents.others({inside.paths[name] for name in served}, MAX_FILES)
    for path, slice_ in others.items():
        if path in inside.names:
            served.setdefault(inside.names[path], slice_)
    kind, hint = _kind(said, inside.text(files.cmdline))
    title = said.title or title_of(candidate.name)
    naming = naming_of(candidate.name)
    image_id = names.slug(candidate.name)
    return LibraryImage(
        id=image_id,
        path=candidate.path,
        title=title,
        family=said.family.lower() if said.family else naming.family,
        version=said.version or naming.version,
        kind=kind,
        architectures=said.architectures
        if said.architectures is not None
        else (_architecture(inside, files),),
        size_bytes=total_size(f for f in candidate.files if not f.fault),
        recipe="raspberry-pi",
        files=served,
        targets=(
            BootTarget(
                id=image_id,
                image=image_id,
                title=title,
                kind=kind,
                kernel=files.kernel,
                initrds=files.initrds,
                loader="pi",
            ),
        ),
        notes=(
            *said.notes,
            *candidate.notes,
            *files.notes,
            *too_many,
            *_not_used(said),
            *hint,
        ),
    )


class _Inside:
    """The files of the Pi's folder, by the names that its firmware uses."""

    def __init__(self, contents: Contents, folder: str) -> None:
        self._contents = contents
        start = f"{folder}/" if folder else ""
        self.names = {p: p.removeprefix(start) for p in contents.files if p.startswith(start)}
        """Path in the image -> name for the Pi."""
        self.paths = {name: path for path, name in self.names.items()}
        self.sizes = {
            name: contents.files[path].fingerprint.size for path, name in self.names.items()
        }

    def text(self, name: str | None) -> str:
        """Read a text, whatever the case of its name; empty when it is not there."""
        name = name.casefold() if name is not None else None
        path = next((p for n, p in self.paths.items() if n.casefold() == name), None)
        return self._contents.text(path, MAX_TEXT)

    def start(self, name: str) -> bytes:
        return self._contents.reader(self.paths[name])(0, kernels.HEADER_BYTES)


def _from(folder: str, said: Description) -> Description:
    """Name a description's files from the Pi's folder on."""
    start = f"{folder}/" if folder else ""
    return msgspec.structs.replace(
        said,
        kernel=said.kernel and said.kernel.removeprefix(start),
        initrd=said.initrd and tuple(name.removeprefix(start) for name in said.initrd),
    )


def _architecture(inside: _Inside, files: PiFiles) -> str:
    # A kernel8.img is often compressed, and says nothing.
    return kernels.architecture_of(inside.start(files.kernel)) or files.architecture


def _kind(said: Description, command_line: str) -> tuple[TargetKind, tuple[str, ...]]:
    answers = answers_in(command_line)
    if answers is None:
        return said.kind or TargetKind.LIVE, ()
    if said.kind in {None, TargetKind.UNATTENDED}:
        return TargetKind.UNATTENDED, ()
    return TargetKind.UNATTENDED, (
        f"listed as unattended, not {said.kind}: {answers!r} in the Pi's command line lets it"
        " install without asking",
    )


def _not_used(said: Description) -> tuple[str, ...]:
    notes = []
    if said.cmdline or said.cmdline_append:
        notes.append("the description's command line is not used: a Raspberry Pi reads cmdline.txt")
    if said.secureboot is not None:
        notes.append("[secureboot] is not used: a Raspberry Pi's own firmware starts the kernel")
    return tuple(notes)
