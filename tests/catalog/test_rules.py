"""What may be said about machines and the policy, one row a refusal."""

from collections.abc import Callable

import pytest

from bootyard.model.architecture import Firmware
from bootyard.model.errors import RequestRefused
from bootyard.model.loaders import LoaderName
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import BootTarget, Policy, TargetKind
from services.catalog import rules
from services.catalog.policy import PolicyChange, changed_policy
from tests.catalog.images import make_target

TARGETS = {
    target.id: target
    for target in (
        make_target("live", TargetKind.LIVE),
        make_target("debian-12"),
        make_target("debian-12-auto", TargetKind.UNATTENDED),
    )
}
LOADERS = (
    *("bios/undionly.kpxe", "bios/pxelinux.0"),
    *("uefi-x64/snponly.efi", "uefi-x64/shimx64.efi", "uefi-x64/mmx64.efi"),
)


@pytest.mark.parametrize(
    "text", ["52:54:00:AB:34:56", "52-54-00-ab-34-56", "5254.00ab.3456", "525400ab3456"]
)
def test_addresses_in_any_spelling(text: str) -> None:
    assert rules.check_mac(text) == MACAddress("52:54:00:ab:34:56")


@pytest.mark.parametrize(
    ("check", "problem", "cure"),
    [
        (lambda: rules.check_mac("nuc-3"), "'nuc-3' is not a MAC address", "52:54:00:12:34:56"),
        (lambda: rules.check_mac("ff:ff:ff:ff:ff:ff"), "no address of a machine", "network card"),
        (lambda: rules.check_mac("01:00:5e:00:00:01"), "no address of a machine", "network card"),
        (lambda: rules.check_mac("000000000000"), "no address of a machine", "network card"),
        (lambda: rules.check_mac("02:00:00:00:00:00"), "kept for health checks", "own address"),
        (lambda: rules.check_name(""), "'' cannot be a machine's name", "1 to 63"),
        (lambda: rules.check_name("x" * 64), "cannot be a machine's name", "1 to 63"),
        (lambda: rules.check_name("nuc 3"), "'nuc 3' cannot be", "1 to 63"),
        (lambda: rules.check_name("nuc\n"), "cannot be", "1 to 63"),
        (lambda: rules.check_name("<b>"), "cannot be", "1 to 63"),
        (lambda: rules.check_tags(("a b",)), "'a b' cannot be a tag", "1 to 63"),
        (lambda: rules.check_tags(tuple(map(str, range(65)))), "65 tags", "at most 64"),
        (lambda: rules.check_kernel_args("a ${net0/mac}"), r"carry '\$\{net0/mac\}'", "leave"),
        (lambda: rules.check_kernel_args("quiet && poweroff"), "carry '&&'", "leave"),
        (lambda: rules.check_kernel_args("größe=1"), "carry 'größe=1'", "leave"),
        (lambda: rules.check_kernel_args("x" * 1025), "1025 characters", "at most 1024"),
        (
            lambda: rules.check_kernel_args("quiet auto=true"),
            "'auto=true' would",
            "boot-once MAC ID",
        ),
        (lambda: rules.check_variables({"1a": ""}), "'1a' cannot be a variable", "letters"),
        (lambda: rules.check_variables({"a": "\0"}), "value of a is not usable", "text"),
        (lambda: rules.check_variables({"a": "x" * 9000}), "value of a is not usable", "text"),
        (lambda: rules.check_target("gone", TARGETS), "no target 'gone'", "debian-12"),
        (lambda: rules.check_target("gone", {}), "no target 'gone'", "put an image"),
        (
            lambda: rules.check_standing_target("debian-12-auto", TARGETS, "52:54:00:12:34:56"),
            "debian-12-auto erases the machine without asking",
            "`bootyard machine boot-once 52:54:00:12:34:56 debian-12-auto`",
        ),
        (
            lambda: rules.check_loader(LoaderName.GRUB, Firmware.BIOS, LOADERS),
            "firmware bios cannot run grub",
            "one of undionly, pxelinux$",
        ),
        (
            lambda: rules.check_loader(LoaderName.PXELINUX, Firmware.HTTP_X64, LOADERS),
            "firmware http-x64 cannot run pxelinux",
            "one of snponly, shim$",
        ),
        (
            lambda: rules.check_loader(LoaderName.SNPONLY, Firmware.UEFI_ARM64, LOADERS),
            "no snponly for firmware uefi-arm64 here",
            "leave it on `auto`, or put snponly.efi into LOADERS_DIR/uefi-arm64",
        ),
        (
            lambda: rules.check_loader(LoaderName.IPXE, Firmware.PI, LOADERS),
            "firmware pi cannot run ipxe",
            "leave it on `auto`$",
        ),
        (lambda: rules.check_timeout(-1), "-1 seconds", "0 .* 3600"),
        (lambda: rules.check_timeout(3601), "3601 seconds", "0 .* 3600"),
        (lambda: rules.check_expiry(0), "0 minutes", "1 to"),
        (lambda: rules.check_expiry(float("nan")), "nan minutes", "1 to"),
        (lambda: rules.check_expiry(1e9), "1e\\+09 minutes", "1 to"),
    ],
)
def test_refusals(check: Callable[[], object], problem: str, cure: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        check()
    with pytest.raises(RequestRefused, match=problem):
        raise RequestRefused(refusal.value.problem, "")
    with pytest.raises(RequestRefused, match=cure):
        raise RequestRefused("", refusal.value.cure)


def test_what_is_fine_comes_back_clean() -> None:
    assert rules.check_name("nuc-3.lan_A") == "nuc-3.lan_A"
    assert rules.check_tags(("a", "b", "a")) == ("a", "b")
    assert (
        rules.check_kernel_args("  console=ttyS0,115200   quiet ") == "console=ttyS0,115200 quiet"
    )
    assert rules.check_variables({"disk": "/dev/sda"}) == {"disk": "/dev/sda"}
    assert rules.check_expiry(30) == 30


@pytest.mark.parametrize(
    ("loader", "firmware"),
    [
        (LoaderName.PXELINUX, Firmware.BIOS),
        (LoaderName.SHIM, Firmware.UEFI_X64),
        (LoaderName.SNPONLY, Firmware.HTTP_X64),
        (LoaderName.GRUB, None),
        (LoaderName.GRUB, Firmware.UBOOT),
        (LoaderName.GRUB, Firmware.OTHER),
    ],
)
def test_loaders_that_may_be_pinned(loader: LoaderName, firmware: Firmware | None) -> None:
    assert rules.check_loader(loader, firmware, LOADERS) is loader


@pytest.mark.parametrize("target", ["menu", "local-disk", "live", "debian-12"])
def test_targets_that_may_stand(target: str) -> None:
    assert rules.check_standing_target(target, TARGETS) == target


def test_a_policy_is_changed_field_by_field() -> None:
    before = Policy(default="live", timeout_seconds=7)
    after = changed_policy(
        before, PolicyChange(unknown="silence", deny=("525400AB3456", "52:54:00:ab:34:56")), TARGETS
    )
    assert after == Policy(
        default="live",
        timeout_seconds=7,
        unknown="silence",
        deny=(MACAddress("52:54:00:ab:34:56"),),
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (PolicyChange(default="debian-12-auto"), "erases the machine"),
        (PolicyChange(default="gone"), "no target 'gone'"),
        (PolicyChange(timeout_seconds=3601), "3601 seconds"),
        (PolicyChange(timeout_seconds="soon"), "no policy"),  # type: ignore[arg-type]
        (PolicyChange(unknown="reboot"), "no policy"),  # type: ignore[arg-type]
        (PolicyChange(local_disk_method="kexec"), "no policy"),  # type: ignore[arg-type]
        (PolicyChange(allow=("x",)), "not a MAC address"),
        (PolicyChange(deny=tuple(f"5254{n:08x}" for n in range(1001))), "1001 machines are too"),
        (PolicyChange(secure_boot="on"), "no policy"),  # type: ignore[arg-type]
    ],
)
def test_policies_that_are_refused(change: PolicyChange, problem: str) -> None:
    with pytest.raises(RequestRefused, match=problem):
        changed_policy(Policy(), change, TARGETS)


def test_a_default_that_is_away_blocks_no_other_change() -> None:
    targets: dict[str, BootTarget] = {}
    after = changed_policy(Policy(default="live"), PolicyChange(timeout_seconds=0), targets)
    assert (after.default, after.timeout_seconds) == ("live", 0)
