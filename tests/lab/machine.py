"""A virtual machine on the lab's switch: real firmware in QEMU, its serial console in a file.

with Machine(lab, "uefi-x64", mac="52:54:00:12:34:56") as machine:
    machine.wait_for("Select a language", timeout=180)
    machine.press("ret")
"""

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from uuid import NAMESPACE_OID, uuid5

from tests.lab.console import Listener, Qmp, SerialConsole
from tests.lab.network import Lab
from tests.lab.processes import LabError, Process, wait_until

Kind = Literal["uefi-x64", "http-x64", "secure-boot", "ia32", "arm64", "bios"]


@dataclass(frozen=True)
class _Uefi:
    """Firmware on two flash chips: its code, and the variables that it starts with."""

    code: Path
    variables: Path


@dataclass(frozen=True)
class _Profile:
    """What one kind of machine adds to the QEMU command line."""

    uefi: _Uefi | None
    arguments: Sequence[str]
    qemu: str = "qemu-system-x86_64"


_OVMF = Path("/usr/share/OVMF")
_AAVMF = Path("/usr/share/AAVMF")
_X64 = _Uefi(_OVMF / "OVMF_CODE_4M.fd", _OVMF / "OVMF_VARS_4M.fd")
_X64_WITH_KEYS = _Uefi(_OVMF / "OVMF_CODE_4M.ms.fd", _OVMF / "OVMF_VARS_4M.ms.fd")
"""Has Microsoft's keys and enforces Secure Boot."""
_IA32 = _Uefi(_OVMF / "OVMF32_CODE_4M.secboot.fd", _OVMF / "OVMF32_VARS_4M.fd")
"""Could enforce Secure Boot, but has no keys: it starts anything."""
_ARM64 = _Uefi(_AAVMF / "AAVMF_CODE.fd", _AAVMF / "AAVMF_VARS.fd")

