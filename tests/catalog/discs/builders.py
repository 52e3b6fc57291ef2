"""Discs for tests: made by the programs that people make them with, and read for comparison."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.catalog.library.discs.index import DiscIndex
from services.catalog.library.discs.reader import read_disc

MIB = 1024**2


def noise(name: str, length: int) -> bytes:
    """Give bytes that look like nothing else, the same ones for a name every time."""
    return hashlib.shake_128(name.encode()).digest(length)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_folder(path: Path, files: Mapping[str, int | bytes]) -> Path:
    """Make a folder of files; a number asks for that many bytes of noise."""
    path.mkdir(parents=True)
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(noise(name, content) if isinstance(content, int) else content)
    return path


def files_of(folder: Path) -> dict[str, str]:
    """Give the sha256 of every regular file by its path; links and pipes are none."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            file = Path(path) / name
            if file.is_file() and not file.is_symlink():
                found[os.fsencode(file.relative_to(folder)).decode("utf-8", "replace")] = sha256(
                    file.read_bytes()
                )
    return found


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program that makes or reads discs; one that is missing fails the test."""
    if shutil.which(str(command[0])) is None:
        pytest.fail(f"not installed: {command[0]}; see `make test`", pytrace=False)
    done = subprocess.run(
        command, check=False, cwd=cwd, capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def xorriso(disc: Path, folder: Path, *options: str | Path) -> Path:
    """Make a disc with xorriso, as mkisofs."""
    run("xorriso", "-as", "mkisofs", "-quiet", *options, "-o", disc, folder)
    return disc


def genisoimage(disc: Path, folder: Path, *options: str | Path) -> Path:
    """Make a disc with genisoimage."""
    run("genisoimage", "-quiet", *options, "-o", disc, folder)
    return disc


def extracted(disc: Path, to: Path) -> dict[str, str]:
    """Extract a disc with xorriso, and give the sha256 of every file."""
    run("xorriso", "-osirrox", "on", "-indev", disc, "-extract", "/", to)
    run("chmod", "-R", "u+rwX", to)
    return files_of(to)


def read(disc: Path) -> DiscIndex:
    """Index a disc in this process."""
    with disc.open("rb") as file:
        descriptor = file.fileno()
        return read_disc(
            lambda offset, length: os.pread(descriptor, length, offset), disc.stat().st_size
        )


def read_bytes(data: bytes) -> DiscIndex:
    """Index a disc that is in memory."""
    return read_disc(lambda offset, length: data[offset : offset + length], len(data))


def content(disc: Path, index: DiscIndex, path: str) -> bytes:
    """Read a file of a disc by its extents."""
    with disc.open("rb") as file:
        return b"".join(
            os.pread(file.fileno(), length, offset) for offset, length in index.files[path]
        )


def contents(disc: Path, index: DiscIndex) -> dict[str, str]:
    """Give the sha256 of every file in an index, read by its extents."""
    return {path: sha256(content(disc, index, path)) for path in index.files}
