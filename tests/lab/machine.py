"""A virtual machine on the lab's switch: real firmware in QEMU, its serial console in a file.

with Machine(lab, "uefi-x64", mac="52:54:00:12:34:56") as machine:
    machine.wait_for("Select a language", timeout=180)
    machine.press("ret")
"""

import re
import shutil
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from uuid import NAMESPACE_OID, uuid5

from tests.lab.network import Lab
from tests.lab.processes import LabError, Process, wait_until
from tests.lab.qmp import Qmp

Kind = Literal["uefi-x64", "http-x64", "bios"]

_OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
_OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_ESCAPE = re.compile(
    r"\x1b\[[0-9;?=]*[A-Za-z]"  # cursor, colour, modes
    r"|\x1b[()][A-Z0-9]"  # character sets
    r"|\x1b[=>78cDEHM]"
    r"|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]"
)


@dataclass(frozen=True)
class _Profile:
    """What one kind of machine adds to the QEMU command line."""

    ovmf: bool
    arguments: Sequence[str]
    rom: str


def _without_pxe() -> list[str]:
    off = [("-fw_cfg", f"name=opt/org.tianocore/IPv{v}PXESupport,string=n") for v in (4, 6)]
    return [word for pair in off for word in pair]


_PROFILES: Mapping[Kind, _Profile] = {
    "uefi-x64": _Profile(ovmf=True, arguments=("-M", "q35"), rom=",romfile="),
    "http-x64": _Profile(ovmf=True, arguments=("-M", "q35", *_without_pxe()), rom=",romfile="),
    # Without graphics SeaBIOS copies its screen to the serial port and reads keys from it.
    "bios": _Profile(ovmf=False, arguments=("-M", "q35,graphics=off", "-vga", "none"), rom=""),
}


