"""Child processes that are kept running and never outlive their parent."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from bootyard.runtime.log import get_logger
from bootyard.runtime.waiting import wait_at_most

log = get_logger(__name__)

STOP_SECONDS = 15.0
STEADY_SECONDS = 10.0
"""A child that lived this long is started again without waiting."""
MAX_DELAY = 10.0


@dataclass(kw_only=True)
class Child:
    """A program to keep running, with what it needs added to the environment."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    async def keep_running(self, stopping: asyncio.Event) -> None:
        """Start it, again whenever it ends, until `stopping` is set."""
        loop = asyncio.get_running_loop()
        delay = 0.2
        while not stopping.is_set():
            started = loop.time()
            self.process = await self._start()
            status = await self.process.wait()
            if stopping.is_set():
                return
            delay = 0.2 if loop.time() - started > STEADY_SECONDS else min(delay * 2, MAX_DELAY)
            log.error(
                "child ended; starting it again",
                child=self.name,
                reason=describe_exit(status),
                wait=f"{delay:.1f} s",
            )
            await wait_at_most(stopping, delay)

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            # The kernel ends the child when this process dies, even by SIGKILL.
            *("setpriv", "--pdeathsig", "TERM", "--"),
            *self.arguments,
            env={**os.environ, **self.environment},  # noqa: TID251 - handed on, not read
            # Ctrl-C reaches this process alone, so that it can stop its children in order.
            start_new_session=True,
        )

    async def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL when that does not help."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            log.warning("child did not stop; killing it", child=self.name)
            self.process.kill()
            await self.process.wait()


def service(name: str, environment: Mapping[str, str]) -> Child:
    """Make the child that is one of the three services."""
    return Child(
        name=name,
        arguments=(sys.executable, "-m", f"services.{name}"),
        environment=environment,
    )


def describe_exit(status: int) -> str:
    """Tell how a process ended, by its status as asyncio gives it."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
