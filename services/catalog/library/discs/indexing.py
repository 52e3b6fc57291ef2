"""A disc is indexed in a process of its own, with limits: it is anybody's file.

`python -m` this module is that process: a `Job` as JSON on its standard input, an `Outcome` on its
standard output. The index itself goes into the store.
"""

import os
import sys
from pathlib import Path

import msgspec

from bootyard.model.document import decode, encode
from bootyard.model.errors import ImageRejected
from bootyard.runtime.files import fingerprint_of
from services.catalog.library.apart import limit_this_process, run_apart
from services.catalog.library.discs.reader import read_disc
from services.catalog.library.discs.source import Incomplete
from services.catalog.library.discs.store import DiscStore, key_of

MODULE = "services.catalog.library.discs.indexing"
MAX_MEMORY = 768 * 1024**2
MAX_CPU_SECONDS = 60
MAX_SECONDS = 900.0
"""A slow disk counts here, and not for the processor's time."""
MAX_INDEX = 256 * 1024**2


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to index, where to, and what that may take."""

    disc: str
    store: str
    memory: int
    cpu_seconds: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One of three: indexed, wrong with the disc (problem, cure), wrong with a disk (errno)."""

    key: str = ""
    problem: str = ""
    cure: str = ""
    is_incomplete: bool = False
    errno: int = 0
    file: str = ""


async def index_disc(path: Path, store: DiscStore) -> str:
    """Index in a process of its own, which ends with this call, cancelled or not.

    Gives the key of the index in the store. Raises ImageRejected for what is wrong with the disc,
    Incomplete among it, and OSError for what is wrong with disks.
    """
    job = Job(
        disc=str(path),
        store=str(store.directory),
        memory=MAX_MEMORY,
        cpu_seconds=MAX_CPU_SECONDS,
    )
    outcome = await run_apart(MODULE, job, Outcome, MAX_SECONDS)
    if outcome is None:
        raise ImageRejected(
            "it cannot be read with the memory and time that a disc takes",
            "copy or download it again, or unpack it by hand into a folder",
        )
    if outcome.key:
        return outcome.key
    if outcome.errno:
        raise OSError(outcome.errno, os.strerror(outcome.errno), outcome.file)
    refusal = Incomplete if outcome.is_incomplete else ImageRejected
    raise refusal(outcome.problem, outcome.cure)


def main() -> None:
    """Do one job, under limits."""
    job = decode(sys.stdin.buffer.read(), Job)
    limit_this_process(memory=job.memory, cpu_seconds=job.cpu_seconds, largest_file=MAX_INDEX)
    sys.stdout.buffer.write(encode(_do(job)))


def _do(job: Job) -> Outcome:
    try:
        key = _index(Path(job.disc), DiscStore(Path(job.store)))
    except ImageRejected as error:
        is_incomplete = isinstance(error, Incomplete)
        return Outcome(problem=error.problem, cure=error.cure, is_incomplete=is_incomplete)
    except OSError as error:
        file = error.filename if isinstance(error.filename, str) else job.disc
        return Outcome(errno=error.errno or 5, file=file)
    return Outcome(key=key)


def _index(path: Path, store: DiscStore) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        before = fingerprint_of(os.fstat(descriptor))
        index = read_disc(lambda at, length: os.pread(descriptor, length, at), before.size)
        if fingerprint_of(os.fstat(descriptor)) != before:
            raise ImageRejected("it changed while it was read", "wait until it is copied")
    finally:
        os.close(descriptor)
    key = key_of(path, before)
    store.add(key, index, before)
    return key


if __name__ == "__main__":
    main()