class Machine:
    """A machine that is switched on by `with` and switched off at its end."""

    def __init__(
        self,
        lab: Lab,
        kind: Kind,
        *,
        mac: str = "52:54:00:12:34:56",
        name: str | None = None,
        memory_mb: int = 1024,
        disk_mb: int = 0,
        extra: Sequence[str] = (),
    ) -> None:
        """With less than 1024 MB the Debian installer asks about low memory first."""
        self.lab = lab
        self.kind: Kind = kind
        self.mac = mac
        self.name = name or f"{kind}-{mac[-5:].replace(':', '')}"
        self._memory_mb = memory_mb
        self._disk_mb = disk_mb
        self._extra = extra
        self._console = lab.work / f"{self.name}.console"
        self._process: Process | None = None
        self._qmp: Qmp | None = None
        self._serial: socket.socket | None = None
        self._mark = 0
        self._switched_on = 0.0

    def __enter__(self) -> Self:
        self.power_on()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.power_off()

    @property
    def process(self) -> Process:
        if self._process is None:
            raise LabError(f"{self.name} is off")
        return self._process

    @property
    def uptime(self) -> float:
        """Seconds since the machine was switched on or reset."""
        return time.monotonic() - self._switched_on

    def power_on(self) -> None:
        qmp = self.lab.sockets / f"{self.name}.qmp"
        self._process = self.lab.popen("sw", self._command(qmp), name=self.name)
        self._switched_on = time.monotonic()
        wait_until(
            lambda: (qmp.exists() or not self.process.running) or None,
            timeout=10,
            failure=self.process.tail,
        )
        if not self.process.running:
            raise LabError(f"QEMU did not start: {self.process.tail()}")
        self._qmp = Qmp(qmp)

    def power_off(self) -> None:
        """Pull the plug."""
        if self._serial is not None:
            self._serial.close()
        if self._qmp is not None:
            with suppress(OSError, LabError):
                self._qmp.execute("quit")
            self._qmp.close()
        if self._process is not None:
            with suppress(Exception):
                self._process.wait(3)
            self._process.kill()
        self._process = self._qmp = self._serial = None

    def reset(self) -> None:
        """The reset button. `wait_for` looks only at what comes after it."""
        self._command_qmp("system_reset")
        self._switched_on = time.monotonic()
        self.mark()

    def press(self, *keys: str) -> None:
        """Press keys on the keyboard by QEMU's names: `ret`, `esc`, `down`, `f8`, `ctrl-b`."""
        for key in keys:
            codes = [{"type": "qcode", "data": code} for code in key.split("-")]
            self._command_qmp("send-key", {"keys": codes})
            time.sleep(0.15)  # QEMU holds a key for 0.1 s

    def type(self, text: str) -> None:
        """Type on the serial console; `\\x1b[B` is the arrow down, `\\r` the return key."""
        if self._serial is None:
            self._serial = self._connect_serial()
        self._serial.sendall(text.encode())

    def console(self) -> str:
        """Everything on the serial console since `mark`, as plain text."""
        if not self._console.exists():
            return ""
        raw = self._console.read_bytes()[self._mark :]
        return _ESCAPE.sub("", raw.decode(errors="replace"))

    def mark(self) -> None:
        """Forget what the console showed so far."""
        self._mark = self._console.stat().st_size if self._console.exists() else 0

    def wait_for(self, text: str, *, timeout: float) -> float:
        """Wait until the console has shown `text`; returns the seconds since power-on."""

        def look() -> float | None:
            if text in self.console():
                return self.uptime
            if not self.process.running:
                raise LabError(f"QEMU ended: {self.process.tail()}")
            return None

        return wait_until(look, timeout=timeout, failure=lambda: self._failure(text))

    def _failure(self, text: str) -> str:
        lines = [line.rstrip() for line in self.console().splitlines() if line.strip()]
        shown = "\n".join(f"  | {line[-200:]}" for line in lines[-25:])
        return f"{text!r} on the console of {self.name}, which ends with:\n{shown}"

    def _command_qmp(self, name: str, arguments: Mapping[str, object] | None = None) -> None:
        if self._qmp is None:
            raise LabError(f"{self.name} is off")
        self._qmp.execute(name, arguments)

    def _connect_serial(self) -> socket.socket:
        serial = socket.socket(socket.AF_UNIX)
        serial.connect(str(self._serial_path))
        # QEMU waits for a reader that does not read; the file has it all anyway.
        threading.Thread(target=_drain, args=(serial,), daemon=True).start()
        return serial

    @property
    def _serial_path(self) -> Path:
        return self.lab.sockets / f"{self.name}.serial"

    def _command(self, qmp: Path) -> list[str]:
        profile = _PROFILES[self.kind]
        serial = f"socket,id=serial0,path={self._serial_path},server=on,wait=off"
        nic = f"virtio-net-pci,netdev=lan,bootindex=1,mac={self.mac}{profile.rom}"
        return [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-m", str(self._memory_mb)),
            *("-uuid", str(uuid5(NAMESPACE_OID, self.mac))),  # as in option 97
            *("-name", self.name, "-nodefaults", "-display", "none", *profile.arguments),
            *(self._pflash() if profile.ovmf else ()),
            *("-netdev", f"tap,id=lan,ifname={self.lab.tap()},script=no,downscript=no"),
            *("-device", nic),
            *("-device", "virtio-rng-pci"),  # OVMF boots from no network without entropy
            *("-chardev", f"{serial},logfile={self._console},logappend=on"),
            *("-serial", "chardev:serial0"),
            *("-qmp", f"unix:{qmp},server=on,wait=off"),
            *(self._disk() if self._disk_mb else ()),
            *self._extra,
        ]

    def _pflash(self) -> list[str]:
        variables = self.lab.work / f"{self.name}.vars.fd"
        if not variables.exists():
            shutil.copyfile(_OVMF_VARS, variables)
        return [
            *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_OVMF_CODE}"),
            *("-drive", f"if=pflash,unit=1,format=raw,file={variables}"),
        ]

    def _disk(self) -> list[str]:
        disk = self.lab.work / f"{self.name}.disk"
        if not disk.exists():
            with disk.open("wb") as file:
                file.truncate(self._disk_mb * 1024 * 1024)
        return [
            *("-drive", f"id=disk,if=none,format=raw,file={disk}"),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=2"),
        ]


def _drain(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(65536):
            pass
