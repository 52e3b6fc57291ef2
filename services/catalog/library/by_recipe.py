"""An image as a recipe has it, as an entry of the library. Pure."""

from collections.abc import Callable

from bootyard.model.snapshot import Slice
from services.catalog.library.description import Description
from services.catalog.library.image import LibraryImage
from services.catalog.library.recipes.material import Recognised


def image_by_recipe(
    path: str,
    found: Recognised,
    said: Description,
    slice_of: Callable[[str], Slice],
    whole: Slice,
) -> LibraryImage:
    """Make the entry of what lies at `path`, with revision 0; `slice_of` names its files' bytes."""
    return LibraryImage(
        id=found.targets[0].image,
        path=path,
        title=found.title,
        family=found.family,
        version=found.version,
        kind=found.kind,
        architectures=found.architectures,
        size_bytes=whole.size,
        recipe=found.recipe,
        status=found.status,
        evidence=found.evidence,
        files={name: slice_of(name) for name in sorted(found.files)},
        targets=found.targets,
        whole=whole,
        templates=found.templates,
        notes=(*said.notes, *found.notes),
    )
