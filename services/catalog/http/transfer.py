"""One file on its way to a client: its bytes, its counts, and what is told when it ends."""

import asyncio

from aiohttp import web

from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import Found
from bootyard.model.events import FileClass, Step, TransferOutcome
from bootyard.runtime.log import get_logger
from services.catalog.boots.boot import Boot
from services.catalog.http.conditions import Extents, Span, cut
from services.catalog.http.context import CATALOG
from services.catalog.http.delivery import Connection
from services.catalog.http.sending import (
    ClientGone,
    OpenSlice,
    SourceChanged,
    drop_connection,
    send_extents,
)

log = get_logger(__name__)

STEP_OF = {
    FileClass.LOADER: Step.LOADER,
    FileClass.KERNEL: Step.KERNEL,
    FileClass.INITRD: Step.INITRD,
}
"""Files whose transfer is a step of a boot."""


class Transfer:
    """Counts while it runs, and is told of once, when it ends."""

    def __init__(self, request: web.Request, found: Found, facts: RequestFacts) -> None:
        self._catalog = request.app[CATALOG]
        self._is_get = request.method == "GET"
        self._found = found
        self._facts = facts
        self._mac = facts.mac
        self._started = asyncio.get_running_loop().time()
        self._bytes_metric = self._catalog.metrics.sent_bytes.labels(found.file_class)
        self._bytes = 0
        self._step = None if found.is_disk else STEP_OF.get(found.file_class)
        self._reaches_end = True
        self._ended_ago = 0.0

    async def send(
        self, request: web.Request, response: web.StreamResponse, opened: OpenSlice, span: Span
    ) -> None:
        """Send a span of the file as the body of a prepared response, and tell how that ended."""
        self._reaches_end = span.start + span.length == opened.size
        is_kernel = self._step is Step.KERNEL and self._reaches_end
        boot = self._boot() if is_kernel or self._found.is_disk else None
        if boot is not None:
            self._mac = boot.mac
            if self._found.is_disk and boot.has_kernel:
                boot = None  # it has the disk already, and reads on
        async with self._catalog.kernels.to(boot, self._catalog.machines):
            try:
                await self._send(request, response, opened, cut(opened.extents, span))
            except SourceChanged as error:
                self.end(TransferOutcome.SOURCE_CHANGED, str(error))
                drop_connection(request, response)
            except ClientGone as error:
                self.end(TransferOutcome.CLIENT_ABORT, str(error))
                drop_connection(request, response)
            else:
                self.end(TransferOutcome.COMPLETE)

    def _boot(self) -> Boot | None:
        """Find the boot that a kernel is for.

        A Wi-Fi bridge answers ARP for the machines behind it: the one that was given its script at
        this address goes before what the neighbour table says.
        """
        timeline, ip = self._catalog.journal.timeline, str(self._facts.client_ip)
        known = timeline.machine_at(ip)
        boot = timeline.current(known) if known is not None else None
        if boot is not None and any(s.step is Step.SCRIPT and s.ip == ip for s in boot.steps):
            return boot
        return timeline.current(self._mac) if self._mac is not None else None

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        opened: OpenSlice,
        extents: Extents,
    ) -> None:
        if self._step is None or not self._reaches_end:
            await send_extents(request, response, opened.file, extents, self._sent)
            return
        connection = Connection(request)
        try:
            await send_extents(request, response, opened.file, extents, self._sent)
            self._ended_ago = await connection.acknowledged()
        finally:
            connection.close()

    def _sent(self, count: int) -> None:
        self._bytes += count
        self._bytes_metric.inc(count)

    def end(self, outcome: TransferOutcome, reason: str | None = None) -> None:
        """Tell how it ended; a part of a file, or a question about it, is not worth telling."""
        if self._found.is_disk and self._is_get and outcome is TransferOutcome.COMPLETE:
            self._tell_of_disk()
        if not self._is_get or not self._reaches_end:
            return
        found, facts = self._found, self._facts
        seconds = asyncio.get_running_loop().time() - self._ended_ago - self._started
        self._catalog.metrics.transferred(found.file_class, outcome, self._bytes, seconds)
        level = log.info if outcome is TransferOutcome.COMPLETE else log.warning
        level(
            "file sent" if outcome is TransferOutcome.COMPLETE else "file not sent",
            path=found.path,
            client=str(facts.client_ip),
            mac=self._mac,
            bytes=self._bytes,
            seconds=round(seconds, 3),
            outcome=outcome,
            **({} if reason is None else {"reason": reason}),
        )
        if self._step is not None:
            self._tell(self._step, outcome, seconds=round(seconds, 3), ago=self._ended_ago)

    def _tell_of_disk(self) -> None:
        """Tell once in a boot that it has its disk: that is all that is seen of its kernel.

        A disk is read here and there, and its end is not the last of it. A machine that took a
        kernel before has the image's bytes for something else.
        """
        mac = self._mac
        boot = None if mac is None else self._catalog.journal.timeline.current(mac)
        if boot is not None and not boot.has_kernel:
            self._tell(Step.KERNEL, TransferOutcome.COMPLETE)

    def _tell(
        self, step: Step, outcome: TransferOutcome, seconds: float | None = None, ago: float = 0.0
    ) -> None:
        self._catalog.events.send(
            step,
            mac=self._mac,
            ip=self._facts.client_ip,
            outcome=outcome,
            path=self._found.path,
            image=self._found.image,
            transport="http",
            bytes=self._bytes,
            seconds=seconds,
            ago=ago,
        )
