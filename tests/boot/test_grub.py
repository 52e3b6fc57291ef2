import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.menus.grub import render_first_script, render_local_disk, render_plan
from bootyard.boot.menus.grub_words import kernel_arguments, label, left_out, quote
from bootyard.boot.menus.server import Server
from bootyard.boot.plan import BootNow, ShowMenu, make_plan
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import BootTarget, Machine, Policy, SignedChain, Snapshot
from tests.boot.grub_shell import EXPANDED, commands
from tests.samples import MAC, snapshot

CATALOG = Server(address=IPv4Address("192.0.2.10"), http_port=8080, catalog_answers=True)
OFFLINE = Server(address=IPv4Address("192.0.2.10"), http_port=8080, catalog_answers=False)
ASK = (
    "(http,192.0.2.10:8080)/tree/grub/grub.cfg"
    "?mac=${net_default_mac}&platform=${grub_platform}&buildarch=${grub_cpu}"
)
LOCKED = 'if [ "${lockdown}" = y ]; then'


def signed(vendor: str = "debian", *chains: SignedChain) -> Snapshot:
    """The library with kernels that somebody signed."""
    state = snapshot()
    targets = {
        identity: msgspec.structs.replace(target, signed_by=vendor, chains=chains)
        for identity, target in state.targets.items()
    }
    return msgspec.structs.replace(state, targets=targets)


def menu(
    machine: Machine | None,
    policy: Policy,
    server: Server = CATALOG,
    *,
    vendor: str = "debian",
    state: Snapshot | None = None,
) -> list[str]:
    state = msgspec.structs.replace(state or signed(), policy=policy)
    plan = make_plan(state, machine, Firmware.UEFI_X64)
    return render_plan(plan, server, state, vendor=vendor).splitlines()


def entry(lines: list[str], title: str) -> list[str]:
    """The commands of a menu entry."""
    start = next(i for i, line in enumerate(lines) if f"menuentry '{title}" in line)
    indent = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
    end = lines.index(f"{indent}}}", start)
    return [line.strip() for line in lines[start + 1 : end]]


def function(lines: list[str], name: str) -> list[str]:
    """The commands of a function."""
    start = lines.index(f"function {name} {{")
    return [line.strip() for line in lines[start + 1 : lines.index("}", start)]]


def then(name: str) -> list[str]:
    """How a script ends: what it wants done."""
    return [f"set bootyard_then={name}", 'if [ -z "${bootyard_later}" ]; then', f"  {name}", "fi"]


def test_the_first_script_asks_the_catalog_then_tftp_then_leaves() -> None:
    lines = render_first_script(OFFLINE, snapshot()).splitlines()
    assert lines[lines.index("}") + 1 :] == [
        "set bootyard_later=y",
        'if [ -s "(http,192.0.2.10:8080)/tree/.health" ]; then',
        f'  source "{ASK}"',
        "fi",
        'if [ -z "${bootyard_then}" ]; then',
        "  echo 'Bootyard: the catalog does not answer, using the menu kept by tftp'",
        "  source '(tftp,192.0.2.10)/grub/menu.cfg'",
        "fi",
        'if [ -z "${bootyard_then}" ]; then',
        "  set bootyard_then=bootyard_local_disk",
        "fi",
        "${bootyard_then}",
    ]


def test_boot_once_loads_over_http_then_tftp_then_gives_up() -> None:
    state = signed()
    plan = BootNow(target=state.targets["debian"])
    lines = render_plan(plan, CATALOG, state, kernel_args='quiet root="a b"').splitlines()
    http, tftp = "'(http,192.0.2.10:8080)/tree'", "'(tftp,192.0.2.10)'"
    assert function(lines, "bootyard_boot_once") == [
        "echo 'Bootyard: boot-once Debian'",
        f"for tree in {http} {http} {http} {tftp}; do",
        "echo 'Bootyard: loading Debian'",
        "if linux \"${tree}\"'/images/debian@4/linux' 'console=ttyS0' 'quiet' 'root=a b'; then",
        "if initrd \"${tree}\"'/images/debian@4/initrd.gz'; then",
        *("boot", "fi", "fi"),
        "echo 'Bootyard: Debian did not load, trying again'",
        *("sleep 2", "done"),
        "bootyard_local_disk",
    ]
    assert lines[-4:] == then("bootyard_boot_once")


def test_a_menu_kept_by_tftp_loads_over_tftp_alone_and_says_so() -> None:
    lines = menu(None, Policy(), OFFLINE)
    assert not any("http" in line for line in lines)
    assert any("(tftp,192.0.2.10)" in line for line in lines)
    assert "menuentry 'Local disk (the catalog is away)' --id 'local-disk' {" in lines


