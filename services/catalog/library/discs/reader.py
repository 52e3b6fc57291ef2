"""A disc, read once: which tree of it tells most, what is in that, and how it boots. Pure.

Start here: `descriptors` (what the disc says of itself) → `iso9660` with `rockridge`, `udf` with
`udf_volume` (its trees) → `links`, `eltorito`.
"""

from bootyard.model.errors import ImageRejected
from services.catalog.library.discs.descriptors import Volume, read_volume
from services.catalog.library.discs.eltorito import read_catalogue
from services.catalog.library.discs.found import Found
from services.catalog.library.discs.index import BootImage, DiscIndex
from services.catalog.library.discs.iso9660 import read_iso
from services.catalog.library.discs.links import resolve_links
from services.catalog.library.discs.source import Source
from services.catalog.library.discs.udf import read_udf
from services.catalog.library.secureboot import Read


def read_disc(read: Read, size: int) -> DiscIndex:
    """Read what is in a disc of `size` bytes, and where.

    Raises ImageRejected for a disc that is damaged, not complete, hostile or of no known kind, and
    whatever `read` raises.
    """
    source = Source(read, size)
    volume = read_volume(source)
    found, notes = _best_tree(source, volume)
    _check_holds_something(found)
    links = resolve_links(found)
    notes += found.notes()
    if dangling := len(found.links) - len(links):
        verb = "is" if dangling == 1 else "are"
        notes.append(f"{dangling} of its links {verb} left out: they lead nowhere on it")
    boot: tuple[BootImage, ...] = ()
    if volume.catalogue is not None:
        lengths = {extents[0][0]: _length(extents) for extents in found.files.values() if extents}
        boot, more = read_catalogue(source, volume.catalogue, lengths)
        notes += more
    return DiscIndex(
        size=size,
        volume_id=volume.volume_id,
        system_id=volume.system_id,
        publisher=volume.publisher,
        application=volume.application,
        tree=found.kind,
        files=found.files,
        links=links,
        boot=boot,
        notes=tuple(notes),
    )


def _best_tree(source: Source, volume: Volume) -> tuple[Found, list[str]]:
    """Choose between ISO 9660 and UDF.

    Discs of Windows have everything in UDF, and a text that says so in ISO 9660; others have the
    same in both, and better names in UDF than plain ISO 9660 can have.
    """
    iso = read_iso(source, volume)
    if not volume.has_udf:
        return iso, []
    try:
        udf = read_udf(source)
    except ImageRejected as error:
        if iso.worth()[1] * 2 < source.size:
            raise
        return iso, [f"its UDF file system is not read: {error.problem}"]
    is_plain = iso.kind == "iso9660"
    return (udf, []) if (udf.worth(), is_plain) > (iso.worth(), False) else (iso, [])


def _check_holds_something(found: Found) -> None:
    if found.files:
        return
    if found.left_out["zisofs"]:
        raise ImageRejected(
            "all its files are stored compressed (zisofs), which only Linux can read",
            "unpack it into a folder here, or make it again without -z or --zisofs",
        )
    raise ImageRejected("there is no file on it", "copy or download it again")


def _length(extents: tuple[tuple[int, int], ...]) -> int:
    return sum(length for _, length in extents)
