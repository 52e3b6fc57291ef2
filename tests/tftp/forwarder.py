"""A bad wire: joins two network devices and loses, doubles, delays and reorders what crosses it.

    python -m tests.tftp.forwarder NEAR FAR SEED LOSS DUPLICATION REORDERING COUNTS

It runs in a namespace that holds one end each of two veth pairs, on raw sockets (packet(7)). Only
UDP is impaired: a lost ARP answer would make a test of the neighbour table. A frame that is late
by REORDERING waits for up to `LATEST`, so that those behind it overtake. On SIGTERM it writes how
many DATA and other TFTP frames NEAR brought to COUNTS, and ends. The devices at the other ends must
not leave checksums or segmentation to this one (`ethtool -K DEVICE tx off`).
"""

import heapq
import json
import random
import select
import signal
import socket
import sys
import time
from itertools import count
from pathlib import Path
from typing import NamedTuple

LATEST = 0.01
ALL = 0x0003
BUFFER_BYTES = 8 << 20
MAX_FRAME = 65_536
ETHERNET = 14


class Impairment(NamedTuple):
    """How likely each of these happens to a frame, in each direction."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0


class Fates:
    """Decides by seeded randomness when a frame and its copies arrive."""

    def __init__(self, seed: int, impairment: Impairment) -> None:
        self._random = random.Random(seed)
        self._impairment = impairment

    def delays(self) -> list[float]:
        """One for each copy that arrives: none is loss."""
        chance, worst = self._random.random, self._impairment
        if chance() < worst.loss:
            return []
        copies = 2 if chance() < worst.duplication else 1
        return [chance() * LATEST if chance() < worst.reordering else 0.0 for _ in range(copies)]


def udp_payload(frame: bytes) -> bytes | None:
    """Find what an Ethernet frame carries in UDP over IPv4; None: it is something else."""
    if frame[12:14] != b"\x08\x00" or frame[ETHERNET + 9] != socket.IPPROTO_UDP:
        return None
    return frame[ETHERNET + 4 * (frame[ETHERNET] & 0x0F) + 8 :]


class Forwarder:
    """Two devices and what is on its way between them."""

    def __init__(self, near: str, far: str, fates: Fates) -> None:
        self._ends = [_listen(near), _listen(far)]
        self._fates = fates
        self._waiting: list[tuple[float, int, socket.socket, bytes]] = []
        self._order = count()
        self.data = self.others = 0
        self.is_ending = False

    def run(self) -> None:
        """Forward until `is_ending`."""
        near, far = self._ends
        while not self.is_ending:
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                _, _, end, frame = heapq.heappop(self._waiting)
                end.send(frame)
            patience = self._waiting[0][0] - now if self._waiting else 0.1
            readable, _, _ = select.select(self._ends, [], [], patience)
            for end in readable:
                frame, (_, _, kind, *_) = end.recvfrom(MAX_FRAME)
                if kind != socket.PACKET_OUTGOING:
                    self._take(frame, is_from_near=end is near, to=far if end is near else near)

    def _take(self, frame: bytes, *, is_from_near: bool, to: socket.socket) -> None:
        payload = udp_payload(frame)
        if payload is None:
            to.send(frame)
            return
        if is_from_near:
            self.data += payload[:2] == b"\0\3"
            self.others += payload[:2] != b"\0\3"
        for delay in self._fates.delays():
            moment = time.monotonic() + delay
            heapq.heappush(self._waiting, (moment, next(self._order), to, frame))


def _listen(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    opened.bind((device, 0))
    return opened


def main() -> None:
    """Forward until SIGTERM."""
    near, far, seed, loss, duplication, reordering, counts = sys.argv[1:]
    impairment = Impairment(float(loss), float(duplication), float(reordering))
    forwarder = Forwarder(near, far, Fates(int(seed), impairment))

    def end(*_: object) -> None:
        forwarder.is_ending = True

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    forwarder.run()
    told = {"data": forwarder.data, "others": forwarder.others}
    Path(counts).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
