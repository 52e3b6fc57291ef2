"""An engine without a network: its batches are read out of memory, and its clock stands still."""

import asyncio
import ctypes
import errno
import socket
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from unittest.mock import patch

from bootyard.model.events import FileClass
from bootyard.model.snapshot import Fingerprint, Root, Slice
from services.tftp import lane, mmsg, traffic, turns
from services.tftp.batches import (
    ADDRESS_BYTES,
    CONTROL,
    CONTROL_LENGTH,
    HEADER_WORDS,
    NAME,
    SLOT_BYTES,
    VECTOR,
    VECTORS,
    WORD,
    peer_key,
    peer_of,
)
from services.tftp.content import ContentStore
from services.tftp.digest import TransferSubject
from services.tftp.lane import Lane
from services.tftp.options import Negotiated
from services.tftp.order import Order, Peer
from services.tftp.packed import PacketCache
from services.tftp.run import Run
from services.tftp.traffic import Traffic

HOST = IPv4Address("127.0.0.1")


class MemoryWire:
    """Stands for the system calls and the clock; `sent` is what went out to each peer."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sent: defaultdict[Peer, list[bytes]] = defaultdict(list)
        self.calls = 0
        self.room = 1 << 30
        """How many more messages fit the send buffer."""
        self.failures: list[int] = []
        """What the next calls of sendmmsg fail with."""
        self._arrived: list[tuple[bytearray, bytes]] = []
        self.traffic: Traffic | None = None

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Replace the system calls and the clock."""
        with (
            patch.object(mmsg, "receive_many", self._receive_many),
            patch.object(mmsg, "send_many", self._send_many),
            patch.object(mmsg, "exchange", self._exchange),
            patch.object(traffic, "monotonic", lambda: self.now),
            patch.object(turns, "monotonic", lambda: self.now),
            patch.object(lane.Lane, "send", self._send),
        ):
            yield

    def arrive(self, place: Lane, datagrams: list[tuple[bytearray, bytes]]) -> None:
        """Let a batch of datagrams, each with its sender's address, arrive on a lane."""
        assert self.traffic is not None
        self._arrived = datagrams
        while self._arrived:
            [run, *others] = place.runs.values() or [None]
            if run is not None and run.is_ahead and not others:
                self.traffic.turns._talk_to_one(place, run, float("inf"))
            else:
                self.traffic.turns._receive(place, 1)

    def _receive_many(self, _: int, __: int, count: int, ___: int, /) -> int:
        assert self.traffic is not None
        taken, self._arrived = self._arrived[:count], self._arrived[count:]
        if not taken:
            return -errno.EAGAIN
        inbound = self.traffic.turns._inbound
        for index, (name, datagram) in enumerate(taken):
            inbound._names[index * ADDRESS_BYTES : (index + 1) * ADDRESS_BYTES] = name
            kept = datagram[:SLOT_BYTES]
            inbound._slots[index * SLOT_BYTES : index * SLOT_BYTES + len(kept)] = kept
            inbound._lengths[index] = len(datagram)
        return len(taken)

    def _send_many(self, _: int, headers: int, count: int, __: int, /) -> int:
        self.calls += 1
        if self.failures:
            return -self.failures.pop(0)
        count = min(count, self.room)
        if not count:
            return -errno.EAGAIN
        self.room -= count
        for index in range(count):
            self._take(_words(headers + index * HEADER_WORDS * WORD, HEADER_WORDS))
        return count

    def _exchange(self, descriptor: int, sent: int, received: int, /) -> int:
        assert self.traffic is not None
        moved = self._send_many(descriptor, sent, 1, 0)
        if moved < 0:
            return moved - mmsg.NOT_SENT
        if self._receive_many(descriptor, received, 1, 0) != 1:
            return -errno.EAGAIN
        inbound = self.traffic.turns._inbound
        return inbound.heads(1)[0] if inbound.length(0) == 4 else mmsg.OTHER

    def _take(self, header: tuple[int, ...]) -> None:
        peer = peer_of(peer_key(ctypes.string_at(header[NAME], ADDRESS_BYTES)))
        vectors = _words(header[VECTOR], 2 * header[VECTORS])
        message = b"".join(
            ctypes.string_at(address, length)
            for address, length in zip(vectors[::2], vectors[1::2], strict=True)
        )
        segment = len(message)
        if header[CONTROL_LENGTH]:
            control = ctypes.string_at(header[CONTROL], header[CONTROL_LENGTH])
            length, level, kind = struct.unpack_from("@Nii", control)
            assert (length, level) == (socket.CMSG_LEN(2), socket.SOL_UDP)
            assert kind == lane.UDP_SEGMENT
            (segment,) = struct.unpack_from("=H", control, socket.CMSG_LEN(0))
        for start in range(0, len(message), segment):
            self.sent[peer].append(message[start : start + segment])

    def _send(self, datagram: bytes, peer: Peer) -> None:
        self.sent[peer].append(datagram)


def _words(address: int, count: int) -> tuple[int, ...]:
    octets = ctypes.string_at(address, count * WORD)
    return struct.unpack(f"@{count}L", octets)


class MemoryEngine:
    """Traffic over a memory wire, on a loop that does not turn meanwhile; it sends `content`."""

    def __init__(self, folder: Path) -> None:
        self.wire = MemoryWire()
        self.contents = ContentStore(lambda _: folder)
        status = (folder / "content").stat()
        self.fingerprint = Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino)
        self.ended: list[Run] = []
        self.faults = 0
        self.traffic = Traffic(self.contents, PacketCache(), self.ended.append, self._fault)
        self.wire.traffic = self.traffic

    def _fault(self) -> None:
        self.faults += 1

    def load(self, extent: tuple[int, int], port: int, terms: Negotiated) -> Run:
        """Begin a transfer of a part of `content` to a port of HOST's."""
        content = Slice(
            root=Root.IMAGES, path="content", extents=(extent,), fingerprint=self.fingerprint
        )
        subject = TransferSubject(
            path="content",
            file_class=FileClass.OTHER,
            script=None,
            image=None,
            client_ip=HOST,
            client_port=port,
            server_address=HOST,
            mac=None,
        )
        return self.start(
            Order(
                subject=subject,
                source=self.contents.open(content),
                terms=terms,
                interface_index=1,
                peer=(str(HOST), port),
            )
        )

    def start(self, order: Order) -> Run:
        """Begin a transfer and send its first datagram."""
        run = self.traffic.add(order, None)
        self.traffic.step(run, lambda _: None)
        return run

    def receive(self, *datagrams: tuple[Run, bytes]) -> None:
        """Let a batch arrive."""
        lane_of_all = datagrams[0][0].lane
        self.wire.arrive(lane_of_all, [(run.name, datagram) for run, datagram in datagrams])

    def tick(self) -> None:
        """Let due timers fire."""
        self.traffic._tick()

    def close(self) -> None:
        """Give the sockets back."""
        self.traffic.close()


@contextmanager
def memory_engine(folder: Path) -> Iterator[MemoryEngine]:
    """Run an engine on a memory wire."""
    runner = asyncio.Runner()
    with runner:

        async def make() -> MemoryEngine:
            return MemoryEngine(folder)

        engine = runner.run(make())
        with engine.wire.connected():
            engine.traffic._wheel._turned = int(engine.wire.now / traffic.TICK_SECONDS)
            yield engine
        engine.close()
