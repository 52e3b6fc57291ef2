"""What an image is, by its names, its description and its kernel's first bytes. Pure."""

from collections.abc import Mapping

import msgspec

from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import BootTarget, Slice, TargetKind
from services.catalog.library import kernels, names
from services.catalog.library.answers import answers_in
from services.catalog.library.description import ARCHITECTURES, Description
from services.catalog.library.image import LibraryImage
from services.catalog.library.pick import Picked
from services.catalog.library.recipes.text import joined_command_line
from services.catalog.library.secureboot import ChainFiles, Signed, usable_chains
from services.catalog.library.titles import Naming, naming_of, naming_of_version_info, with_kind


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read about one image."""

    path: str
    name: str
    """Of the folder, or of the file without its extension."""
    said: Description
    picked: Picked
    files: dict[str, Slice]
    """What is served, kernel and initrds included, by name in the boot tree."""
    kernel: str
    """The kernel's name among `files`."""
    initrds: tuple[str, ...]
    kernel_header: bytes
    kernel_size: int
    kernel_signed: Signed = Signed()
    chains: tuple[ChainFiles, ...] = ()
    programs: Mapping[str, Signed] = {}
    """What every shim and GRUB of `chains` says of itself."""
    size_bytes: int
    sha256: str | None = None
    version_info: str = ""
    """Text of Debian's `version.info`, when there is one."""
    notes: tuple[str, ...] = ()


def recognise(material: Material) -> LibraryImage:
    """Make the library's entry, with revision 0. Raises ImageRejected."""
    said = material.said
    _check_kernel(material)
    naming = _naming(material)
    family = said.family.lower() if said.family else naming.family
    command_line, dropped = joined_command_line(said.cmdline or "", said.cmdline_append)
    kind, hint = _kind(said, command_line, family)
    title = said.title or with_kind(naming, kind)
    image_id = names.slug(material.name)
    return LibraryImage(
        id=image_id,
        path=material.path,
        title=title,
        family=family,
        version=said.version or naming.version,
        kind=kind,
        architectures=said.architectures
        if said.architectures is not None
        else _architectures(material),
        size_bytes=material.size_bytes,
        sha256=material.sha256,
        recipe=_recipe(material, naming),
        files=material.files,
        targets=(
            BootTarget(
                id=image_id,
                image=image_id,
                title=title,
                kind=kind,
                kernel=material.kernel,
                initrds=material.initrds,
                command_line=command_line,
                signed_by=material.kernel_signed.vendor,
                chains=usable_chains(
                    material.chains, material.programs, material.kernel_signed, image_id
                ),
            ),
        ),
        notes=(*said.notes, *material.notes, *dropped, *hint),
    )


def _check_kernel(material: Material) -> None:
    if not material.kernel_size:
        raise ImageRejected(f"the kernel {material.kernel} is empty", "copy it again")
    complete = kernels.complete_size_of(material.kernel_header)
    if complete is not None and material.kernel_size < complete:
        raise ImageRejected(
            f"the kernel {material.kernel} is cut off: it has {material.kernel_size} bytes of at"
            f" least {complete}",
            "copy it again",
        )
    for name in material.initrds:
        if not material.files[name].size:
            raise ImageRejected(f"the initrd {name} is empty", "copy it again")


def _naming(material: Material) -> Naming:
    from_name = naming_of(material.name)
    from_info = naming_of_version_info(material.version_info)
    if from_info is None:
        return from_name
    if from_name.family == "unknown":
        return from_info
    return msgspec.structs.replace(from_name, version=from_name.version or from_info.version)


def _kind(said: Description, command_line: str, family: str) -> tuple[TargetKind, tuple[str, ...]]:
    answers = answers_in(command_line, family)
    if answers is None:
        return said.kind or TargetKind.INSTALLER, ()
    if said.kind in {None, TargetKind.UNATTENDED}:
        return TargetKind.UNATTENDED, ()
    return TargetKind.UNATTENDED, (
        f"listed as unattended, not {said.kind}: {answers!r} lets it install without asking",
    )


def _architectures(material: Material) -> tuple[str, ...]:
    from_header = kernels.architecture_of(material.kernel_header)
    if from_header is not None:
        return (from_header,)
    parts = (*material.picked.kernel.lower().split("/")[:-1], *_name_parts(material.name))
    return tuple(dict.fromkeys(ARCHITECTURES[part] for part in parts if part in ARCHITECTURES))[:1]


def _name_parts(name: str) -> tuple[str, ...]:
    return tuple(name.lower().replace("_", "-").split("-"))


def _recipe(material: Material, naming: Naming) -> str:
    debian_layout = "debian-installer/" in f"/{material.picked.kernel}"
    debian_files = naming.family == "debian" and (material.kernel, material.initrds) == (
        "linux",
        ("initrd.gz",),
    )
    return "debian-netboot" if debian_layout or debian_files else "kernel-initrd"
