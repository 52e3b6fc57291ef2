"""Packets of real firmware, one UDP payload per file; README.md says where each is from."""

from pathlib import Path

_HERE = Path(__file__).parent


def names(prefix: str = "") -> tuple[str, ...]:
    """Every recorded packet whose name begins with `prefix`."""
    return tuple(sorted(path.stem for path in _HERE.glob(f"{prefix}*.hex")))


def load(name: str) -> bytes:
    """The payload of one recorded packet."""
    lines = (_HERE / f"{name}.hex").read_text(encoding="ascii").splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))
