"""Machines that load files over real sockets, many in one thread: the model client on a wire."""

import selectors
import time
from collections.abc import Callable, Sequence

from services.tftp.packet import Error, Options
from tests.tftp.clients import ModelClient
from tests.tftp.lan import Lan

ASK_AGAIN_SECONDS = 1.0
TRIES = 10_000
"""A test's own deadline ends it, not the patience of its machines."""


class Machine:
    """One transfer, from its RRQ on; it holds to the port that answered first."""

    def __init__(
        self,
        lan: Lan,
        path: str,
        *,
        block_size: int = 1468,
        window_size: int = 1,
        source: str = "0.0.0.0",
        copies: int = 1,
    ) -> None:
        self.path = path
        self.copies = copies
        """How often it sends each ACK."""
        self.options: Options = (("blksize", str(block_size)), ("windowsize", str(window_size)))
        self.talk = lan.talk(source)
        self.talk.socket.setblocking(False)
        self.client = ModelClient(tries=TRIES)
        self.heard = 0
        """DATA and everything else that came from its transfer."""
        self.errors: list[Error] = []
        self._transfer: tuple[str, int] | None = None
        self._asks_at = 0.0

    @property
    def is_loading(self) -> bool:
        """It has neither the whole file nor an ERROR."""
        return not (self.client.is_done or self.client.has_failed)

    @property
    def received(self) -> bytes:
        """What it has of the file."""
        return bytes(self.client.received)

    def hear(self) -> None:
        """Take one datagram."""
        try:
            datagram, peer = self.talk.socket.recvfrom(70_000)
        except BlockingIOError:
            return
        self._transfer = self._transfer or peer
        if peer != self._transfer:
            self.talk.send_raw(Error(5, "unknown transfer").to_bytes(), peer)
            return
        self.heard += 1
        if datagram[:2] == b"\0\5":
            self.errors.append(Error(datagram[3]))
        self._send(self.client.receive(datagram, time.monotonic()))

    def look_at_clock(self) -> None:
        """Ask, or acknowledge, again when it is time to."""
        now = time.monotonic()
        if self._transfer is None and now >= self._asks_at:
            self.talk.ask(self.path, self.options)
            self._asks_at = now + ASK_AGAIN_SECONDS
        elif self._transfer is not None and self.is_loading and now >= self.client.deadline:
            self._send(self.client.handle_timer(now))

    def _send(self, datagrams: list[bytes]) -> None:
        assert self._transfer is not None
        for datagram in datagrams:
            for _ in range(self.copies):
                self.talk.send_raw(datagram, self._transfer)


def load(
    machines: Sequence[Machine],
    until: Callable[[], bool] = lambda: False,
    seconds: float = 60.0,
) -> None:
    """Let machines load at the same time, one datagram of each at a turn, to their ends or less."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for machine in machines:
            selector.register(machine.talk.socket, selectors.EVENT_READ, machine)
        while any(machine.is_loading for machine in machines) and not until():
            assert time.monotonic() < deadline, [len(m.client.received) for m in machines]
            for machine in machines:
                machine.look_at_clock()
            for key, _ in selector.select(0.05):
                key.data.hear()
