"""Files of the boot tree: whole, in part, or only asked about (RFC 9110 §13 and §14)."""

import array
import asyncio
import fcntl
import os
import select
import sys
import termios

from aiohttp import web

from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import Found, NotFound
from bootyard.model.events import FileClass, Step, TransferOutcome
from bootyard.model.snapshot import Slice, Text
from bootyard.runtime.log import get_logger
from services.catalog.http.boot import boot_script
from services.catalog.http.conditions import (
    Span,
    Unsatisfiable,
    Verdict,
    check_preconditions,
    choose_span,
    cut,
)
from services.catalog.http.context import CATALOG
from services.catalog.http.sending import (
    ClientGone,
    OpenSlice,
    SourceChanged,
    SourceGone,
    drop_connection,
    open_slice,
    send_extents,
)

log = get_logger(__name__)

STEP_OF = {
    FileClass.LOADER: Step.LOADER,
    FileClass.KERNEL: Step.KERNEL,
    FileClass.INITRD: Step.INITRD,
}
"""Files whose transfer is a step of a boot."""
DELIVERY_SECONDS = 30.0
DELIVERY_POLL_SECONDS = 0.02
UNACKNOWLEDGED_TAIL = 64 * 1024
TAIL_SECONDS = 1.0


async def tree_file(request: web.Request) -> web.StreamResponse:
    """Answer a name in the boot tree."""
    catalog = request.app[CATALOG]
    facts = catalog.clients.facts(request)
    found = catalog.snapshots.resolve(request.match_info["path"], facts)
    if isinstance(found, NotFound):
        catalog.metrics.transfers.labels(FileClass.OTHER, TransferOutcome.NOT_FOUND).inc()
        log.debug("not found", path=found.path, client=request.remote, reason=str(found.reason))
        return plain(404, found.reason)
    if found.script == "first":
        return await boot_script(request)
    match found.content:
        case Text(data=data):
            return _text(request, found, facts, data)
        case Slice():
            return await _slice(request, found, facts, found.content)


