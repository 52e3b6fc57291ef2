"""The two ways into a running QEMU: its serial port, written to a file, and its control socket.

QEMU connects to us, so nothing that the firmware says is lost. QEMU's own log file of a serial port
is not used: it repeats characters whenever the reader is slow.
"""

import json
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.lab.processes import LabError, Process

_ESCAPE = re.compile(
    r"\x1b\[[0-9;?=]*[A-Za-z]"  # cursor, colour, modes
    r"|\x1b[()][A-Z0-9]"  # character sets
    r"|\x1b[=>78cDEHM]"
    r"|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]"
)


class Listener:
    """A socket that a process we start connects to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(1)
        self._socket.settimeout(0.5)

    def accept(self, process: Process) -> socket.socket:
        with self._socket:
            for _ in range(20):
                with suppress(TimeoutError):
                    connection, _ = self._socket.accept()
                    return connection
                if not process.running:
                    break
        raise LabError(f"no connection from {process.tail()}")


class SerialConsole:
    """What a serial port says, kept in a file from which it can be read as plain text."""

    def __init__(self, connection: socket.socket, log: Path) -> None:
        self.log = log
        self._mark = log.stat().st_size if log.exists() else 0
        self._connection = connection
        self._connection.settimeout(None)
        self._pump = threading.Thread(target=self._copy, daemon=True)
        self._pump.start()

    def _copy(self) -> None:
        with self.log.open("ab", buffering=0) as file, suppress(OSError):
            while data := self._connection.recv(65536):
                file.write(data)

    def mark(self) -> None:
        """Forget what has been shown so far."""
        self._mark = self.log.stat().st_size if self.log.exists() else 0

    def text(self) -> str:
        """Everything since `mark`, without control sequences."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(self._mark)
            return _ESCAPE.sub("", file.read().decode(errors="replace"))

    def tail(self, lines: int = 25) -> str:
        shown = [line.rstrip() for line in self.text().splitlines() if line.strip()]
        return "\n".join(f"  | {line[-200:]}" for line in shown[-lines:])

    def type(self, text: str) -> None:
        self._connection.sendall(text.encode())

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._pump.join(2)
        self._connection.close()


class Qmp:
    """QEMU's control socket: one command, one answer; events in between are left out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(10)
        self._lines = connection.makefile("r")
        self._lines.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> object:
        request = {"execute": command, "arguments": dict(arguments or {})}
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        for line in self._lines:
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                result: object = answer["return"]
                return result
        raise LabError(f"{command}: QEMU hung up")

    def close(self) -> None:
        self._lines.close()
        self._connection.close()
