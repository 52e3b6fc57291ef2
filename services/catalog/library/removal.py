"""Taking an image out of the library: it is moved aside, never deleted."""

import os
import time
from pathlib import Path

from bootyard.model.errors import RequestRefused
from services.catalog.library import names
from services.catalog.library.image import LibraryImage

REMOVED = ".removed"


def move_aside(images_dir: Path, image: LibraryImage) -> Path:
    """Move an image's folder or file, with its `<name>.toml`, to `IMAGES_DIR/.removed/`.

    Gives where it is now. Raises RequestRefused when it is gone or cannot be moved. Blocks.
    """
    source = images_dir / image.path
    descriptions = [source.with_name(f"{names.stem(source.name)}.toml")] if source.is_file() else []
    try:
        if not source.is_symlink() and not source.exists():
            raise RequestRefused(f"{image.path} is not there any more", "look at the list again")
        place = _free_place(images_dir / REMOVED, source.name)
        place.mkdir(parents=True)
        source.rename(place / source.name)
        for description in descriptions:
            if description.is_file():
                description.rename(place / description.name)
    except OSError as error:
        raise RequestRefused(
            f"{image.path} cannot be moved to {REMOVED}: {os.strerror(error.errno or 0)}",
            "remove it by hand; the catalog needs to write in BOOTYARD_IMAGES_DIR for this",
        ) from error
    return place / source.name


def _free_place(removed: Path, name: str) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for count in range(1000):
        place = removed / f"{stamp}-{name}{f'-{count}' if count else ''}"
        if not place.exists():
            return place
    raise FileExistsError(17, "too many of one name")
