"""What the service and its worker processes say to each other, over a socket pair each. Pure."""

from typing import Protocol

import msgspec

LENGTH_BYTES = 4


class Adopted(msgspec.Struct, frozen=True, tag="adopted"):
    """To a worker: serve from this snapshot."""

    document: bytes


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """To a worker: take no more requests, let transfers finish, end."""


class Counts(msgspec.Struct, frozen=True, tag="counts"):
    """From a worker, several times a second: all that it counted so far (`merged`)."""

    values: tuple[float, ...]


class Event(msgspec.Struct, frozen=True, tag="event"):
    """From a worker: a boot event as it goes into the stream."""

    document: bytes


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    """From a worker: so many events were not sent, because nobody took what it said."""

    events: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """From a worker: it takes requests."""


class Degraded(msgspec.Struct, frozen=True, tag="degraded"):
    """From a worker: what is missing although it serves; no reason: no longer."""

    name: str
    reason: str | None


class Fault(msgspec.Struct, frozen=True, tag="fault"):
    """From a worker: a fault of ours, for `bootyard_internal_errors_total`."""

    where: str


ToWorker = Adopted | Stop
FromWorker = Counts | Event | Lost | Ready | Degraded | Fault

_encoder = msgspec.msgpack.Encoder()
_to_worker = msgspec.msgpack.Decoder(ToWorker)
_from_worker = msgspec.msgpack.Decoder(FromWorker)


class Reader(Protocol):
    """A stream (asyncio.StreamReader)."""

    async def readexactly(self, n: int, /) -> bytes:
        """Read so many bytes."""


def frame(message: ToWorker | FromWorker) -> bytes:
    """Write a message with its length in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


async def read_frame(reader: Reader) -> bytes:
    """Read the body of the next message."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big"))


def read_order(body: bytes) -> ToWorker:
    """Read what a worker was told, without its length; raises msgspec.DecodeError."""
    order: ToWorker = _to_worker.decode(body)
    return order


def read_report(body: bytes) -> FromWorker:
    """Read what a worker said, without its length; raises msgspec.DecodeError."""
    report: FromWorker = _from_worker.decode(body)
    return report
