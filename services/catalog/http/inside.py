"""`images/<id>[@<rev>]/iso/<path>`: any file inside an image, over HTTP only."""

import asyncio

from bootyard.boot.names import normalise
from bootyard.boot.tree import Found
from bootyard.model.events import FileClass
from services.catalog.http.context import Catalog

FOLDER = "iso"
MAX_PATH = 2048
"""Repositories of packages lie deep, with long names."""


async def find_inside(catalog: Catalog, path: str) -> Found | None:
    """Find what a name means below an image's own tree; None when it means nothing there."""
    name = normalise(path, MAX_PATH) or ""
    images, _, rest = name.partition("/")
    folder, _, inner = rest.partition("/")
    middle, _, file = inner.partition("/")
    if images.casefold() != "images" or middle.casefold() != FOLDER or not file:
        return None
    image_id, at, revision = folder.casefold().partition("@")
    image = catalog.snapshots.snapshot.images.get(image_id)
    if image is None or (at and revision != str(image.revision)):
        return None
    try:
        content = await asyncio.to_thread(catalog.library.slice_in, image_id, file)
    except OSError:
        return None
    if content is None:
        return None
    return Found(path=name, content=content, file_class=FileClass.IMAGE, image=image_id)
