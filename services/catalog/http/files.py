"""Files of the boot tree: whole, in part, or only asked about (RFC 9110 §13 and §14)."""

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
)
from services.catalog.http.context import CATALOG
from services.catalog.http.inside import find_inside
from services.catalog.http.sending import OpenSlice, SourceGone, open_slice
from services.catalog.http.transfer import Transfer

log = get_logger(__name__)


async def tree_file(request: web.Request) -> web.StreamResponse:
    """Answer a name in the boot tree."""
    catalog = request.app[CATALOG]
    facts = catalog.clients.facts(request)
    found = catalog.snapshots.resolve(request.match_info["path"], facts)
    if isinstance(found, NotFound):
        found = await find_inside(catalog, request.match_info["path"]) or found
    if isinstance(found, NotFound):
        catalog.metrics.transfers.labels(FileClass.OTHER, TransferOutcome.NOT_FOUND).inc()
        log.debug("not found", path=found.path, client=request.remote, reason=str(found.reason))
        return plain(404, found.reason)
    if found.script == "first":
        return await boot_script(request, "grub" if found.language == "grub" else "ipxe")
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
    transfer = Transfer(request, found, facts)
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
    request: web.Request, found: Found, opened: OpenSlice, transfer: Transfer
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
        await transfer.send(request, response, opened, span)
    await response.write_eof()
    return response


def _content_type(path: str) -> str:
    # EDK2 compares the whole value; other types than these it takes from the name's ending.
    return "application/efi" if path.casefold().endswith(".efi") else "application/octet-stream"
