"""Ids: which of several things with one name is the image of that id, and what the others are.

Pure: outcomes of candidates in, entries of the library out.
"""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from services.catalog.library import names
from services.catalog.library.image import LibraryImage


class Claim(msgspec.Struct, frozen=True):
    """Something in IMAGES_DIR that would be the image of an id."""

    path: str
    """Where it lies, as it is on disk."""
    name: str
    """What the id is made of."""
    image: LibraryImage | None
    """What it was found to be; None while it is being copied or read."""


def arrange(
    claims: Sequence[Claim], holders: Mapping[str, str]
) -> tuple[tuple[LibraryImage, ...], dict[str, str]]:
    """Make the library's entries, in the order of the claims, and say who holds each id.

    `holders` (id -> path) is what the last call said: a newcomer never takes the id of an image
    that is there and boots.
    """
    by_id: dict[str, list[Claim]] = {}
    for claim in claims:
        by_id.setdefault(names.slug(claim.name), []).append(claim)
    chosen = {image_id: _choose(group, holders.get(image_id)) for image_id, group in by_id.items()}
    entries = tuple(
        _entry(claim, claim.image, chosen[names.slug(claim.name)])
        for claim in claims
        if claim.image is not None
    )
    return entries, {image_id: claim.path for image_id, claim in chosen.items()}


def _choose(group: Sequence[Claim], holder: str | None) -> Claim:
    held = next((claim for claim in group if claim.path == holder), None)
    if held is not None and (held.image is None or held.image.is_ready):
        return held
    ready = next((c for c in group if c.image is not None and c.image.is_ready), None)
    return ready or held or group[0]


def _entry(claim: Claim, image: LibraryImage, chosen: Claim) -> LibraryImage:
    image_id = image.id
    if not image_id:
        digest = hashlib.sha256(claim.path.encode("utf-8", "surrogateescape")).hexdigest()
        image = msgspec.structs.replace(image, id=f"unnamed-{digest[:8]}")
        problem = "its name has no letter a-z and no digit, so it gives no id"
        return _refused(image, problem, "rename it")
    if not image.is_ready:
        return image
    if image_id in names.RESERVED_IDS:
        return _refused(image, f"{image_id!r} has a meaning of its own as a target", "rename it")
    if chosen.path != claim.path:
        other = names.printable(chosen.path)
        return _refused(
            image, f"the id {image_id} is taken by {other}", "rename one of the two, or remove it"
        )
    return image


def _refused(image: LibraryImage, problem: str, cure: str) -> LibraryImage:
    return msgspec.structs.replace(
        image,
        state="problem",
        problem=image.problem or problem,
        cure=image.cure or cure,
        files={},
        targets=(),
    )
