"""A LAN whose wire is a forwarder that loses, doubles, delays and reorders.

host e0 ──── h0 (forwarder) c0 ──── e0 client
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.namespaces import End, entering, lay_wire
from tests.tftp.forwarder import Impairment
from tests.tftp.lan import CLIENT, HOST, REPOSITORY, SECOND, Lan


class Frames(NamedTuple):
    """What the server put on the wire."""

    data: int = 0
    others: int = 0


class BadWire(Lan):
    """A host and a client that hear each other only while the wire is `joined`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.middle = self._namespaces.name("middle")
        self.frames = Frames()
        """Of the wire that was joined last, once it is no more."""

    def build(self) -> None:
        """Make the namespaces and lay both wires."""
        for short in ("host", "client", "middle"):
            self._namespaces.add(short)
        lay_wire(End(self.host, "e0", (f"{HOST}/24", f"{SECOND}/24")), End(self.middle, "h0"))
        lay_wire(End(self.client, "e0", (f"{CLIENT}/24",)), End(self.middle, "c0"))
        for namespace in (self.host, self.client):
            # What leaves is a frame of its own with a checksum, as on copper.
            self.run_in(namespace, "ethtool", "-K", "e0", "tx", "off", "gso", "off")

    @contextmanager
    def joined(self, seed: int, impairment: Impairment) -> Iterator[None]:
        """Join the ends for a while."""
        counts = self.folder / "frames.json"
        words = (str(seed), *map(str, impairment), str(counts))
        forwarder = subprocess.Popen(
            entering(self.middle, sys.executable, "-m", "tests.tftp.forwarder", "h0", "c0", *words),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        try:
            assert forwarder.stdout is not None
            assert forwarder.stdout.readline() == b"ready\n"
            yield
            forwarder.terminate()
            assert forwarder.wait(10) == 0
            self.frames = Frames(**json.loads(counts.read_text(encoding="utf-8")))
        finally:
            forwarder.kill()
            forwarder.communicate()
