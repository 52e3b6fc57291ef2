"""Loader binaries on disk: those from packages and those the user put in, which win."""

from pathlib import Path

from bootyard.model.snapshot import Root, Slice


def scan_loaders(packaged_dir: Path, user_dir: Path) -> dict[str, Slice]:
    """List `<firmware>/<file>` of both directories; folders that do not exist are empty.

    Every service has its own copy of the packaged ones, so slices carry no fingerprint.
    """
    loaders: dict[str, Slice] = {}
    for root, directory in ((Root.PACKAGED, packaged_dir), (Root.LOADERS, user_dir)):
        for path in sorted(directory.glob("*/*")):
            if path.is_file() and not path.name.startswith("."):
                name = path.relative_to(directory).as_posix()
                loaders[name] = Slice(root=root, path=name, extents=((0, path.stat().st_size),))
    return loaders
