"""What a menu lists, under which heading, and how one that is long is parted."""

import msgspec
import pytest

from bootyard.boot.menus.sections import SUBMENUS_ABOVE, is_long, sections_of
from bootyard.boot.plan import ShowMenu, make_plan
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import BootTarget, Policy, Snapshot, TargetKind
from tests.boot.every_loader import LANGUAGES, TARGETS, Language, image, library, rendered
from tests.boot.ipxe_shell import lines
from tests.boot.menu_readers import read_as_syslinux


def told(
    state: Snapshot, firmware: Firmware | None = Firmware.UEFI_X64, *refused: str
) -> dict[str, list[str]]:
    plan = make_plan(state, None, firmware)
    assert isinstance(plan, ShowMenu)
    sections = sections_of(plan, state, lambda t: "no" if t.id in refused else "")
    return {s.heading: [f"{e.title}{e.remark}: {e.why_not}" for e in s.entries] for s in sections}


def live(identity: str, **more: object) -> BootTarget:
    values = {"image": identity, "title": identity.title(), "kind": TargetKind.LIVE, **more}
    return BootTarget(id=identity, kernel="linux", **values)  # type: ignore[arg-type]


def test_families_are_sorted_and_what_nobody_knows_and_tools_come_last() -> None:
    images = tuple(
        image(name, family)
        for name, family in (
            *(("a", "unknown"), ("b", "opensuse"), ("c", "arch-linux"), ("d", "zorin")),
            *(("e", "debian"), ("f", "")),
        )
    )
    targets = (
        *(live(name) for name in "abcdf"),
        live("e", kind=TargetKind.TOOL, group="never mind"),
        live("g", image="a", group="Mine"),
    )
    headings = list(told(library(images=images, targets=targets)))
    assert headings == ["Arch Linux", "Mine", "openSUSE", "Zorin", "Other", "Tools"]


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, "A: "),
        ({"is_guess": True}, "A (untested): "),
        ({"least_memory_mb": 512}, "A (needs 512 MB of memory): "),
        ({"least_memory_mb": 1536}, "A (needs 1.5 GB of memory): "),
        ({"is_guess": True, "least_memory_mb": 4096}, "A (untested, needs 4 GB of memory): "),
    ],
)
def test_remarks(more: dict[str, object], shown: str) -> None:
    state = library(images=(image("a", "debian"),), targets=(live("a", **more),))
    assert told(state) == {"Debian": [shown]}


def test_what_cannot_be_started_is_told_only_where_nothing_else_of_its_image_can() -> None:
    targets = (live("a"), live("b", image="a"), live("c", image="a", firmware=(Firmware.BIOS,)))
    state = library(images=(image("a", "debian"),), targets=targets)
    assert told(state) == {"Debian": ["A: ", "B: "]}
    assert told(state, Firmware.UEFI_X64, "a") == {"Debian": ["B: "]}
    assert told(state, Firmware.UEFI_X64, "a", "b") == {"Debian": ["A: no", "B: no"]}
    only = msgspec.structs.replace(state, targets={"c": targets[2]})
    assert told(only) == {"Debian": ["C: starts on a BIOS only"]}


def many(count: int) -> Snapshot:
    """A library of `count` targets in two families, one of them preselected, and a tool."""
    images = (image("debian-12", "debian"), image("arch", "arch"))
    targets = tuple(
        live(f"t{number}", image=("debian-12", "arch")[number % 2]) for number in range(count - 1)
    )
    tool = live("tool", image="arch", kind=TargetKind.TOOL)
    return library(images=images, targets=(*targets, tool), policy=Policy(default="t3"))


@pytest.mark.parametrize("count", [SUBMENUS_ABOVE, SUBMENUS_ABOVE + 1])
def test_a_long_menu_is_parted(count: int) -> None:
    state = many(count)
    plan = make_plan(state, None, Firmware.BIOS)
    assert isinstance(plan, ShowMenu)
    assert is_long(sections_of(plan, state, lambda _: "")) == (count > SUBMENUS_ABOVE)


def test_ipxe_leads_to_a_menu_for_each_family_with_the_preselected_target_before_them() -> None:
    script = rendered("ipxe", many(30), firmware=Firmware.BIOS).splitlines()
    start = script.index(":menu")
    assert script[start : start + 8] == [
        ":menu",
        "menu Bootyard",
        "item local-disk Local disk",
        "item t3 T3",
        "item --gap -- Menus",
        "item group:1 Arch (14)",
        "item group:2 Debian (15)",
        "item group:3 Tools (1)",
    ]
    assert "choose --default t3 --timeout ${wait} selected || goto local_disk_chosen" in script
    tools = script.index(":start_group:3")
    assert script[tools : tools + 7] == [
        ":start_group:3",
        "menu Tools",
        "item menu:back Back",
        "item tool Tool",
        "choose selected || goto menu_again",
        "iseq ${selected} menu:back && goto menu_again ||",
        "goto chosen",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_parted_menu_still_has_every_target(language: Language) -> None:
    state = many(30)
    script = rendered(language, state, firmware=Firmware.BIOS)
    if language == "ipxe":
        items = {c[1] for line in lines(script) for c in line.commands if c[:1] == ("item",)}
        assert set(state.targets) <= items
    elif language == "grub":
        for name in state.targets:
            assert f"--id 'start {name}' {{" in script
        assert script.count("submenu ") == 3
        assert "set default='start t3'" in script
    else:
        menu = read_as_syslinux(script)
        assert set(state.targets) <= set(menu.labels)
        assert menu.default == "t3"
        assert script.count("\nLABEL t3\n") == 1
        assert script.count("MENU BEGIN ") == script.count("\nMENU END\n") == 3


def test_a_target_of_every_loader_is_started_or_named_in_every_language() -> None:
    """Nobody misses an image without a word about it."""
    state = library()
    images = {t.image for t in TARGETS if t.loader != "pi"}
    for language in LANGUAGES:
        for firmware in (Firmware.BIOS, Firmware.UEFI_X64, None):
            script = rendered(language, state, firmware=firmware)
            for name in images:
                titles = [t.title for t in TARGETS if t.image == name]
                assert any(title in script for title in titles), (language, firmware, name)
