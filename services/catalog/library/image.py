"""What the library says about one thing in IMAGES_DIR, bootable or not."""

from typing import Literal

import msgspec

from bootyard.model.snapshot import BootTarget, Image, Slice, TargetKind
from services.catalog.library.recipes.material import Status


class LibraryImage(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the library: an image that is `ready`, or a `problem` with its cure.

    `id` is unique among entries that are ready; a second one with an id in use is a problem that
    carries the same id. Entries with a problem have no files, no targets and revision 0.
    """

    id: str
    path: str
    """Where it lies: relative to IMAGES_DIR, `/` between parts, printable."""
    title: str
    family: str = "unknown"
    version: str = ""
    kind: TargetKind = TargetKind.INSTALLER
    architectures: tuple[str, ...] = ()
    """As `uname -m` calls them; empty: not known, offered to every machine."""
    size_bytes: int = 0
    """What it takes on disk in IMAGES_DIR."""
    sha256: str | None = None
    """Of the file; None for folders."""
    verified_by: str | None = None
    state: Literal["ready", "problem"] = "ready"
    problem: str | None = None
    cure: str | None = None
    recipe: str = "kernel-initrd"
    """Id of the recipe, or `kernel-initrd`, `raspberry-pi`, `efi-program`, `disk-image`,
    `ipxe-script`, `wim`."""
    status: Status = "golden"
    """How well the recipe is proven."""
    evidence: tuple[str, ...] = ()
    """Why it is taken for what it is."""
    revision: int = 0
    """Goes up whenever a file or what is done with it changes; never taken twice by one id."""
    files: dict[str, Slice] = {}
    """Name in the boot tree, below `images/<id>/`, to bytes on disk."""
    targets: tuple[BootTarget, ...] = ()
    whole: Slice | None = None
    """The file, of an image that is one."""
    templates: dict[str, str] = {}
    """See `Image.templates`."""
    notes: tuple[str, ...] = ()
    """What was understood otherwise than it was written; nothing here stops a boot."""

    @property
    def is_ready(self) -> bool:
        """Whether machines can be given this image."""
        return self.state == "ready"

    def as_image(self) -> Image:
        """Give the part of it that a snapshot carries."""
        return Image(
            id=self.id,
            revision=self.revision,
            title=self.title,
            architectures=self.architectures,
            files=self.files,
            family=self.family,
            version=self.version,
            whole=self.whole,
            templates=self.templates,
        )


def problem_image(path: str, image_id: str, title: str, problem: str, cure: str) -> LibraryImage:
    """Make the entry of something that cannot be booted."""
    return LibraryImage(
        id=image_id, path=path, title=title, state="problem", problem=problem, cure=cure
    )
