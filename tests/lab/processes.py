"""A process of the lab: its own group, its output in a file, ended by its own id."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tests.namespaces import entering

CLEAN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
}
POLL_SECONDS = 0.05


class LabError(Exception):
    """The lab did not do what a journey asked of it."""


T = TypeVar("T")


def wait_until(look: Callable[[], T | None], *, timeout: float, failure: Callable[[], str]) -> T:
    """Call `look` until it gives something; `failure` words the error."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise LabError(f"not within {timeout:.0f} s: {failure()}")
        time.sleep(POLL_SECONDS)


def in_namespace(namespace: str, argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The command line that runs `argv` in a network namespace, with a clean environment."""
    variables = {**CLEAN_ENVIRONMENT, **environment}
    settings = (f"{name}={value}" for name, value in variables.items())
    return [*entering(namespace, "env", "-i", *settings, *argv)]


class Process:
    """One running program; its standard output and error go to `log`."""

    def __init__(self, argv: Sequence[str], *, name: str, log: Path, cwd: Path | None) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                process_group=0,
            )
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        return self._popen.poll()

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 20) -> str:
        last = "\n".join(self.output().splitlines()[-lines:])
        return f"{self.name} (exit {self.returncode}), end of {self.log.name}:\n{last}"

    def wait_for_output(self, text: str, *, timeout: float = 10) -> None:
        def look() -> bool | None:
            if text in self.output():
                return True
            if not self.running:
                raise LabError(f"ended before it said {text!r}: {self.tail()}")
            return None

        wait_until(look, timeout=timeout, failure=lambda: f"{text!r} from {self.tail()}")

    def wait(self, timeout: float) -> int:
        return self._popen.wait(timeout)

    def signal(self, number: signal.Signals) -> None:
        """Signal this one process, not its group."""
        if self.running:
            self._popen.send_signal(number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and what it started in its group, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(5)

    def stop(self, *, timeout: float = 5) -> int:
        """Ask it to end; kill it when it does not. Returns its exit code."""
        if self.running:
            self.thaw()
            self.signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        self.kill()
        return self._popen.wait(1)
