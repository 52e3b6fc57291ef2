"""A tarball is unpacked in a process of its own, with limits: it is anybody's file.

Python's tar reader can be kept busy for hours by a header that was made for it; here that ends
with the process, and machines go on booting meanwhile. `python -m` this module is that process: a
`Job` as JSON on its standard input, an `Outcome` on its standard output.
"""

import asyncio
import os
import resource
import sys
from pathlib import Path

import msgspec

from bootyard.model.document import decode, encode
from bootyard.model.errors import ImageRejected
from bootyard.runtime.log import get_logger
from services.catalog.library.derived import DerivedStore
from services.catalog.library.description import Description
from services.catalog.library.tarball import MAX_UNPACKED, Unpacked, unpack

log = get_logger(__name__)

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
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.catalog.library.unpacking"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(MAX_SECONDS):
            output, complaint = await process.communicate(encode(job))
    except TimeoutError:
        output, complaint = b"", b"it took too long"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said_last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
        log.warning(
            "unpacking gave up", path=tarball.name, code=process.returncode, reason=said_last
        )
        raise ImageRejected(
            "it cannot be unpacked with the memory and time that a netboot tarball takes",
            "copy or download it again, or unpack it by hand into a folder",
        )
    outcome = decode(output, Outcome)
    if outcome.unpacked is not None:
        return outcome.unpacked
    if outcome.errno:
        raise OSError(outcome.errno, os.strerror(outcome.errno), outcome.file)
    raise ImageRejected(outcome.problem, outcome.cure)


def main() -> None:
    """Do one job, under limits."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_UNPACKED, MAX_UNPACKED))
    os.nice(5)
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
