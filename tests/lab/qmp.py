"""QEMU's control socket, as little of it as the lab needs."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path

from tests.lab.processes import LabError


class Qmp:
    """One command, one answer; events in between are left out."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r")
        self._lines.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> object:
        request = {"execute": command, "arguments": dict(arguments or {})}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
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
        self._socket.close()
