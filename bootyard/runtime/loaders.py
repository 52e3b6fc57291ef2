"""Loader binaries on disk: those from packages and those the user put in, which win."""

from collections.abc import Iterator
from pathlib import Path

from bootyard.model.architecture import Firmware
from bootyard.model.loaders import (
    LOADER_FILES,
    PLATFORM_OF,
    SIGNED_IPXE_FILES,
    WIMBOOT_FOLDER,
)
from bootyard.model.snapshot import Root, Slice
from bootyard.runtime.log import get_logger

log = get_logger(__name__)

_FOLDERS = {WIMBOOT_FOLDER, *(str(firmware) for firmware in LOADER_FILES)}
_NOT_LOADERS = (".txt", ".md", ".asc", ".sig", ".sha256", ".toml", ".json")
_KNOWN_NAMES = {
    file: str(firmware)
    for firmware, loaders in reversed(LOADER_FILES.items())
    for files in loaders.values()
    for file in files
}
"""Where a file of that name usually goes."""


def scan_loaders(packaged_dir: Path, user_dir: Path) -> dict[str, Slice]:
    """List `<firmware>/<file>` of both directories; folders that do not exist are empty.

    Every service has its own copy of the packaged ones, so slices carry no fingerprint.
    """
    loaders: dict[str, Slice] = {}
    for root, directory in ((Root.PACKAGED, packaged_dir), (Root.LOADERS, user_dir)):
        for path in sorted(directory.glob("*/*")):
            size = _size(path)
            if size is not None and (root is Root.PACKAGED or _has_second_stage(path)):
                name = path.relative_to(directory).as_posix()
                loaders[name] = Slice(root=root, path=name, extents=((0, size),))
    return loaders


class LoaderFolders:
    """Both directories, scanned again and again; says once what lies where nobody finds it."""

    def __init__(self, packaged_dir: Path, user_dir: Path) -> None:
        self._packaged_dir = packaged_dir
        self._user_dir = user_dir
        self._told: set[str] = set()

    def scan(self) -> dict[str, Slice]:
        """List the loaders. Blocks."""
        misplaced = dict(misplaced_loaders(self._user_dir))
        for path, cure in misplaced.items():
            if path not in self._told:
                log.warning("loader not used", path=str(self._user_dir / path), cure=cure)
        self._told = set(misplaced)
        return scan_loaders(self._packaged_dir, self._user_dir)


def misplaced_loaders(user_dir: Path) -> Iterator[tuple[str, str]]:
    """Name what is in LOADERS_DIR and will not be used, each with what to do."""
    for path in sorted(user_dir.glob("*")):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _misplaced_in(path)
        elif not path.name.lower().endswith(_NOT_LOADERS):
            folder = _KNOWN_NAMES.get(path.name.lower(), str(Firmware.UEFI_X64))
            yield path.name, f"move it to the folder of its firmware, such as {folder}/{path.name}"


def _misplaced_in(folder: Path) -> Iterator[tuple[str, str]]:
    if folder.name not in _FOLDERS:
        platform = {str(http): str(pxe) for http, pxe in PLATFORM_OF.items()}.get(folder.name)
        cure = f"rename it to {platform}" if platform else "give it the name of a firmware"
        yield f"{folder.name}/", f"{cure}: folders here are {', '.join(sorted(_FOLDERS))}"
        return
    for path in sorted(folder.glob("*")):
        name = f"{folder.name}/{path.name}"
        lower = path.name.lower()
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield f"{name}/", f"move the files in it to {folder.name}/ itself"
        elif lower != path.name and lower in _KNOWN_NAMES:
            yield name, f"rename it to {lower}"
        elif not _has_second_stage(path):
            stage = SIGNED_IPXE_FILES[path.name]
            yield name, f"put the signed {stage} that it starts beside it"


def _has_second_stage(path: Path) -> bool:
    """Tell whether what a shim of iPXE's starts lies beside it.

    The packaged iPXE of the same name is not signed: behind this shim it leads nowhere.
    """
    stage = SIGNED_IPXE_FILES.get(path.name)
    return stage is None or path.with_name(stage).is_file()


def _size(path: Path) -> int | None:
    """Give a file's size; None for what is no file, is hidden, or vanishes meanwhile."""
    try:
        is_hidden = path.name.startswith(".") or path.parent.name.startswith(".")
        is_loader = not is_hidden and path.is_file()
        return path.stat().st_size if is_loader else None
    except OSError:
        return None
