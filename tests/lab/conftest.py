"""Fixtures of the lab, which needs root and real programs."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.debian_installer import INSTALLER, make_debian_folder
from tests.lab.host import BootyardHost
from tests.lab.network import Lab

HERE = Path(__file__).parent
PROGRAMS = ("qemu-system-x86_64", "dnsmasq", "tcpdump", "udhcpc", "ip", "tc", "nsenter", "setpriv")
FILES = (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), INSTALLER)


def _what_is_missing() -> str | None:
    if os.geteuid() != 0:
        return "namespaces need root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    missing += [str(file) for file in FILES if not file.exists()]
    if missing:
        return f"not installed: {', '.join(missing)}; `make test-packages` installs them"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.lab)
    missing = _what_is_missing()
    if ours and missing:
        # A skip would hide that the journeys were not made.
        pytest.exit(f"the lab cannot be built: {missing}", returncode=1)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path / "lab") as opened:
        yield opened


@pytest.fixture
def host(lab: Lab) -> Iterator[BootyardHost]:
    host = BootyardHost(lab)
    make_debian_folder(host.images)
    yield host
    print(host.log())  # pytest shows it for a journey that failed
