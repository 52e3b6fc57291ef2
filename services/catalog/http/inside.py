"""`images/<id>[@<rev>]/iso/<path>`: any file inside an image, over HTTP only."""

import asyncio

from bootyard.boot.client import RequestFacts
from bootyard.boot.menus.places import INSIDE
from bootyard.boot.names import normalise
from bootyard.boot.tree import Found
from bootyard.model.events import FileClass
from bootyard.model.snapshot import Slice
from services.catalog.http.context import Catalog

MAX_PATH = 2048
"""Repositories of packages lie deep, with long names."""


async def find_inside(catalog: Catalog, path: str, facts: RequestFacts) -> Found | None:
    """Find what a name means below an image's own tree; None when it means nothing there.

    What is rewritten for us hides the file of its name, and of a tarball there is nothing else than
    what the snapshot names.
    """
    name = normalise(path, MAX_PATH) or ""
    images, _, rest = name.partition("/")
    folder, _, inner = rest.partition("/")
    middle, _, file = inner.partition("/")
    if images.casefold() != "images" or middle.casefold() != INSIDE or not file:
        return None
    image = catalog.snapshots.tree.image_named(folder.casefold())
    if image is None:
        return None
    is_rewritten = file.casefold() in {template.casefold() for template in image.templates}
    content = None if is_rewritten else await _slice(catalog, image.id, file)
    if content is None:
        found = catalog.snapshots.resolve(f"{images}/{folder}/{file}", facts)
        return found if isinstance(found, Found) and found.script is None else None
    return Found(path=name, content=content, file_class=FileClass.IMAGE, image=image.id)


async def _slice(catalog: Catalog, image_id: str, file: str) -> Slice | None:
    try:
        return await asyncio.to_thread(catalog.library.slice_in, image_id, file)
    except OSError:
        return None
