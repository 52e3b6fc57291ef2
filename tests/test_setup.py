"""What `make setup` leaves: loaders of a known origin, locked requirements, nothing to redo."""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bootyard.model.architecture import Firmware
from bootyard.model.loaders import LOADER_FILES, loader_named

ROOT = Path(__file__).resolve().parents[1]
SHARE = ROOT / ".venv/share/bootyard"
LOADERS = SHARE / "loaders"
SETUP = ROOT / "deploy/setup"

FIRST_LOADERS = {
    "bios/undionly.kpxe",
    "bios/pxelinux.0",
    "bios/ldlinux.c32",
    "uefi-x64/snponly.efi",
    "uefi-x64/shimx64.efi",
    "uefi-x64/grubx64.efi",
    "uefi-x64/syslinux.efi",
    "uefi-x64/ldlinux.e64",
    "uefi-ia32/syslinux.efi",
    "uefi-ia32/ldlinux.e32",
    "uefi-arm64/ipxe.efi",
    "uefi-riscv64/ipxe.efi",
    "uefi-loong64/ipxe.efi",
}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def on_debian() -> bool:
    return platform.freedesktop_os_release().get("ID") == "debian"


def check_loaders(where: Path, *suite: str) -> str:
    command = [sys.executable, str(SETUP / "loaders.py"), "check", str(where), *suite]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((LOADERS / "MANIFEST.json").read_bytes())
    return loaded


@pytest.mark.skipif(
    not on_debian(), reason="elsewhere the loaders may be the machine's own release's"
)
def test_loaders_come_from_trixie(manifest: dict[str, Any]) -> None:
    assert manifest["suite"] == "trixie"
    assert {origin["suite"] for origin in manifest["files"].values()} == {"trixie"}
    assert manifest["files"].keys() >= FIRST_LOADERS


def test_manifest_describes_every_file(manifest: dict[str, Any]) -> None:
    on_disk = {
        str(path.relative_to(LOADERS)): (path.stat().st_size, sha256(path))
        for path in LOADERS.rglob("*")
        if path.is_file() and path.name != "MANIFEST.json"
    }
    described = {
        name: (origin["size"], origin["sha256"]) for name, origin in manifest["files"].items()
    }
    assert on_disk == described
    for origin in manifest["files"].values():
        assert origin["package"]
        assert origin["version"]
        assert origin["architecture"] in {"amd64", "arm64", "armhf", "riscv64"}


def test_snponly_is_not_that_of_debian_12(manifest: dict[str, Any]) -> None:
    """Debian 12's iPXE idles 16 s after the DHCP ACK and cannot use the firmware's lease."""
    if manifest["suite"] != "trixie":
        pytest.skip("the loaders are not trixie's")
    assert not manifest["files"]["uefi-x64/snponly.efi"]["version"].startswith("1.0.")
    installed = Path("/usr/lib/ipxe/snponly.efi")
    if (
        platform.freedesktop_os_release().get("VERSION_CODENAME") == "bookworm"
        and installed.exists()
    ):
        assert sha256(installed) != sha256(LOADERS / "uefi-x64/snponly.efi")


def test_modules_of_one_firmware_are_not_those_of_another() -> None:
    menus = {sha256(LOADERS / where / "menu.c32") for where in ("bios", "uefi-x64", "uefi-ia32")}
    assert len(menus) == 3


def test_damage_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "loaders"
    shutil.copytree(LOADERS, copy)
    assert check_loaders(copy) in {"complete", "incomplete"}
    assert check_loaders(copy, "sarge") == "absent"
    (copy / "uefi-x64/snponly.efi").write_bytes(b"half a file")
    assert check_loaders(copy) == "absent"
    (copy / "uefi-x64/snponly.efi").unlink()
    assert check_loaders(copy) == "absent"
    assert check_loaders(tmp_path / "nowhere") == "absent"


