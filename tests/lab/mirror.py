"""Where this machine takes its Debian packages from: systems that tests boot are made of them."""

import re
import subprocess
from pathlib import Path

from tests.lab.processes import LabError

SUITE = "trixie"
"""The release that is taken, whatever this machine's own is."""


def own_mirror() -> str:
    """The address this machine takes its Debian packages from."""
    wanted = "$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", wanted],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    codename = _os_release("VERSION_CODENAME")
    for line in listed.splitlines():
        created_by, component, release, address = line.split()
        if (created_by, component) == ("Packages", "main") and release in {codename, SUITE}:
            return address
    raise LabError("apt names no Debian mirror")


def _os_release(field: str) -> str:
    found = re.search(rf'^{field}="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE)
    return found[1] if found else ""