# The variables of such firmware are written in system management mode only.
_Q35_WITH_SMM = ("-M", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")


_WITHOUT_PXE = tuple(
    word
    for version in (4, 6)
    for word in ("-fw_cfg", f"name=opt/org.tianocore/IPv{version}PXESupport,string=n")
)
_PROFILES: Mapping[Kind, _Profile] = {
    "uefi-x64": _Profile(_X64, ("-M", "q35")),
    "http-x64": _Profile(_X64, ("-M", "q35", *_WITHOUT_PXE)),
    "secure-boot": _Profile(_X64_WITH_KEYS, _Q35_WITH_SMM),
    "ia32": _Profile(_IA32, _Q35_WITH_SMM),
    # Without pauth-impdef QEMU spends most of its time on pointer authentication.
    "arm64": _Profile(
        _ARM64, ("-M", "virt", "-cpu", "max,pauth-impdef=on"), qemu="qemu-system-aarch64"
    ),
    # Without graphics SeaBIOS copies its screen to the serial port and reads keys from it.
    "bios": _Profile(None, ("-M", "q35,graphics=off", "-vga", "none")),
}


@dataclass(frozen=True)
class _Power:
    """What exists only while the machine is on."""

    process: Process
    console: SerialConsole
    qmp: Qmp


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
        disk: Path | None = None,
        extra: Sequence[str] = (),
        bridge: str = "br0",
    ) -> None:
        """With less than 1024 MB the Debian installer asks about low memory first.

        `disk` is a raw image, second in the boot order: an empty file of some size, or what
        `make_local_disk` wrote. `bridge` is the network of the switch that it is on.
        """
        self.lab = lab
        self.kind: Kind = kind
        self.mac = mac
        self.name = name or f"{kind}-{mac[-5:].replace(':', '')}"
        self._memory_mb = memory_mb
        self._disk = disk
        self._extra = extra
        self._tap = lab.tap(bridge)
        self._power: _Power | None = None
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
    def uptime(self) -> float:
        """Seconds since the machine was switched on or reset."""
        return time.monotonic() - self._switched_on

    @property
    def console(self) -> SerialConsole:
        return self._on.console

    @property
    def _on(self) -> _Power:
        if self._power is None:
            raise LabError(f"{self.name} is off")
        return self._power

    def power_on(self) -> None:
        serial = Listener(self.lab.sockets / f"{self.name}.serial")
        control = Listener(self.lab.sockets / f"{self.name}.qmp")
        command = self._command(serial.path, control.path)
        process = self.lab.popen("sw", command, name=self.name)
        self._switched_on = time.monotonic()
        console = SerialConsole(serial.accept(process), self.lab.work / f"{self.name}.console")
        self._power = _Power(process, console, Qmp(control.accept(process)))

    def power_off(self) -> None:
        """Pull the plug."""
        if self._power is None:
            return
        on, self._power = self._power, None
        with suppress(OSError, LabError, subprocess.TimeoutExpired):
            on.qmp.execute("quit")
            on.process.wait(3)
        on.process.kill()
        on.qmp.close()
        on.console.close()

    def reset(self) -> None:
        """The reset button. `wait_for` looks only at what comes after it."""
        self._on.console.mark()
        self._on.qmp.execute("system_reset")
        self._switched_on = time.monotonic()

    def press(self, *keys: str) -> None:
        """Press keys on the keyboard by QEMU's names: `ret`, `esc`, `down`, `f8`, `ctrl-b`."""
        for key in keys:
            codes = [{"type": "qcode", "data": code} for code in key.split("-")]
            self._on.qmp.execute("send-key", {"keys": codes})
            time.sleep(0.15)  # QEMU holds a key for 0.1 s

    def type(self, text: str) -> None:
        """Type on the serial console; `\\x1b[B` is the arrow down, `\\r` the return key."""
        self._on.console.type(text)

    def wait_for(self, text: str, *, timeout: float) -> float:
        """Wait until the console has shown `text`; returns the seconds since power-on."""
        return self.wait_for_any(text, timeout=timeout)[1]

    def wait_for_any(self, *texts: str, timeout: float) -> tuple[str, float]:
        """Wait for the first of several texts: which, and how long after power-on."""
        on = self._on

        def look() -> tuple[str, float] | None:
            shown = on.console.text()
            for text in texts:
                if text in shown:
                    return text, self.uptime
            if not on.process.running:
                raise LabError(f"QEMU ended: {on.process.tail()}")
            return None

        def failure() -> str:
            wanted = " or ".join(repr(text) for text in texts)
            return f"{wanted} on the console of {self.name}, which ends with:\n{on.console.tail()}"

        return wait_until(look, timeout=timeout, failure=failure)

    def _command(self, serial: Path, control: Path) -> list[str]:
        profile = _PROFILES[self.kind]
        # UEFI has its own driver; the option ROM would be a second, older iPXE.
        rom = ",romfile=" if profile.uefi else ""
        return [
            *(profile.qemu, "-accel", "tcg,thread=multi", "-m", str(self._memory_mb)),
            *("-name", self.name, "-nodefaults", "-display", "none", *profile.arguments),
            *("-uuid", str(uuid5(NAMESPACE_OID, self.mac))),  # as in option 97
            *(self._pflash(profile.uefi) if profile.uefi else ()),
            *("-netdev", f"tap,id=lan,ifname={self._tap},script=no,downscript=no"),
            *("-device", f"virtio-net-pci,netdev=lan,bootindex=1,mac={self.mac}{rom}"),
            *("-device", "virtio-rng-pci"),  # OVMF boots from no network without entropy
            *("-chardev", f"socket,id=serial0,path={serial}", "-serial", "chardev:serial0"),
            *("-chardev", f"socket,id=control,path={control}", "-mon", "control,mode=control"),
            *(self._drive(self._disk) if self._disk else ()),
            *self._extra,
        ]

    def _pflash(self, uefi: _Uefi) -> list[str]:
        variables = self.lab.work / f"{self.name}.vars.fd"
        if not variables.exists():
            shutil.copyfile(uefi.variables, variables)
        return [
            *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={uefi.code}"),
            *("-drive", f"if=pflash,unit=1,format=raw,file={variables}"),
        ]

    def _drive(self, disk: Path) -> list[str]:
        return [
            *("-drive", f"id=disk,if=none,format=raw,file={disk}"),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=2"),
        ]