def lay(unpacked: Path, dest: Path, *incomplete: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SETUP / "loaders.py"), "lay", str(unpacked), str(dest)]
    command += ["trixie", *incomplete]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_what_few_machines_need_is_laid_when_it_could_be_had(tmp_path: Path) -> None:
    package = tmp_path / "unpacked/grub-efi-arm-unsigned.armhf"
    grub = package / "usr/lib/grub/arm-efi/monolithic/grubnetarm.efi"
    grub.parent.mkdir(parents=True)
    grub.write_bytes(b"GRUB")
    package.with_name(package.name + ".version").write_text("2.12-9\n")
    done = lay(package.parent, tmp_path / "loaders", "amd64", "arm64")
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads((tmp_path / "loaders/MANIFEST.json").read_bytes())
    assert manifest["files"].keys() == {"uefi-arm32/grubarm.efi"}
    assert (tmp_path / "loaders/uefi-arm32/grubarm.efi").read_bytes() == b"GRUB"
    grub.unlink()
    done = lay(package.parent, tmp_path / "nothing", "amd64", "arm64")
    assert done.returncode == 1
    assert "trixie has no uefi-arm32/grubarm.efi" in done.stdout


def test_what_many_machines_need_is_missed(tmp_path: Path) -> None:
    (tmp_path / "unpacked").mkdir()
    done = lay(tmp_path / "unpacked", tmp_path / "loaders", "arm64")
    assert done.returncode == 1
    assert "ipxe has no usr/lib/ipxe/undionly.kpxe" in done.stderr


@pytest.mark.parametrize("firmware", LOADER_FILES)
def test_every_firmware_finds_a_loader_where_it_is_laid(firmware: Firmware) -> None:
    """The layout's names are those that a machine is offered; not every loader has a package."""
    laid = set(layout())
    wanted = [f"{firmware}/{file}" for files in LOADER_FILES[firmware].values() for file in files]
    assert laid & set(wanted)
    elsewhere = {
        name
        for name in laid
        if name.startswith(f"{firmware}/") and loader_named(f"loaders/{name}") is None
    }
    helpers = {"memdisk", "ipxe.lkrn", "mmx64.efi", "mmaa64.efi", "ldlinux.e64", "ldlinux.e32", ""}
    assert {name.partition("/")[2] for name in elsewhere} <= helpers


def layout() -> dict[str, str]:
    """Destination -> package, as deploy/setup/loaders.py has it."""
    script = "import json, loaders; print(json.dumps({x[0]: x[1] for x in loaders.LAYOUT}))"
    command = [sys.executable, "-B", "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=SETUP)
    loaded: dict[str, str] = json.loads(done.stdout)
    return loaded


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take the network away")
def test_second_setup_does_nothing_and_needs_no_network() -> None:
    def stamps() -> dict[Path, int]:
        marks = [*(SHARE / "stamps").iterdir(), LOADERS / "MANIFEST.json"]
        return {path: path.stat().st_mtime_ns for path in marks}

    if json.loads((LOADERS / "MANIFEST.json").read_bytes())["incomplete"]:
        pytest.skip("the mirror had not everything: setup tries again each time")
    before = stamps()
    done = subprocess.run(
        [
            "env",
            "-u",
            "MAKEFLAGS",
            "unshare",
            "--net",
            "make",
            "--no-print-directory",
            "-C",
            str(ROOT),
            "setup",
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stamps() == before


def pins(name: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+==\S+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_locked_by_hash_and_name_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "--index" not in text
    for pin in re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in pin, pin.splitlines()[0]


def test_lock_follows_pyproject() -> None:
    """After a change of dependencies: make lock."""

    def name(requirement: str) -> str:
        return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")

    def locked(file: str) -> set[str]:
        return {name(pin) for pin in pins(file)}

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    run = {*project["dependencies"], *pyproject["build-system"]["requires"]}
    assert {name(each) for each in run} <= locked("requirements.txt")
    dev = project["optional-dependencies"]["dev"]
    assert {name(each) for each in dev} <= locked("requirements-dev.txt")


def test_developers_run_what_users_run() -> None:
    assert pins("requirements.txt") < pins("requirements-dev.txt")


def test_packages_that_are_there_are_left_alone(tmp_path: Path) -> None:
    if shutil.which("dpkg-query") is None:
        pytest.skip("not a Debian machine")
    wanted = tmp_path / "list.txt"
    wanted.write_text("# a comment\n\ndpkg   # always there\nno-such-package | dpkg\n")
    done = subprocess.run(
        [SETUP / "packages.sh", wanted], check=True, capture_output=True, text=True
    )
    assert done.stdout == ""


def test_scripts_pass_shellcheck() -> None:
    scripts = [*SETUP.glob("*.sh"), ROOT / ".ci/run"]
    done = subprocess.run(["shellcheck", *scripts], check=False, capture_output=True, text=True)
    assert done.stdout == ""
