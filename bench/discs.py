#!/usr/bin/env python3
"""How long a disc of 100 000 files takes to index, and a path to look up; needs xorriso.

The index is made as the catalog makes it, in a process of its own. `discs.py --files 1000` is
quicker.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bootyard.model.document import decode, encode
from services.catalog.library.discs.indexing import MAX_CPU_SECONDS, MAX_MEMORY, Job, Outcome
from services.catalog.library.discs.store import DiscStore

ROOT = Path(__file__).parents[1]
LOOK_UPS = 1000


def make(folder: Path, disc: Path, files: int, options: list[str]) -> None:
    """Make a disc of small files, a hundred in a folder."""
    for number in range(files):
        file = folder / f"folder-{number // 100:04}/file-{number % 100:04}.txt"
        if number % 100 == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(b"%d" % number)
    program = ["xorriso", "-as", "mkisofs", *options]
    subprocess.run([*program, "-quiet", "-o", disc, folder], check=True, capture_output=True)


def index(disc: Path, store: DiscStore) -> tuple[str, float, float, float]:
    """Index, and give the key, seconds, seconds of the processor, and MB at the most."""
    job = Job(
        disc=str(disc),
        store=str(store.directory),
        memory=MAX_MEMORY,
        cpu_seconds=MAX_CPU_SECONDS,
    )
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "services.catalog.library.discs.indexing"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(encode(job))
    process.stdin.close()
    outcome = decode(process.stdout.read(), Outcome)
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - start
    assert outcome.key, outcome
    return outcome.key, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Read the command line, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        disc, store = work / "disc.iso", DiscStore(work / "store")
        store.prepare()
        make(work / "folder", disc, said.files, ["-R", "-J"])
        for _ in range(said.rounds):
            key, seconds, processor, peak = index(disc, store)
            size = (store.directory / key).stat().st_size / 1e6
            start = time.perf_counter()
            opened = store.open(key)
            assert opened is not None
            assert opened.extents("FOLDER-0003/file-0042.TXT")
            first = time.perf_counter() - start
            start = time.perf_counter()
            for number in range(LOOK_UPS):
                opened.find(f"folder-{number % 10:04}/file-{number % 100:04}.txt")
            each = (time.perf_counter() - start) / LOOK_UPS
            opened.close()
            print(
                f"index {seconds:.2f} s ({processor:.2f} s of processor), {peak:.0f} MB,"
                f" {size:.1f} MB on disk; open and first look-up {first * 1e3:.1f} ms,"
                f" others {each * 1e6:.0f} us"
            )


if __name__ == "__main__":
    main()
