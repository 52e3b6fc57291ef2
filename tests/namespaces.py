"""Network namespaces for tests: made, wired, entered and deleted; needs root.

Names carry the process id of the run, so runs do not meet; what a run leaves behind when it is
killed is swept by the next one. Nothing is made in the root network namespace.
"""

import ctypes
import itertools
import os
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NETNS = Path("/run/netns")
CLONE_NEWNET = 0x40000000
RUN_SECONDS = 60.0

_sets = itertools.count()


class NamespaceError(Exception):
    """A namespace or a wire could not be made."""


class Namespaces:
    """Namespaces of one test, which are deleted together. They go by their short names here."""

    def __init__(self) -> None:
        self._prefix = f"lab{os.getpid()}x{next(_sets)}"
        self._made: list[str] = []

    def name(self, short: str) -> str:
        """The full name, as `ip netns` knows it."""
        return f"{self._prefix}-{short}"

    def add(self, short: str) -> str:
        """Make a namespace with its loopback up; returns its full name."""
        if not self._made:
            _sweep_dead_runs()
        name = self.name(short)
        ip("netns", "add", name)
        self._made.append(name)
        ip("-n", name, "link", "set", "lo", "up")
        return name

    def close(self) -> None:
        """Delete them, and end what still runs inside."""
        while self._made:
            _delete(self._made.pop())


@dataclass(frozen=True)
class End:
    """An end of a wire; `addresses` are with their prefix length."""

    namespace: str
    device: str
    addresses: tuple[str, ...] = ()
    mac: str | None = None


def lay_wire(near: End, far: End) -> None:
    """Lay a wire between two namespaces, both ends up."""
    ip("link", "add", *_device(near), "type", "veth", "peer", *_device(far))
    for end in (near, far):
        for address in end.addresses:
            ip("-n", end.namespace, "addr", "add", address, "brd", "+", "dev", end.device)
        ip("-n", end.namespace, "link", "set", "dev", end.device, "up")


def ip(*arguments: str) -> str:
    """Run ip(8); what it complains about is in the error."""
    command = ("ip", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise NamespaceError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def entering(namespace: str, *command: str) -> tuple[str, ...]:
    """The command line that runs a command in a namespace.

    Each program executes the next in place, so the process id stays the one that was started, and
    the kernel ends the process should the test run die before its clean-up. Start it from a thread
    that outlives it: the kernel counts the death of the starting thread as that of the parent.
    """
    enter = ("nsenter", f"--net={NETNS / namespace}")
    return ("setpriv", "--pdeathsig", "KILL", *enter, *command)


def run(
    namespace: str,
    *command: str,
    check: bool = True,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float = RUN_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a namespace to its end."""
    return subprocess.run(
        entering(namespace, *command),
        check=check,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        env=env,
        timeout=timeout,
    )


def inside(namespace: str, make: Callable[[], T]) -> T:
    """Call `make` in a namespace; sockets that it opens stay there."""

    def enter() -> T:
        with (NETNS / namespace).open("rb") as entrance:
            if ctypes.CDLL(None, use_errno=True).setns(entrance.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return make()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter).result()


def _device(end: End) -> tuple[str, ...]:
    address = () if end.mac is None else ("address", end.mac)
    return ("name", end.device, *address, "netns", end.namespace)


def _delete(name: str) -> None:
    with suppress(NamespaceError):
        for pid in ip("netns", "pids", name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        ip("netns", "delete", name)


def _sweep_dead_runs() -> None:
    """Delete the namespaces of runs whose process is gone."""
    if not NETNS.is_dir():
        return
    for entry in sorted(NETNS.iterdir()):
        owner = re.fullmatch(r"lab(\d+)x\d+-\w+", entry.name)
        if owner is not None and not Path(f"/proc/{owner[1]}").exists():
            _delete(entry.name)
