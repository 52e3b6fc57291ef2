"""A host with the proxydhcp service, for tests that start it in their own way; a Valkey."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.proxydhcp.host import Host
from tests.redis_server import RedisServer


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Host]:
    """A host whose service is not started yet."""
    host = Host(tmp_path)
    try:
        yield host
    finally:
        host.close()


@pytest.fixture
async def server() -> Any:  # noqa: ANN401 - a generator of RedisServer
    """A Valkey of the test's own."""
    async with RedisServer() as running:
        yield running


@pytest.fixture
def connection(server: RedisServer) -> Iterator["redis.Redis"]:
    """A connection with it."""
    opened = redis.Redis(unix_socket_path=str(server.socket))
    yield opened
    opened.close()
