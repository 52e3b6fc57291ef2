"""What holds for the index of any disc, whoever made it."""

from services.catalog.library.discs.found import MAX_PATH
from services.catalog.library.discs.index import DiscIndex


def check(index: DiscIndex) -> None:
    """See that an index names nothing that is not on its disc."""
    for path, extents in index.files.items():
        assert path
        assert not {"", ".", ".."} & set(path.split("/"))
        assert len(path) <= MAX_PATH
        path.encode()
        for offset, length in extents:
            assert 0 <= offset < offset + length <= index.size
    for path, target in index.links.items():
        assert path != target
        assert target in index.files or not target or not {"", ".", ".."} & set(target.split("/"))
    for image in index.boot:
        assert 0 <= image.offset < image.offset + image.length <= index.size