def plain(status: int, line: str, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with one line of text, for programs that show no more than that."""
    return web.Response(
        status=status, body=f"{line}\n".encode(), content_type="text/plain", headers=headers
    )


def _text(request: web.Request, found: Found, facts: RequestFacts, data: bytes) -> web.Response:
    catalog = request.app[CATALOG]
    if request.method == "GET":
        catalog.metrics.sent_bytes.labels(found.file_class).inc(len(data))
        catalog.metrics.transferred(found.file_class, TransferOutcome.COMPLETE, len(data), 0)
        if found.script == "menu":
            catalog.events.send(
                Step.MENU, mac=facts.mac, ip=facts.client_ip, path=found.path, transport="http"
            )
    return web.Response(body=data, content_type="text/plain", headers={"Cache-Control": "no-store"})


async def _slice(
    request: web.Request, found: Found, facts: RequestFacts, content: Slice
) -> web.StreamResponse:
    catalog = request.app[CATALOG]
    transfer = _Transfer(request, found, facts)
    try:
        opened = await open_slice(catalog.root_directory(content.root), content)
    except SourceGone as error:
        transfer.end(TransferOutcome.SOURCE_CHANGED, str(error))
        return plain(404, str(error))
    try:
        return await _answer(request, found, opened, transfer)
    finally:
        opened.close()


async def _answer(
    request: web.Request, found: Found, opened: OpenSlice, transfer: "_Transfer"
) -> web.StreamResponse:
    headers = {"Accept-Ranges": "bytes", **opened.validators.headers}
    verdict = check_preconditions(request.headers, opened.validators)
    if verdict is not Verdict.PROCEED:
        return web.Response(status=verdict.value, headers=headers)
    try:
        # RFC 9110 §14.2: a range is defined for GET only; HEAD tells of the whole file.
        span = choose_span(request.headers, opened.validators, opened.size)
        span = span if request.method == "GET" else None
    except Unsatisfiable as error:
        if request.method == "GET":
            log.info("range refused", path=found.path, client=request.remote, reason=str(error))
            return plain(416, str(error), {"Content-Range": f"bytes */{opened.size}"})
        span = None
    response = web.StreamResponse(status=200 if span is None else 206, headers=headers)
    response.content_type = _content_type(found.path)
    if span is None:
        span = Span(0, opened.size)
    else:
        last = span.start + span.length - 1
        response.headers["Content-Range"] = f"bytes {span.start}-{last}/{opened.size}"
    response.content_length = span.length
    await response.prepare(request)
    if request.method == "GET":
        await _send(request, response, opened, span, transfer)
    await response.write_eof()
    return response


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    opened: OpenSlice,
    span: Span,
    transfer: "_Transfer",
) -> None:
    transfer.reaches_end = span.start + span.length == opened.size
    connection = os.dup(request.get_extra_info("socket").fileno())
    try:
        extents = cut(opened.extents, span)
        await send_extents(request, response, opened.file, extents, transfer.sent)
        if transfer.reaches_end and transfer.is_step:
            transfer.ended_ago = await _delivered(connection)
    except SourceChanged as error:
        transfer.end(TransferOutcome.SOURCE_CHANGED, str(error))
        drop_connection(request, response)
    except ClientGone as error:
        transfer.end(TransferOutcome.CLIENT_ABORT, str(error))
        drop_connection(request, response)
    else:
        transfer.end(TransferOutcome.COMPLETE)
    finally:
        os.close(connection)


async def _delivered(connection: int) -> float:
    """Wait until the client's TCP has acknowledged everything; raises ClientGone.

    Returns how many seconds ago that was.

    Megabytes fit into socket buffers: a machine that is switched off while it loads its kernel
    must not look like one that has it. A client that has everything may close at once, so this
    looks at a descriptor of its own, not at the transport.

    iPXE starts the kernel as soon as it holds the last byte of the last initrd, and never sends
    the ACK of the last segments: a short tail that stays unacknowledged was delivered.
    """
    loop = asyncio.get_running_loop()
    progress = loop.time()
    least = sys.maxsize
    unacknowledged = array.array("i", [0])
    while True:
        fcntl.ioctl(connection, termios.TIOCOUTQ, unacknowledged)
        if not unacknowledged[0]:
            return 0.0
        if unacknowledged[0] < least:
            least, progress = unacknowledged[0], loop.time()
        silence = loop.time() - progress
        if least <= UNACKNOWLEDGED_TAIL and silence > TAIL_SECONDS:
            return silence
        if silence > DELIVERY_SECONDS or _is_reset(connection):
            raise ClientGone("did not take the last bytes")
        await asyncio.sleep(DELIVERY_POLL_SECONDS)


def _is_reset(connection: int) -> bool:
    poll = select.poll()
    poll.register(connection, 0)  # POLLERR and POLLHUP are always told
    return bool(poll.poll(0))


def _content_type(path: str) -> str:
    # EDK2 compares the whole value; other types than these it takes from the name's ending.
    return "application/efi" if path.casefold().endswith(".efi") else "application/octet-stream"


class _Transfer:
    """One file on its way: counts while it runs, and is told of once when it ends."""

    def __init__(self, request: web.Request, found: Found, facts: RequestFacts) -> None:
        self._catalog = request.app[CATALOG]
        self._is_get = request.method == "GET"
        self._found = found
        self._facts = facts
        self._started = asyncio.get_running_loop().time()
        self._bytes_metric = self._catalog.metrics.sent_bytes.labels(found.file_class)
        self._bytes = 0
        self.reaches_end = True
        self.ended_ago = 0.0

    @property
    def is_step(self) -> bool:
        """Whether it is a step of a boot."""
        return self._found.file_class in STEP_OF

    def sent(self, count: int) -> None:
        """Count bytes that have left."""
        self._bytes += count
        self._bytes_metric.inc(count)

    def end(self, outcome: TransferOutcome, reason: str | None = None) -> None:
        """Tell how it ended; a part of a file, or a question about it, is not worth telling."""
        if not self._is_get or not self.reaches_end:
            return
        found, facts = self._found, self._facts
        seconds = asyncio.get_running_loop().time() - self.ended_ago - self._started
        self._catalog.metrics.transferred(found.file_class, outcome, self._bytes, seconds)
        level = log.info if outcome is TransferOutcome.COMPLETE else log.warning
        level(
            "file sent" if outcome is TransferOutcome.COMPLETE else "file not sent",
            path=found.path,
            client=str(facts.client_ip),
            mac=facts.mac,
            bytes=self._bytes,
            seconds=round(seconds, 3),
            outcome=outcome,
            **({} if reason is None else {"reason": reason}),
        )
        step = STEP_OF.get(found.file_class)
        if step is not None:
            self._catalog.events.send(
                step,
                mac=facts.mac,
                ip=facts.client_ip,
                outcome=outcome,
                path=found.path,
                image=found.image,
                transport="http",
                bytes=self._bytes,
                seconds=round(seconds, 3),
                ago=self.ended_ago,
            )
