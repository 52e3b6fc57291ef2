"""The TFTP servers that Bootyard is measured against, as Debian packages them.

dnsmasq is installed; tftpd-hpa and atftpd exclude one another and start by themselves when they
are installed, so they are unpacked into the bench's own directory. Each runs with the settings of
its package, except that it may serve as many machines as are measured, and with its usual log.
"""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.process import SYSTEM_PATH

MOST_TRANSFERS = 2000

Command = Callable[[Path, str, Path], tuple[str, ...]]
"""Makes a command line from the directory to serve, the address, and where to log."""


@dataclass(frozen=True)
class Peer:
    """A server that can be started."""

    name: str
    version: str
    program: str
    library_path: str
    arguments: Command

    def command(self, tree: Path, address: str, log: Path) -> tuple[str, ...]:
        """Its command line, which stays in the foreground."""
        return (self.program, *self.arguments(tree, address, log))


def _dnsmasq(tree: Path, address: str, log: Path) -> tuple[str, ...]:  # noqa: ARG001
    return (
        *("--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--pid-file"),
        *("--interface=s0", "--enable-tftp", f"--tftp-root={tree}"),
        *(f"--tftp-max={MOST_TRANSFERS}", f"--log-facility={log}"),
    )


def _tftpd_hpa(tree: Path, address: str, log: Path) -> tuple[str, ...]:  # noqa: ARG001
    return ("--foreground", "--secure", "--user", "root", "--address", f"{address}:69", str(tree))


def _atftpd(tree: Path, address: str, log: Path) -> tuple[str, ...]:
    return (
        *("--daemon", "--no-fork", "--user", "root.root", "--bind-address", address),
        *("--maxthread", str(MOST_TRANSFERS), "--tftpd-timeout", "0"),
        *("--logfile", str(log), str(tree)),
    )


UNPACKED: dict[str, tuple[str, Command]] = {
    "tftpd-hpa": ("in.tftpd", _tftpd_hpa),
    "atftpd": ("atftpd", _atftpd),
}
NAMES = ("dnsmasq", *UNPACKED)


def gather(names: list[str], directory: Path) -> list[Peer]:
    """Have these servers ready in `directory`; what cannot be had is left out, and named."""
    peers: list[Peer] = []
    for name in names:
        try:
            peers.append(_installed() if name == "dnsmasq" else _unpack(name, directory))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name} is left out: {error}")
    return peers


def _installed() -> Peer:
    program = shutil.which("dnsmasq", path=SYSTEM_PATH)
    if program is None:
        raise FileNotFoundError("dnsmasq is not installed")
    said = _output(program, "--version").split()
    return Peer("dnsmasq", said[2], program, "", _dnsmasq)


def _unpack(package: str, directory: Path) -> Peer:
    """Unpack a package and the library that both need and few machines have."""
    folder = directory / package
    folder.mkdir()
    for name in (package, "libwrap0"):
        apt = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name)
        subprocess.run(apt, cwd=folder, check=True, timeout=120, stdout=subprocess.DEVNULL)
    version = ""
    for package_file in folder.glob("*.deb"):
        subprocess.run(("dpkg-deb", "-x", str(package_file), str(folder)), check=True, timeout=60)
        if package_file.name.startswith(f"{package}_"):
            version = _output("dpkg-deb", "-f", str(package_file), "Version").strip()
    program, arguments = UNPACKED[package]
    libraries = {str(path.parent) for path in folder.rglob("lib*.so.*")}
    found = folder / "usr/sbin" / program
    found.stat()
    return Peer(package, version, str(found), ":".join(sorted(libraries)), arguments)


def _output(*command: str) -> str:
    done = subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE, text=True)
    return done.stdout
