import msgspec
import pytest

from bootyard.boot.plan import BootNow, ShowMenu, firmware_needed, make_plan
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import LOCAL_DISK, Machine, Policy, TargetLoader
from tests.samples import MAC, snapshot


def plan_for(machine: Machine | None, policy: Policy | None = None) -> ShowMenu:
    machines = (machine,) if machine else ()
    plan = make_plan(snapshot(*machines, policy=policy), machine, Firmware.UEFI_X64)
    assert isinstance(plan, ShowMenu)
    return plan


KNOWN = Machine(mac=MAC)


@pytest.mark.parametrize(
    ("machine", "policy", "preselected", "hidden"),
    [
        pytest.param(None, Policy(), LOCAL_DISK, False, id="unknown-gets-the-menu"),
        pytest.param(KNOWN, Policy(default="local-disk"), LOCAL_DISK, True, id="known-local-disk"),
        pytest.param(None, Policy(default="local-disk"), LOCAL_DISK, False, id="unknown-menu"),
        pytest.param(None, Policy(unknown="local-disk"), LOCAL_DISK, True, id="unknown-local-disk"),
        pytest.param(None, Policy(unknown="silence"), LOCAL_DISK, True, id="unknown-silence"),
        pytest.param(None, Policy(default="live"), "live", False, id="default-live"),
        pytest.param(KNOWN, Policy(default="debian"), "debian", True, id="default-installer"),
        pytest.param(Machine(mac=MAC, target="live"), None, "live", False, id="live-target"),
        pytest.param(
            Machine(mac=MAC, target="debian"), None, "debian", True, id="installer-behind-the-disk"
        ),
        pytest.param(
            Machine(mac=MAC, target="wipe"), None, LOCAL_DISK, True, id="unattended-never"
        ),
        pytest.param(Machine(mac=MAC, target="gone"), None, LOCAL_DISK, True, id="target-gone"),
        pytest.param(Machine(mac=MAC, target="arm"), None, LOCAL_DISK, True, id="does-not-fit"),
    ],
)
def test_menus(
    machine: Machine | None, policy: Policy | None, preselected: str, hidden: bool
) -> None:
    plan = plan_for(machine, policy)
    assert (plan.preselected, plan.hidden) == (preselected, hidden)


def test_an_unattended_target_is_named_but_cannot_be_selected() -> None:
    plan = plan_for(None)
    assert [t.id for t in plan.targets] == ["debian", "live"]
    assert [t.id for t in plan.armed_only] == ["wipe"]


def test_only_a_boot_once_starts_an_unattended_target() -> None:
    state = snapshot()
    plan = make_plan(state, None, Firmware.UEFI_X64, armed=state.targets["wipe"])
    assert plan == BootNow(target=state.targets["wipe"], firmware=Firmware.UEFI_X64)


@pytest.mark.parametrize(
    ("firmware", "targets"),
    [
        (None, ["debian", "live", "arm"]),
        (Firmware.OTHER, ["debian", "live", "arm"]),
        (Firmware.BIOS, ["debian", "live"]),
        (Firmware.UEFI_ARM64, ["arm"]),
    ],
)
def test_a_menu_lists_what_the_machine_can_run(
    firmware: Firmware | None, targets: list[str]
) -> None:
    plan = make_plan(snapshot(), None, firmware)
    assert isinstance(plan, ShowMenu)
    assert [t.id for t in plan.targets] == targets


@pytest.mark.parametrize(
    ("loader", "said", "firmware", "fits"),
    [
        ("linux", (), Firmware.BIOS, True),
        ("linux", (Firmware.UEFI_X64,), Firmware.BIOS, False),
        ("linux", (Firmware.UEFI_X64,), Firmware.HTTP_X64, True),
        ("linux", (Firmware.BIOS,), Firmware.UEFI_X64, False),
        ("linux", (Firmware.BIOS,), None, True),
        ("linux", (Firmware.BIOS,), Firmware.OTHER, True),
        ("efi", (), Firmware.BIOS, False),
        ("efi", (), Firmware.UEFI_X64, True),
        ("memdisk", (), Firmware.UEFI_X64, False),
        ("memdisk", (), Firmware.BIOS, True),
    ],
)
def test_what_another_firmware_is_needed_for_is_named_and_not_preselected(
    loader: TargetLoader, said: tuple[Firmware, ...], firmware: Firmware | None, fits: bool
) -> None:
    state = snapshot(policy=Policy(default="live"))
    live = msgspec.structs.replace(state.targets["live"], loader=loader, firmware=said)
    state = msgspec.structs.replace(state, targets={"live": live})
    plan = make_plan(state, None, firmware)
    assert isinstance(plan, ShowMenu)
    assert (plan.targets, plan.unfit) == (((live,), ()) if fits else ((), (live,)))
    assert plan.preselected == ("live" if fits else LOCAL_DISK)
    assert plan.firmware == firmware


@pytest.mark.parametrize(
    ("loader", "said", "words"),
    [
        ("memdisk", (), "starts on a BIOS only"),
        ("linux", (Firmware.BIOS,), "starts on a BIOS only"),
        ("efi", (), "starts on UEFI only"),
        ("efi", (Firmware.UEFI_X64, Firmware.UEFI_IA32), "starts on uefi-x64, uefi-ia32 only"),
    ],
)
def test_the_firmware_that_is_needed_is_named(
    loader: TargetLoader, said: tuple[Firmware, ...], words: str
) -> None:
    target = msgspec.structs.replace(snapshot().targets["live"], loader=loader, firmware=said)
    assert firmware_needed(target) == words
