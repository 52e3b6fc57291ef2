"""What a walk may find: every limit ends it with a sentence."""

from collections.abc import Callable

import pytest

from bootyard.model.errors import ImageRejected
from services.catalog.library.discs import found
from services.catalog.library.discs.found import Found
from services.catalog.library.discs.links import MAX_HOPS, resolve_links


def _found() -> Found:
    return Found("rock-ridge", 1000)


@pytest.mark.parametrize(
    ("limit", "value", "act", "problem"),
    [
        ("MAX_ENTRIES", 3, lambda f, n: f.path("", str(n)), "more than 3 files"),
        ("MAX_PATH", 19, lambda f, n: f.path("x" * 15, "y" * n), "more than 19 characters"),
        ("MAX_NAMES", 20, lambda f, n: f.path("", f"name-{n}"), "paths are longer"),
        ("MAX_DEPTH", 3, lambda f, n: f.folder("x", n), "more than 3 deep"),
        ("MAX_LINK_TARGETS", 20, lambda f, n: f.link(str(n), "target"), "links are longer"),
        ("MAX_EXTENTS", 3, lambda f, n: f.file(str(n), [(n, 1)]), "more pieces"),
    ],
)
def test_limits(
    limit: str,
    value: int,
    act: Callable[[Found, int], object],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(found, limit, value)
    growing = _found()
    for number in range(1, 4):
        act(growing, number)
    with pytest.raises(ImageRejected, match=problem):
        act(growing, 4)


def test_pieces_that_follow_each_other_are_one() -> None:
    here = _found()
    here.file("a", [(0, 10), (10, 5), (15, 0), (15, 5), (30, 5), (0, 5), (0, 5)])
    assert here.files["a"] == ((0, 20), (30, 5), (0, 5), (0, 5))


def _linked(links: dict[str, str]) -> dict[str, str]:
    here = _found()
    here.folders |= {"boot", "boot/grub"}
    here.files |= {"boot/linux": ((0, 1),), "real": ((0, 1),), "boot/grub/grub.cfg": ((0, 1),)}
    for path, target in links.items():
        here.link(path, target)
    return resolve_links(here)


@pytest.mark.parametrize(
    ("path", "said", "target"),
    [
        ("k", "boot/linux", "boot/linux"),
        ("k", "./boot//grub/../linux", "boot/linux"),
        ("boot/k", "linux", "boot/linux"),
        ("boot/k", "../real", "real"),
        ("boot/grub/k", "/boot/linux", "boot/linux"),
        ("k", "/", ""),
        ("boot/up", "..", ""),
        ("k", "..", None),
        ("boot/k", "../../real", None),
        ("k", "nothing", None),
        ("k", "k", None),
        ("k", "k/../real", None),
        ("k", "BOOT/linux", None),
    ],
)
def test_a_link(path: str, said: str, target: str | None) -> None:
    assert _linked({path: said}).get(path) == target


def test_links_over_links() -> None:
    resolved = _linked({"b": "boot", "g": "b/grub", "c": "g/grub.cfg", "g/inner": "x"})
    assert resolved == {"b": "boot", "g": "boot/grub", "c": "boot/grub/grub.cfg"}


def test_a_long_chain_ends() -> None:
    chain = {f"link-{n}": f"link-{n + 1}" for n in range(5000)} | {"link-5000": "real"}
    resolved = _linked(chain)
    assert resolved["link-5000"] == "real"
    assert "link-0" not in resolved
    short = {f"link-{n}": f"link-{n + 1}" for n in range(MAX_HOPS)} | {f"link-{MAX_HOPS}": "real"}
    assert set(_linked(short).values()) == {"real"}
