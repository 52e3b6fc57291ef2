"""Work on anybody's file, in a process of its own: what is made to run for ever ends with it."""

import asyncio
import os
import resource
import sys
from typing import TypeVar

from bootyard.model.document import decode, encode
from bootyard.runtime.log import get_logger

T = TypeVar("T")

log = get_logger(__name__)


async def run_apart(module: str, job: object, outcome: type[T], seconds: float) -> T | None:
    """Run `python -m MODULE`: a job as JSON on its standard input, an outcome on its output.

    It ends with this call, cancelled or not. None: it did not come to its end with the memory and
    time that it has.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            output, complaint = await process.communicate(encode(job))
    except TimeoutError:
        output, complaint = b"", b"it took too long"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said_last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
        name = module.rpartition(".")[2]
        log.warning("work apart given up", work=name, code=process.returncode, reason=said_last)
        return None
    return decode(output, outcome)


def limit_this_process(*, memory: int, cpu_seconds: int, largest_file: int) -> None:
    """Set the limits (bytes, seconds) of a process that does such work; it yields to others."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    os.nice(5)
