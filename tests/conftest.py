"""What tests need of the machine: `pytest.mark.needs("tftp", "iptables")`, and root.

A missing program fails its tests. A skip would hide that nothing was tested.
"""

import os
import shutil

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): needs root and these programs")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing:
            pytest.fail(f"not installed: {', '.join(missing)}; see `make test`", pytrace=False)
        if os.geteuid() != 0:
            pytest.fail("needs root, for network namespaces", pytrace=False)
