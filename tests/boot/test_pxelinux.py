"""Menus that pxelinux, syslinux.efi and U-Boot can all read, whatever text is in them."""

from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.menus.pxelinux import (
    MAX_COMMAND_LINE,
    MAX_TITLE,
    label,
    render_plan,
    words,
)
from bootyard.boot.menus.server import Server
from bootyard.boot.plan import BootNow, make_plan
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import Machine, Policy, Root, Slice, Snapshot, TargetKind
from tests.boot.menu_readers import read_as_syslinux, read_as_uboot
from tests.samples import LOADERS, MAC, snapshot, target

MODULES = {
    f"{firmware}/{name}": Slice(root=Root.PACKAGED, path=name, extents=((0, 500),))
    for firmware in ("bios", "uefi-x64")
    for name in ("menu.c32", "libutil.c32", "libcom32.c32", "chain.c32", "poweroff.c32")
}
SERVER = Server(address=IPv4Address("192.0.2.10"), http_port=8080, catalog_answers=False)
UNKNOWN_MENU = """\
MENU TITLE Bootyard
SAY Bootyard. Type a name, or press Enter for the default.
SAY   local-disk - Local disk
SAY   debian - Debian
SAY   live - Live
SAY   (Wipe: erases without asking, starts by boot-once only)
SAY   arm - Arm
SAY Without an answer it goes on after 10 s.
PROMPT 1
TIMEOUT 100
DEFAULT local-disk
LABEL local-disk
  MENU LABEL Local disk
  LOCALBOOT -1
LABEL debian
  MENU LABEL Debian
  LINUX images/debian@4/linux
  INITRD images/debian@4/initrd.gz
  APPEND console=ttyS0
LABEL live
  MENU LABEL Live
  LINUX images/live@4/linux
  INITRD images/live@4/initrd.gz
  APPEND console=ttyS0
LABEL arm
  MENU LABEL Arm
  LINUX images/arm@4/linux
  INITRD images/arm@4/initrd.gz
  APPEND console=ttyS0
"""
BIOS_MENU = """\
UI menu.c32
PROMPT 0
MENU TITLE Bootyard
MENU HIDDEN
TIMEOUT 50
DEFAULT debian
ONTIMEOUT local-disk
LABEL local-disk
  MENU LABEL Local disk
  LOCALBOOT -1
LABEL debian
  MENU LABEL Debian
  LINUX images/debian@4/linux
  INITRD images/debian@4/initrd.gz
  APPEND console=ttyS0 quiet
LABEL live
  MENU LABEL Live
  LINUX images/live@4/linux
  INITRD images/live@4/initrd.gz
  APPEND console=ttyS0 quiet
LABEL note:1.3
  MENU LABEL Wipe: erases without asking, starts by boot-once only
  MENU GOTO .top
LABEL machine:off
  MENU LABEL Power off
  COM32 poweroff.c32
"""


def library(machine: Machine | None = None, policy: Policy | None = None) -> Snapshot:
    state = snapshot(*((machine,) if machine else ()), policy=policy)
    return msgspec.structs.replace(state, loaders={**LOADERS, **MODULES})


def menu(
    machine: Machine | None = None,
    policy: Policy | None = None,
    firmware: Firmware | None = None,
) -> str:
    state = library(machine, policy)
    kernel_args = machine.kernel_args if machine else ""
    return render_plan(make_plan(state, machine, firmware), SERVER, state, kernel_args, firmware)


def test_a_machine_of_unknown_firmware_gets_a_prompt_that_needs_no_module() -> None:
    assert menu() == UNKNOWN_MENU


def test_a_known_machine_gets_the_text_menu_with_its_installer_behind_the_disk() -> None:
    machine = Machine(mac=MAC, target="debian", kernel_args="quiet")
    assert menu(machine, Policy(timeout_seconds=5), Firmware.BIOS) == BIOS_MENU


def test_headings_are_there_when_there_is_more_than_one_of_them() -> None:
    state = library()
    live = state.targets["live"]
    targets = {**state.targets, "live": msgspec.structs.replace(live, group="Rescue")}
    grouped = msgspec.structs.replace(state, targets=targets)
    plan = make_plan(grouped, None, Firmware.BIOS)
    text = render_plan(plan, SERVER, grouped, firmware=Firmware.BIOS)
    assert sorted(
        line.strip().removeprefix("MENU LABEL ") for line in text.splitlines() if "-- " in line
    ) == ["-- Other", "-- Rescue"]


