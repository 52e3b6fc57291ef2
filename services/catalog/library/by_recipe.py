"""An image as a recipe has it: its files named as slices, its signed chain looked at. Blocks."""

from collections.abc import Callable

import msgspec

from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import Slice
from services.catalog.library import names
from services.catalog.library.description import Description
from services.catalog.library.image import LibraryImage
from services.catalog.library.kernels import HEADER_BYTES, complete_size_of
from services.catalog.library.recipes.material import ImageTree, Recognised
from services.catalog.library.secureboot import Read, Signed, examine, find_chains, usable_chains

LINUX_LOADERS = frozenset({"linux", "efi"})
"""Whose kernel is an EFI program, which may be signed."""


def image_by_recipe(
    path: str,
    tree: ImageTree,
    found: Recognised,
    said: Description,
    slice_of: Callable[[str], Slice],
    *,
    whole: Slice | None,
) -> LibraryImage:
    """Make the library's entry, with revision 0. Raises ImageRejected and OSError."""
    kernels = {t.kernel for t in found.targets if t.loader in LINUX_LOADERS and t.kernel}
    for name in kernels:
        _check_kernel(tree, name)
    signed = {name: examine(_reader(tree, name)) for name in kernels}
    chains = find_chains(set(tree.paths()), said)
    programs = {
        name: examine(_reader(tree, name))
        for name in {file for chain in chains for file in (chain.shim, chain.grub)}
    }
    image_id = found.targets[0].image
    targets = []
    for target in found.targets:
        kernel = signed.get(target.kernel, Signed())
        is_disc = tree.container == "disc"
        usable = usable_chains(chains, programs, kernel, image_id, is_disc=is_disc)
        targets.append(msgspec.structs.replace(target, signed_by=kernel.vendor, chains=usable))
    served = {*found.files, *(f for t in targets for c in t.chains for f in (c.shim, c.grub))}
    for name in served:
        if not names.is_script_safe(name):
            raise ImageRejected(
                f"a boot script cannot carry the file name {names.printable(name)!r}",
                "boot it by a folder with its kernel and initrd, renamed",
            )
    return LibraryImage(
        id=image_id,
        path=path,
        title=found.title,
        family=found.family,
        version=found.version,
        kind=found.kind,
        architectures=found.architectures,
        size_bytes=tree.size,
        recipe=found.recipe,
        status=found.status,
        evidence=found.evidence,
        files={name: slice_of(name) for name in sorted(served)},
        targets=tuple(targets),
        whole=whole,
        templates=found.templates,
        notes=(*said.notes, *found.notes),
    )


def _reader(tree: ImageTree, name: str) -> Read:
    return lambda offset, length: tree.read(name, offset, length)


def _check_kernel(tree: ImageTree, name: str) -> None:
    size = tree.size_of(name)
    complete = complete_size_of(tree.read(name, 0, HEADER_BYTES))
    if not size or (complete is not None and size < complete):
        raise ImageRejected(
            f"the kernel {name} in it is cut off: it has {size} bytes"
            + (f" of at least {complete}" if complete else ""),
            "copy or download it again, and compare its checksum",
        )
