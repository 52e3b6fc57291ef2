"""Fuzzes the targets for a bounded time: `make fuzz SECONDS=60`.

    python -m tests.fuzz.run [--seconds N] [TARGET ...]

The time is shared by the targets, each in a process of its own: with atheris (libFuzzer, guided by
coverage) where there is a build of it, else by mutating the corpus at random. An input that breaks
something is printed in hex; keep it as `tests/fuzz/found/<target>/<name>.hex`.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

MAX_INPUT = 8192
SLOW_SECONDS = 10
"""One input that takes longer is a fault."""
MEGABYTES = 1500

HAS_ATHERIS = find_spec("atheris") is not None


def fuzz(target: str, seconds: int) -> str | None:
    """Fuzz one target in a process of its own; gives what was found, or None."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.fuzz.run", "--inside", folder, target]
        done = subprocess.run(
            [*command, "--seconds", str(seconds)],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + 300,
        )
        print(f"{target}: {_summary(done.stdout + done.stderr)}")
        if done.returncode == 0:
            return None
        inputs = [
            path.read_bytes().hex() for path in Path(folder).glob("found-*") if path.is_file()
        ]
        return "\n".join((done.stdout[-2000:], done.stderr[-4000:], "input in hex:", *inputs))


def _summary(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith(("Done ", "#"))]
    return lines[-1] if lines else "no summary"


def inside(target: str, folder: Path, seconds: int) -> None:
    """Fuzz in this process, until the time is over or something breaks."""
    if not HAS_ATHERIS:
        from tests.fuzz.corpus import seeds  # noqa: PLC0415
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415

        mutate_for(TARGETS[target], seeds(target), folder, seconds)
        return
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=["bootyard", "services", "asn1crypto"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415
    from tests.fuzz.corpus import seeds  # noqa: PLC0415

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        *("fuzz", str(corpus), f"-max_total_time={seconds}", f"-max_len={MAX_INPUT}"),
        *(f"-timeout={SLOW_SECONDS}", f"-rss_limit_mb={MEGABYTES}"),
        *(f"-artifact_prefix={folder}/found-", "-verbosity=1", "-print_final_stats=0"),
    ]
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


def mutate_for(
    target: Callable[[bytes], None], seeds: tuple[bytes, ...], folder: Path, seconds: float
) -> None:
    """Mutate seeds at random, the same way every time."""
    chance = random.Random(1)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        data = mutated(chance.choice(seeds), chance)
        count += 1
        try:
            target(data)
        except BaseException:
            (folder / "found-input").write_bytes(data)
            raise
    print(f"Done {count} runs without coverage")


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change a few bytes, cut, double, or put others in."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(4):
            case 0 if at < len(changed):
                changed[at] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
            case 1:
                changed[at : at + chance.randrange(1, 9)] = b""
            case 2:
                changed[at:at] = chance.randbytes(chance.randrange(1, 9))
            case _:
                changed[at:at] = changed[at : at + chance.randrange(1, 65)]
    return bytes(changed[:MAX_INPUT])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("target", nargs="*")
    said = parser.parse_args()
    if said.inside is not None:
        inside(said.target[0], said.inside, said.seconds)
        return
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    targets = said.target or list(TARGETS)
    unknown = set(targets) - set(TARGETS)
    if unknown:
        parser.error(
            f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}"
        )
    found = {target: fuzz(target, max(1, said.seconds // len(targets))) for target in targets}
    for target, what in found.items():
        if what is not None:
            print(f"\n== {target}\n{what}")
    sys.exit(any(what is not None for what in found.values()))


if __name__ == "__main__":
    main()