@pytest.mark.parametrize("firmware", [None, *Firmware])
def test_only_firmware_with_modules_of_its_own_is_given_the_text_menu(
    firmware: Firmware | None,
) -> None:
    has_menu = "menu.c32" in menu(firmware=firmware)
    assert has_menu == (firmware in {Firmware.BIOS, Firmware.UEFI_X64})


@pytest.mark.parametrize("missing", ["bios/menu.c32", "bios/libutil.c32"])
def test_a_text_menu_needs_all_of_its_modules(missing: str) -> None:
    state = library()
    loaders = {name: content for name, content in state.loaders.items() if name != missing}
    state = msgspec.structs.replace(state, loaders=loaders)
    plan = make_plan(state, None, Firmware.BIOS)
    assert "c32" not in render_plan(plan, SERVER, state, firmware=Firmware.BIOS)


@pytest.mark.parametrize("firmware", [None, Firmware.BIOS])
@pytest.mark.parametrize(
    ("machine", "policy", "starts"),
    [
        (None, Policy(), ("local-disk", "local-disk", 100)),
        (None, Policy(timeout_seconds=0), ("local-disk", "local-disk", 0)),
        (None, Policy(default="live"), ("live", "live", 100)),
        (None, Policy(timeout_seconds=86_400), ("local-disk", "local-disk", 35_990)),
        (None, Policy(unknown="local-disk"), ("local-disk", "local-disk", 100)),
        (Machine(mac=MAC, target="debian"), Policy(), ("debian", "local-disk", 100)),
        (Machine(mac=MAC, target="wipe"), Policy(), ("local-disk", "local-disk", 100)),
    ],
)
def test_what_starts_after_the_time_is_never_an_installer(
    firmware: Firmware | None,
    machine: Machine | None,
    policy: Policy,
    starts: tuple[str, str, int],
) -> None:
    """`starts`: by Enter, by itself, and after how many tenths of a second."""
    default, after_time, tenths = starts
    text = menu(machine, policy, firmware)
    for read in (read_as_syslinux, read_as_uboot):
        found = read(text)
        assert (found.after_time, found.timeout_tenths) == (after_time, tenths)
        assert found.asks
    assert read_as_syslinux(text).default == default


@pytest.mark.parametrize("firmware", [None, Firmware.BIOS, Firmware.UEFI_X64])
def test_a_machine_that_is_not_to_be_asked_goes_straight_to_its_disk(
    firmware: Firmware | None,
) -> None:
    text = menu(None, Policy(unknown="local-disk", timeout_seconds=0), firmware)
    for read in (read_as_syslinux, read_as_uboot):
        found = read(text)
        assert (list(found.labels), found.default, found.asks) == (
            ["local-disk"],
            "local-disk",
            False,
        )


def test_a_boot_once_is_never_started_from_a_menu_that_cannot_ask_the_catalog() -> None:
    state = library()
    plan = BootNow(target=state.targets["wipe"])
    text = render_plan(plan, SERVER, state, firmware=Firmware.BIOS)
    assert list(read_as_syslinux(text).labels) == ["local-disk"]


@pytest.mark.parametrize("firmware", [None, Firmware.BIOS])
def test_what_erases_without_asking_is_named_and_nowhere_startable(
    firmware: Firmware | None,
) -> None:
    text = menu(firmware=firmware)
    assert "Wipe: erases without asking" in text
    for read in (read_as_syslinux, read_as_uboot):
        kernels = [entry.get("linux", "") for entry in read(text).labels.values()]
        assert kernels
        assert not any("wipe" in kernel for kernel in kernels)


