"""Kernel and initrd out of a `netboot.tar.gz`, into the derived store.

A tarball is anybody's file: names never become paths on disk, and sizes are limited while they are
read. Everything here blocks; see `unpacking` for where it runs.
"""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from bootyard.boot.vendor import PACKAGED_VENDOR
from bootyard.model.errors import ImageRejected
from bootyard.runtime.files import fingerprint_of
from services.catalog.library.derived import CHUNK, DerivedStore, Stored
from services.catalog.library.description import Description
from services.catalog.library.pick import Picked, names_in_tree, pick
from services.catalog.library.secureboot import (
    MAX_EFI_PROGRAM,
    ChainFiles,
    examine,
    find_chains,
)

MAX_UNPACKED = 4 * 1024**3
MAX_MEMBERS = 20_000
MAX_SINGLE_READ = 256 * 1024
"""Headers are read at once, and their length is the tarball's own claim."""

VERSION_INFO = "version.info"
_DAMAGE = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    ValueError,
    OverflowError,
    RecursionError,
)


class Unpacked(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of one tarball."""

    sha256: str
    """Of the tarball."""
    picked: Picked
    files: dict[str, Stored]
    """By name in the boot tree."""
    chains: tuple[ChainFiles, ...] = ()
    """Shims and GRUBs among `files`."""
    version_info: str = ""


def unpack(path: Path, said: Description, store: DerivedStore) -> Unpacked:
    """Store the files of a tarball that boot it.

    Raises ImageRejected for what is wrong with the tarball, OSError for what is wrong with disks.
    """
    with path.open("rb") as file:
        before = fingerprint_of(os.fstat(file.fileno()))
        with _damage_is_a_problem():
            sizes, version_info = _list(file)
            picked = pick(sizes, said)
            named = names_in_tree(picked)
            wanted = {inside: name for name, inside in named.items()}
            small = {name for name, size in sizes.items() if size <= MAX_EFI_PROGRAM}
            chains = find_chains(small, said)
            wanted |= {name: name for chain in chains for name in (chain.shim, chain.grub)}
            files = _extract(file, wanted, store)
            chains, files = _without_packaged(chains, files, set(named), store)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if fingerprint_of(os.fstat(file.fileno())) != before:
            raise ImageRejected("it changed while it was read", "wait until it is copied")
    return Unpacked(
        sha256=sha256, picked=picked, files=files, version_info=version_info, chains=chains
    )


def _without_packaged(
    chains: tuple[ChainFiles, ...],
    files: dict[str, Stored],
    booted: set[str],
    store: DerivedStore,
) -> tuple[tuple[ChainFiles, ...], dict[str, Stored]]:
    """Leave out the chain that is among the packaged loaders already: Debian's own tarballs."""

    def vendor(name: str) -> str:
        return examine(lambda offset, length: store.read(files[name], offset, length)).vendor

    left = tuple(c for c in chains if c.said or vendor(c.grub) != PACKAGED_VENDOR)
    kept = booted | {name for chain in left for name in (chain.shim, chain.grub)}
    return left, {name: stored for name, stored in files.items() if name in kept}


def _list(file: BinaryIO) -> tuple[dict[str, int], str]:
    """Name every regular file with its size, and read `version.info`; checks the whole stream."""
    sizes: dict[str, int] = {}
    version_info = ""
    with _open(file) as (archive, stream):
        for member in _members(archive):
            name = _clean(member.name)
            sizes[name] = member.size
            if name == VERSION_INFO and member.size <= 4096:
                version_info = _content(archive, member).read().decode("utf-8", "replace")
        while stream.read(CHUNK):
            pass
    return sizes, version_info


def _extract(file: BinaryIO, wanted: dict[str, str], store: DerivedStore) -> dict[str, Stored]:
    files: dict[str, Stored] = {}
    with _open(file) as (archive, _):
        for member in _members(archive):
            name = wanted.get(_clean(member.name))
            if name is not None and name not in files:
                files[name] = store.add(_content(archive, member))
    missing = set(wanted.values()) - set(files)
    if missing:
        raise ImageRejected(f"{', '.join(sorted(missing))} cannot be read", "copy it again")
    return files


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Give regular files that would stay where they are unpacked; the rest is not wanted."""
    for count, member in enumerate(archive):
        if count >= MAX_MEMBERS:
            raise ImageRejected(
                f"there are more than {MAX_MEMBERS} files in it",
                "unpack it, and copy only the folder with kernel and initrd",
            )
        if not member.isreg() or member.issparse():
            continue
        try:
            yield tarfile.data_filter(member, "/derived")
        except tarfile.FilterError:
            continue


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> io.BufferedReader:
    content = archive.extractfile(member)
    if content is None:
        raise ImageRejected(f"{member.name} cannot be read", "copy it again")
    return content  # type: ignore[return-value]  # typeshed has IO[bytes]


@contextmanager
def _open(file: BinaryIO) -> Iterator[tuple[tarfile.TarFile, "_Limited"]]:
    file.seek(0)
    with gzip.GzipFile(fileobj=file, mode="rb") as plain:
        stream = _Limited(plain)
        with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
            yield archive, stream


class _Limited:
    """A decompressed stream that ends with a refusal where a bomb would go on."""

    def __init__(self, plain: gzip.GzipFile) -> None:
        self._plain = plain

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_SINGLE_READ:
            raise ImageRejected("it has a header of an impossible length", "copy it again")
        data = self._plain.read(size)
        self._check(self._plain.tell())
        return data

    def tell(self) -> int:
        return self._plain.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            self._check(offset)
        return self._plain.seek(offset, whence)

    def _check(self, position: int) -> None:
        if position > MAX_UNPACKED:
            raise ImageRejected(
                f"it holds more than {MAX_UNPACKED // 1024**3} GiB",
                "unpack it, and copy only the folder with kernel and initrd",
            )


@contextmanager
def _damage_is_a_problem() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        # Behind the bracket Python quotes the file's bytes.
        reason = str(error).partition(" (b'")[0] or type(error).__name__
        raise ImageRejected(
            f"it is damaged, or no gzipped tar file: {reason}",
            "copy or download it again, and compare its checksum",
        ) from error


def _clean(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in {"", "."})