def test_a_menu_lists_targets_and_falls_to_the_local_disk() -> None:
    lines = menu(None, Policy(timeout_seconds=5))
    entries = [line for line in lines if line.startswith("menuentry")]
    assert entries == [
        "menuentry 'Local disk' --id 'local-disk' {",
        "menuentry 'Debian' --id 'start debian' {",
        "menuentry 'Live' --id 'start live' {",
        "menuentry 'Wipe: erases without asking, starts by boot-once only' --id 'start wipe' {",
        "menuentry 'Restart' {",
        "menuentry 'Power off' {",
        "menuentry 'Firmware setup' {",
    ]
    assert "set default='local-disk'" in lines
    assert "set timeout=5" in lines
    wipe = entry(lines, "Wipe")
    assert not any("linux" in line for line in wipe)
    assert "echo \"  bootyard machine boot-once ${net_default_mac} \"'wipe'" in wipe
    assert function(lines, "bootyard_announce") == ["true"]
    # Only a complete menu counts: what was cut off is asked for again over TFTP.
    assert lines[-4:] == then("bootyard_announce")


def test_a_live_system_is_preselected_and_starts_by_the_timeout() -> None:
    lines = menu(Machine(mac=MAC, target="live"), Policy(timeout_seconds=5))
    assert "set default='start live'" in lines
    assert "set timeout=5" in lines
    assert function(lines, "bootyard_announce") == ["true"]


def test_an_installer_waits_behind_the_local_disk() -> None:
    lines = menu(Machine(mac=MAC, target="debian"), Policy(timeout_seconds=5))
    assert function(lines, "bootyard_announce")[1:] == [
        "if sleep --interruptible --verbose 5; then",
        "bootyard_local_disk_chosen",
        "fi",
    ]
    # Once a person has opened the menu, no timeout chooses the installer for them.
    assert "set default='start debian'" in lines
    assert "set timeout=-1" in lines


def test_no_time_at_all_goes_to_the_local_disk_at_once() -> None:
    lines = menu(Machine(mac=MAC), Policy(default="local-disk", timeout_seconds=0))
    assert function(lines, "bootyard_announce") == ["bootyard_local_disk_chosen"]


def test_a_menu_without_a_timeout_waits() -> None:
    assert "set timeout=-1" in menu(None, Policy(timeout_seconds=0))


def test_choosing_the_local_disk_is_reported_where_the_catalog_answers() -> None:
    reported = [line.strip() for line in menu(None, Policy()) if "selected=local-disk" in line]
    assert reported == [f'source "{ASK}&selected=local-disk"']
    assert not any("selected=local-disk" in line for line in menu(None, Policy(), OFFLINE))


@pytest.mark.parametrize(
    ("method", "command"), [("exit", "  exit 1"), ("sanboot", "  exit 1"), ("poweroff", "  halt")]
)
def test_local_disk_methods(method: str, command: str) -> None:
    policy = Policy(local_disk_method=method)  # type: ignore[arg-type]
    lines = render_local_disk(snapshot(policy=policy)).splitlines()
    assert lines[-6:] == [command, "}", *then("bootyard_local_disk")]


def test_what_is_on_the_disk_is_started_before_leaving() -> None:
    lines = [line.strip() for line in render_local_disk(snapshot()).splitlines()]
    programs = next(line for line in lines if line.startswith("for program in")).split()
    assert programs.index('"debian/shim${efi}"') < programs.index('"BOOT/BOOT${efi}";')
    assert lines.index('if chainloader "/EFI/${program}.efi"; then') < lines.index("exit 1")


def test_under_secure_boot_a_stranger_is_listed_with_the_reason() -> None:
    ubuntu = signed("ubuntu", SignedChain(shim="EFI/BOOT/BOOTX64.EFI", grub="EFI/BOOT/grubx64.efi"))
    lines = menu(None, Policy(), state=ubuntu)
    locked = entry(lines, "Debian: signed by ubuntu, starts by boot-once only")
    assert not any("linux" in line for line in locked)
    assert "echo \"  bootyard machine boot-once ${net_default_mac} \"'debian'" in locked
    start = next(i for i, line in enumerate(lines) if "menuentry 'Debian: signed" in line)
    assert lines[start - 1] == LOCKED
    assert any("linux" in line for line in entry(lines, "Debian' --id"))
    # In its own vendor's GRUB nothing stands in its way.
    assert LOCKED not in menu(None, Policy(), state=ubuntu, vendor="ubuntu")


@pytest.mark.parametrize(
    ("vendor", "reason"),
    [("", "not signed for Secure Boot"), ("ubuntu", "signed by ubuntu, not trusted here")],
)
def test_under_secure_boot_what_no_chain_starts_names_the_cure(vendor: str, reason: str) -> None:
    told = "\n".join(entry(menu(None, Policy(), state=signed(vendor)), f"Debian: {reason}"))
    assert "switch Secure Boot off" in told
    assert "boot-once" not in told


