"""What a worker says to a service that does not listen."""

import asyncio
import socket

from bootyard.model.events import BootEvent, Step
from services.tftp.messages import LENGTH_BYTES, Event, Lost, read_report
from services.tftp.worker import MOST_UNSENT, Parent

EVENT = BootEvent(service="tftp", run="r", sequence=1, time=1.0, step=Step.LOADER, path="x" * 1000)


async def test_events_that_nobody_takes_are_dropped_and_counted() -> None:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    _, writer = await asyncio.open_connection(sock=ours)
    reader, other = await asyncio.open_connection(sock=theirs, limit=1)
    parent = Parent(writer)
    given = 2 * MOST_UNSENT // 1000
    for _ in range(given):
        parent.add_event(EVENT)  # waits for nothing, and holds no more than it may
    passed_on = lost = 0
    while passed_on + lost < given:
        parent.count()  # tells what was lost as soon as there is room
        said = read_report(await _read(reader))
        passed_on += isinstance(said, Event)
        lost += said.events if isinstance(said, Lost) else 0
    assert 0 < lost < given
    assert passed_on + lost == given
    writer.close()
    other.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(LENGTH_BYTES)
    return await reader.readexactly(int.from_bytes(length, "big"))
