"""A host with the proxydhcp service, for the tests that start it in their own way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxydhcp.host import Host


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Host]:
    """A host whose service is not started yet."""
    host = Host(tmp_path)
    try:
        yield host
    finally:
        host.close()
