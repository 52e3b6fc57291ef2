"""A tarball is unpacked in a process of its own, with limits: it is anybody's file.

Python's tar reader can be kept busy for hours by a header that was made for it; here that ends
with the process, and machines go on booting meanwhile. `python -m` this module is that process: a
`Job` as JSON on its standard input, an `Outcome` on its standard output.
"""

import os
import sys
from pathlib import Path

import msgspec

from bootyard.model.document import decode, encode
from bootyard.model.errors import ImageRejected
from services.catalog.library.apart import limit_this_process, run_apart
from services.catalog.library.derived import DerivedStore
from services.catalog.library.description import Description
from services.catalog.library.tarball import MAX_UNPACKED, Unpacked, unpack

MODULE = "services.catalog.library.unpacking"
MAX_MEMORY = 1024**3
MAX_CPU_SECONDS = 300
MAX_SECONDS = 1800.0
"""A slow disk counts here, and not for the processor's time."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to unpack, and where to."""

    tarball: str
    derived: str
    said: Description


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One of three: unpacked, wrong with the tarball (problem, cure), wrong with a disk (errno)."""

    unpacked: Unpacked | None = None
    problem: str = ""
    cure: str = ""
    errno: int = 0
    file: str = ""


async def unpack_apart(tarball: Path, said: Description, derived_dir: Path) -> Unpacked:
    """Unpack in a process of its own, which ends with this call, cancelled or not.

    Raises ImageRejected for what is wrong with the tarball, OSError for what is wrong with disks.
    """
    job = Job(tarball=str(tarball), derived=str(derived_dir), said=said)
    outcome = await run_apart(MODULE, job, Outcome, MAX_SECONDS)
    if outcome is None:
        raise ImageRejected(
            "it cannot be unpacked with the memory and time that a netboot tarball takes",
            "copy or download it again, or unpack it by hand into a folder",
        )
    if outcome.unpacked is not None:
        return outcome.unpacked
    if outcome.errno:
        raise OSError(outcome.errno, os.strerror(outcome.errno), outcome.file)
    raise ImageRejected(outcome.problem, outcome.cure)


def main() -> None:
    """Do one job, under limits."""
    limit_this_process(memory=MAX_MEMORY, cpu_seconds=MAX_CPU_SECONDS, largest_file=MAX_UNPACKED)
    job = decode(sys.stdin.buffer.read(), Job)
    sys.stdout.buffer.write(encode(_do(job)))


def _do(job: Job) -> Outcome:
    try:
        unpacked = unpack(Path(job.tarball), job.said, DerivedStore(Path(job.derived)))
    except ImageRejected as error:
        return Outcome(problem=error.problem, cure=error.cure)
    except OSError as error:
        file = error.filename if isinstance(error.filename, str) else job.tarball
        return Outcome(errno=error.errno or 5, file=file)
    return Outcome(unpacked=unpacked)


if __name__ == "__main__":
    main()