def test_what_secure_boot_refuses_is_no_timeouts_choice() -> None:
    lines = menu(Machine(mac=MAC, target="live"), Policy(), state=signed(""))
    default = lines.index("set default='start live'")
    assert lines[default + 1 : default + 4] == [LOCKED, "  set default='local-disk'", "fi"]


def test_boot_once_of_a_stranger_says_why_and_goes_to_the_disk() -> None:
    state = signed("ubuntu")
    lines = render_plan(BootNow(target=state.targets["debian"]), CATALOG, state).splitlines()
    once = function(lines, "bootyard_boot_once")
    locked, otherwise = once.index(LOCKED), once.index("else")
    assert not any("linux" in line for line in once[locked:otherwise])
    assert any("signed by ubuntu" in line for line in once[locked:otherwise])
    assert any("linux" in line for line in once[otherwise:])
    assert once[-1] == "bootyard_local_disk"


PIECES = (
    *("'", '"', "\\", "$", "${lockdown}", ";", "&", "|", "{", "}", "#", "\n", "\r", "\0", "é"),
    *("a", " ", "halt", "--id", "-h", "'; halt; '", "x=1"),
)
HOSTILE = st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_text_from_people_never_becomes_a_command(title: str, mine: str, added: str) -> None:
    state = signed()
    plain = state.targets["debian"]
    target = msgspec.structs.replace(plain, title=title, command_line=mine)
    expected = commands(_menu_of(plain, state, ""))
    found = commands(_menu_of(target, state, added))
    unfit = left_out(f"{mine} {added}")
    if unfit:
        note = next(i for i, words in enumerate(found) if "left out" in words[-1])
        assert found.pop(note)[0] == "echo"
    assert len(found) == len(expected)
    for before, after in zip(expected, found, strict=True):
        if before[:2] == ["if", "linux"]:
            assert before[:3] == after[:3]
            assert tuple(after[3:]) == kernel_arguments(f"{mine} {added}")
        elif "Debian" in " ".join(before):
            shown = [word.replace("Debian", label(title)) for word in before]
            assert after == shown
            assert not any(EXPANDED in word for word in after)
        else:
            assert after == before


def _menu_of(target: BootTarget, state: Snapshot, kernel_args: str) -> str:
    plan = ShowMenu(
        targets=(target,), armed_only=(), preselected=target.id, timeout_seconds=5, hidden=False
    )
    return render_plan(plan, CATALOG, state, kernel_args)


@given(HOSTILE)
def test_a_label_is_one_printable_line_and_no_option(text: str) -> None:
    shown = label(text)
    assert shown
    assert not shown.startswith("-")
    assert all(" " <= c <= "~" for c in shown)


@given(st.text(max_size=60))
def test_quoted_text_is_one_word(text: str) -> None:
    assert commands(f"echo {quote(text)}") == [["echo", text]]


@pytest.mark.parametrize(
    ("text", "arguments", "lost"),
    [
        ("console=ttyS0  quiet", ("console=ttyS0", "quiet"), ()),
        ('root="a b" x', ("root=a b", "x"), ()),
        ('"root=a b"', ("root=a b",), ()),
        ("a=${b} ;c &&", ("a=${b}", ";c", "&&"), ()),
        ("it's a\\b", (), ("it's", "a\\b")),
        ('open="a b', ("open=a b",), ()),
        ('""', (), ()),
        ("é", (), ("é",)),
        ("", (), ()),
    ],
)
def test_kernel_arguments(text: str, arguments: tuple[str, ...], lost: tuple[str, ...]) -> None:
    assert kernel_arguments(text) == arguments
    assert left_out(text) == lost


@pytest.mark.needs("grub-script-check")
@pytest.mark.parametrize("server", [CATALOG, OFFLINE])
def test_grub_itself_understands_every_script(server: Server, tmp_path: Path) -> None:
    for state in (snapshot(), signed("ubuntu"), signed()):
        machines = (None, Machine(mac=MAC, target="debian"), Machine(mac=MAC, target="live"))
        plans = [
            *(make_plan(state, machine, Firmware.UEFI_X64) for machine in machines),
            BootNow(target=state.targets["debian"]),
        ]
        for script in (
            render_first_script(server, state),
            render_local_disk(state),
            *(render_plan(plan, server, state, "a='b' ${x} \\ {") for plan in plans),
        ):
            file = tmp_path / "grub.cfg"
            file.write_text(script)
            checked = subprocess.run(
                ["grub-script-check", str(file)], capture_output=True, text=True, check=False
            )
            assert checked.returncode == 0, checked.stderr