@pytest.mark.parametrize(
    ("method", "firmware", "lines"),
    [
        ("exit", Firmware.BIOS, {"localboot": "-1"}),
        ("sanboot", Firmware.BIOS, {"com32": "chain.c32", "append": "hd0"}),
        ("poweroff", Firmware.BIOS, {"com32": "poweroff.c32"}),
        ("sanboot", Firmware.UEFI_X64, {"localboot": "-1"}),
        ("poweroff", Firmware.UEFI_X64, {"localboot": "-1"}),
        ("poweroff", None, {"localboot": "-1"}),
    ],
)
def test_the_local_disk(method: str, firmware: Firmware | None, lines: dict[str, str]) -> None:
    policy = msgspec.convert({"local_disk_method": method}, Policy)
    found = read_as_syslinux(menu(policy=policy, firmware=firmware))
    assert {**lines, "menu label": "Local disk"} == found.labels["local-disk"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kernel", "a b"),
        ("kernel", "x,y"),
        ("kernel", "::elsewhere"),
        ("initrds", ("one,two",)),
        ("initrds", ("http://192.0.2.66/x",)),
        ("command_line", "x" * MAX_COMMAND_LINE),
    ],
)
@pytest.mark.parametrize("firmware", [None, Firmware.BIOS])
def test_a_target_that_these_loaders_cannot_start_is_named_with_the_reason(
    field: str, value: str | tuple[str, ...], firmware: Firmware | None
) -> None:
    state = library(policy=Policy(default="live"))
    live = msgspec.structs.replace(state.targets["live"], **{field: value})
    state = msgspec.structs.replace(state, targets={**state.targets, "live": live})
    text = render_plan(make_plan(state, None, firmware), SERVER, state, firmware=firmware)
    found = read_as_syslinux(text)
    assert "live" not in found.labels
    assert found.after_time == "local-disk"
    assert "Live: needs iPXE to start" in text


def test_files_that_a_raspberry_pi_fetches_by_itself_are_in_no_menu() -> None:
    state = library()
    pi = msgspec.structs.replace(target("live", TargetKind.LIVE), loader="pi")
    state = msgspec.structs.replace(state, targets={"live": pi})
    assert list(
        read_as_syslinux(render_plan(make_plan(state, None, None), SERVER, state)).labels
    ) == ["local-disk"]


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("a  b", "a b"),
        ("$(x) ${y} z", "z"),
        ("initrd=other ro", "ro"),
        ("#off on", "on"),
        ("a\nLABEL b", "a LABEL b"),
        ("caf\u00e9 ok", "ok"),
    ],
)
def test_words(text: str, fit: str) -> None:
    assert words(text) == fit


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("# Debian ^12", "Debian ?12"),
        ("", "?"),
        ("###", "?"),
        ("a\nb", "a?b"),
        ("x" * 100, "x" * (MAX_TITLE - 3) + "..."),
    ],
)
def test_label(text: str, fit: str) -> None:
    assert label(text) == fit


TEXT = st.text(st.characters(codec="utf-8"), max_size=80) | st.sampled_from(
    ["a\nLOCALBOOT 0", "\rLABEL x", "#", "-", " ", "${x}", "x" * 5000, "initrd=x", "\x00", "^"]
)


TEXTS = st.fixed_dictionaries(
    {"title": TEXT, "command_line": TEXT, "kernel": TEXT, "initrds": TEXT.map(lambda name: (name,))}
)


@given(TEXTS, TEXT, st.sampled_from([None, Firmware.BIOS, Firmware.UEFI_X64]))
def test_text_does_not_break_out(
    texts: dict[str, str], kernel_args: str, firmware: Firmware | None
) -> None:
    """Whatever the text, a reader finds the labels and lines that there are without it."""
    state = library()
    targets = {
        name: msgspec.structs.replace(state.targets[name], **texts) for name in ("live", "wipe")
    }
    state = msgspec.structs.replace(state, targets={**state.targets, **targets})
    text = render_plan(make_plan(state, None, firmware), SERVER, state, kernel_args, firmware)
    startable = {"debian"} if len(kernel_args) < MAX_COMMAND_LINE else set()
    for read in (read_as_syslinux, read_as_uboot):
        found = read(text)
        notes = [name for name in found.labels if ":" in name]
        assert set(found.labels) - {"live", "arm", *notes} == {"local-disk", *startable}
        assert (found.default, found.after_time) == ("local-disk", "local-disk")
        assert found.labels["local-disk"] == {"menu label": "Local disk", "localboot": "-1"}
        for name in {"debian", "live"} & set(found.labels):
            lines = found.labels[name]
            assert set(lines) <= {"menu label", "linux", "initrd", "append"}
            assert lines["linux"].startswith(f"images/{name}@4/")
