from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.menus.ipxe import render_first_script, render_local_disk, render_plan
from bootyard.boot.menus.ipxe_words import label, unsafe_words, words
from bootyard.boot.menus.server import Server
from bootyard.boot.plan import BootNow, make_plan
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import Machine, Policy
from tests.samples import MAC, snapshot

CATALOG = Server(address=IPv4Address("192.0.2.10"), http_port=8080, catalog_answers=True)
OFFLINE = Server(address=IPv4Address("192.0.2.10"), http_port=8080, catalog_answers=False)


def test_first_script() -> None:
    assert render_first_script(OFFLINE, snapshot()) == (
        """#!ipxe
set idx:int32 0
:interface
isset ${net${idx}/mac} || goto ask_dhcp
isset ${net${idx}/ip} || goto next_interface
ifopen net${idx} && goto opened ||
:next_interface
inc idx
goto interface
:ask_dhcp
dhcp || goto local_disk
:opened
chain --autofree --replace --timeout 10000 http://192.0.2.10:8080/boot.ipxe"""
        "?mac=${netX/mac}&uuid=${uuid}&buildarch=${buildarch}&platform=${platform} ||\n"
        """echo Bootyard: the catalog does not answer, using the menu kept by tftp
chain --autofree --replace --timeout 20000 tftp://192.0.2.10/menu.ipxe ||
:local_disk
echo Bootyard: starting the local disk
exit 1
"""
    )


def test_boot_once_loads_over_http_then_tftp_then_gives_up() -> None:
    state = snapshot()
    plan = BootNow(target=state.targets["debian"])
    assert render_plan(plan, CATALOG, state, kernel_args="quiet") == (
        """#!ipxe
echo Bootyard: boot-once Debian
set selected debian
:chosen
set try:int32 0
set tree http://192.0.2.10:8080/tree
:load
imgfree
goto start_${selected} || goto local_disk
:failed
imgfree
inc try
iseq ${try} 5 && set tree tftp://192.0.2.10 ||
iseq ${try} 6 && goto local_disk ||
echo Bootyard: ${selected} did not load, trying again
sleep ${try}
goto load
:start_debian
kernel --timeout 30000 ${tree}/images/debian@4/linux initrd=initrd.gz console=ttyS0 quiet\
 || goto failed
initrd --timeout 30000 --name initrd.gz ${tree}/images/debian@4/initrd.gz || goto failed
boot && goto local_disk || goto failed
:local_disk
echo Bootyard: starting the local disk
exit 1
"""
    )


def menu(machine: Machine | None, policy: Policy, server: Server = CATALOG) -> list[str]:
    state = snapshot(*([machine] if machine else []), policy=policy)
    plan = make_plan(state, machine, Firmware.UEFI_X64)
    return render_plan(plan, server, state).splitlines()


def test_a_menu_lists_targets_and_falls_to_the_local_disk() -> None:
    lines = menu(None, Policy(timeout_seconds=5))
    start = lines.index(":menu")
    assert lines[1:5] == ["set wait 5000", "goto menu", ":menu_again", "set wait 0"]
    assert lines[start : start + 16] == [
        ":menu",
        "menu Bootyard",
        "item local-disk Local disk",
        "item --gap -- Other",
        "item debian Debian",
        "item live Live",
        "item --gap -- Wipe: erases without asking, starts by boot-once only",
        "item --gap -- This machine",
        "item menu:shell iPXE shell",
        "iseq ${platform} efi && item menu:setup Firmware setup ||",
        "item menu:restart Restart",
        "item menu:off Power off",
        "choose --default local-disk --timeout ${wait} selected || goto local_disk_chosen",
        "iseq ${selected} local-disk && goto local_disk_chosen ||",
        "goto chosen",
        ":start_menu:shell",
    ]
    assert not any("start_wipe" in line for line in lines)


def test_an_installer_waits_behind_the_local_disk() -> None:
    lines = menu(Machine(mac=MAC, target="debian"), Policy(timeout_seconds=5))
    assert lines[1].startswith("prompt --timeout 5000 ")
    assert lines[1].endswith(" || goto local_disk_chosen")
    # Once a person has opened the menu, no timeout chooses the installer for them.
    assert lines[2] == "set wait 0"
    assert any(line.startswith("choose --default debian ") for line in lines)


def test_no_time_at_all_goes_to_the_local_disk_at_once() -> None:
    lines = menu(Machine(mac=MAC), Policy(default="local-disk", timeout_seconds=0))
    assert lines[1] == "goto local_disk_chosen"


def test_choosing_the_local_disk_is_reported_where_the_catalog_answers() -> None:
    reported = [line for line in menu(None, Policy()) if "selected=local-disk" in line]
    assert len(reported) == 1
    assert not any("selected=local-disk" in line for line in menu(None, Policy(), OFFLINE))


@pytest.mark.parametrize(
    ("method", "last"),
    [
        ("exit", "exit 1"),
        ("sanboot", "sanboot --no-describe --drive 0x80 || exit 1"),
        ("poweroff", "poweroff || exit 1"),
    ],
)
def test_local_disk_methods(method: str, last: str) -> None:
    policy = Policy(local_disk_method=method)  # type: ignore[arg-type]
    assert render_local_disk(snapshot(policy=policy)).splitlines()[-1] == last


HOSTILE = st.text(max_size=80) | st.lists(
    st.sampled_from(["&&", "||", ";", "#", "${net0/mac}", "a", "\n", "chain", "é", '"', "x=${y}"])
).map(" ".join)


@given(HOSTILE)
def test_a_label_is_one_printable_line(text: str) -> None:
    shown = label(text)
    assert shown
    assert all(" " <= c <= "~" for c in shown)
    assert "${" not in shown
    assert not {"&&", "||", ";"} & set(shown.split())


@given(HOSTILE)
def test_words_are_kept_or_named_as_unsafe(text: str) -> None:
    assert sorted([*words(text).split(), *unsafe_words(text)]) == sorted(text.split())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Debian\\", "Debian/"),
        ("a ||\\", "a ||/"),
        ("a || b", "a b"),
        ("${net0/mac}", "$(net0/mac}"),
        ("# 1", "1"),
        ("", "?"),
        ("caf\u00e9", "caf?"),
    ],
)
def test_label(text: str, shown: str) -> None:
    """A backslash at the end of a line would join the next one to it."""
    assert label(text) == shown
