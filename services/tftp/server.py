"""Port 69: who is answered, and with what."""

import asyncio
import os
import socket
from functools import lru_cache

from bootyard.model.errors import MalformedPacket, TFTPErrorCode
from bootyard.model.snapshot import Snapshot
from bootyard.runtime.interfaces import missing_interfaces, served_interfaces
from bootyard.runtime.log import get_logger
from bootyard.runtime.udp import CONTROL_SPACE, ControlMessages, leave_by
from services.tftp.admission import Admission, Arrival, served_networks
from services.tftp.content import ContentStore
from services.tftp.digest import TransferDigest
from services.tftp.engine import Engine
from services.tftp.host import Host
from services.tftp.inbox import Inbox
from services.tftp.metrics import RejectReason, TFTPMetrics
from services.tftp.options import Limits
from services.tftp.packed import CACHE_BYTES, PacketCache
from services.tftp.packet import (
    MAX_REQUEST,
    Opcode,
    ReadRequest,
    WriteRequest,
    error,
    parse,
    printable,
)
from services.tftp.port import parse_arrival
from services.tftp.report import Reporter
from services.tftp.requests import Refused, RequestDesk
from services.tftp.subnets import SubnetLimits

log = get_logger(__name__)

FOLD_SECONDS = 0.5
INTERFACES_SECONDS = 2.0

DRAIN_SECONDS = 8.0
"""How long running transfers may go on at a stop: Docker kills after ten seconds."""

DATAGRAMS_A_TURN = 256
TURN_SECONDS = (0.003, 0.05)
"""Requests are served for as long as running transfers took since the last turn, within these: a
thousand machines at once are all answered soon, and a flood does not stop the one that loads."""

WRITING = Refused(TFTPErrorCode.ACCESS_VIOLATION, "writing is refused", RejectReason.WRITE)

_parse = lru_cache(maxsize=1024)(parse)
"""A rack of machines sends the same request, byte by byte."""

_ACK, _ERROR = bytes((Opcode.ACK,)), bytes((Opcode.ERROR,))


class ErrorBudget:
    """Limits ERROR answers to so many a second; what is beyond gets none."""

    def __init__(self, per_second: float = 1000.0, burst: float = 2000.0) -> None:
        self._per_second = per_second
        self._burst = self._left = burst
        self._last = 0.0

    def allows(self, now: float) -> bool:
        """Take one answer from the budget."""
        self._left = min(self._burst, self._left + (now - self._last) * self._per_second)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Server:
    """Port 69: takes requests, gives transfers to the engine."""

    def __init__(self, host: Host) -> None:
        self._host = host
        settings = host.settings
        self.metrics = TFTPMetrics(host.telemetry.registry)
        self.contents = ContentStore(settings.directory_of)
        self._reporter = Reporter(self.metrics, host.events)
        self.engine = Engine(
            self.contents,
            PacketCache(CACHE_BYTES // max(settings.tftp_workers, 1)),
            self._finished,
            self.metrics.progressed,
            lambda: host.telemetry.internal_error("tftp.transfer"),
        )
        self._desk = RequestDesk(host.snapshots, self.contents, self.engine, self.metrics)
        self._admission = Admission()
        self._subnets = SubnetLimits()
        host.snapshots.on_adopt(self._adopted)
        self._errors = ErrorBudget()
        self._inbox: Inbox[tuple[bytes, ControlMessages, tuple[str, int]]] = Inbox()
        self._next_turn: asyncio.Handle | None = None
        self._turn_ended = 0.0
        self._socket: socket.socket
        self._is_stopping = False
        self._has_one_port = settings.tftp_single_port

    def _adopted(self, snapshot: Snapshot) -> None:
        self._subnets = SubnetLimits(snapshot.policy.subnets)

    def listen(self, listener: socket.socket) -> None:
        """Take the requests that arrive at a bound socket (`port`), and close it in the end."""
        self._socket = listener
        self.engine.yield_to(self._socket)
        if self._has_one_port:
            self.engine.use_one_port(self._socket)
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    async def stop(self) -> None:
        """Take no more requests; let what runs finish."""
        self._is_stopping = True
        if self._next_turn is not None:
            self._next_turn.cancel()
        self.engine.hurry(requests_wait=False)
        loop = asyncio.get_running_loop()
        if not self._has_one_port:
            loop.remove_reader(self._socket)
        await self.engine.drain(DRAIN_SECONDS)
        loop.remove_reader(self._socket)
        self._socket.close()

    def leave_port(self) -> None:
        """Leave port 69 to others before a stop, unless transfers need it themselves."""
        if self._has_one_port:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        # The engine looks at this descriptor: from now on it is a socket that hears nothing.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            os.dup2(silent.fileno(), self._socket.fileno(), inheritable=False)

    async def watch_interfaces(self) -> None:
        """Follow addresses and networks as they come and go, until cancelled."""
        settings, telemetry = self._host.settings, self._host.telemetry
        while True:
            interfaces = served_interfaces(settings)
            self._admission = Admission(served_networks(interfaces))
            missing = ", ".join(missing_interfaces(settings))
            telemetry.degraded("interfaces", f"{missing} cannot be served" if missing else None)
            none = "no interface with an IPv4 address is up" if not interfaces else None
            telemetry.degraded("network", none)
            await asyncio.sleep(INTERFACES_SECONDS)

    async def fold_counts(self) -> None:
        """Let long transfers show in the metrics while they run, until cancelled."""
        while True:
            await asyncio.sleep(FOLD_SECONDS)
            self.engine.fold()

    def _receive(self) -> None:
        """Take what has arrived off the socket: what its buffer has no room for is lost."""
        for _ in range(DATAGRAMS_A_TURN):
            try:
                datagram, control, _, address = self._socket.recvmsg(MAX_REQUEST + 1, CONTROL_SPACE)
            except OSError:
                break  # nothing more; or an ICMP error, which says nothing that can be trusted
            if self._has_one_port and _is_answer(datagram):
                if not self.engine.receive(address, datagram):
                    self.metrics.rejected(RejectReason.MALFORMED, is_request=False)
            elif self._is_stopping:
                continue
            elif not self._inbox.add(address[0], (datagram, control, address)):
                self.metrics.rejected(RejectReason.FLOOD, is_request=False)
        if self._next_turn is None and not self._is_stopping:
            self._serve()

    def _serve(self) -> None:
        """Serve requests for a moment; the rest is served in the loop's next turns."""
        loop = asyncio.get_running_loop()
        self._next_turn = None
        least, most = TURN_SECONDS
        now = loop.time()
        turn_ends = now + min(max(now - self._turn_ended, least), most)
        while self._inbox and loop.time() < turn_ends:
            datagram, control, address = self._inbox.take()
            arrival = parse_arrival(control, address)
            if arrival is None:
                continue
            try:
                self._handle(datagram, arrival)
            except Exception:
                # A fault of ours costs this request, not the service.
                log.exception("request failed", client=str(arrival.source))
                self._host.telemetry.internal_error("tftp.request")
        self._turn_ended = loop.time()
        self.engine.hurry(requests_wait=bool(self._inbox))
        if self._inbox:
            self._next_turn = loop.call_soon(self._serve)

    def _handle(self, datagram: bytes, arrival: Arrival) -> None:
        limits = self._admission.admit(arrival, self._subnets)
        if not isinstance(limits, Limits):
            self._ignore(arrival, limits)
            return
        try:
            packet = _parse(datagram)
        except MalformedPacket as malformed:
            self._ignore(arrival, RejectReason.MALFORMED, str(malformed))
            return
        match packet:
            case ReadRequest():
                try:
                    self._desk.read(packet, arrival, limits)
                except Refused as refused:
                    self._refuse(packet, arrival, refused)
            case WriteRequest():
                self._refuse(packet, arrival, WRITING)
            case _:
                self._ignore(arrival, RejectReason.MALFORMED, "not a request")

    def _ignore(self, arrival: Arrival, reason: RejectReason, detail: str = "") -> None:
        self.metrics.rejected(reason, is_request=False)
        log.debug(
            "datagram ignored", client=str(arrival.source), reason=reason.value, detail=detail
        )

    def _refuse(
        self, request: ReadRequest | WriteRequest, arrival: Arrival, refused: Refused
    ) -> None:
        if not self._errors.allows(asyncio.get_running_loop().time()):
            self.metrics.rejected(RejectReason.FLOOD, is_request=False)
            return
        if refused.reason is None:
            self.metrics.not_found()
        else:
            self.metrics.rejected(refused.reason, is_request=True)
        # A client that is busy already would fill the log with what it asks for next.
        is_quiet = refused.is_normal or refused.reason is RejectReason.BUSY
        tell = log.debug if is_quiet else log.info
        tell(
            "request refused",
            path=printable(request.filename),
            reason=refused.message,
            client=str(arrival.source),
            server=str(arrival.local_address),
        )
        self._send(error(refused.code, refused.message), arrival)

    def _send(self, datagram: bytes, arrival: Arrival) -> None:
        """Answer from port 69, by the interface and address that were asked."""
        control = leave_by(arrival.interface_index, arrival.local_address)
        try:
            self._socket.sendmsg([datagram], control, 0, (str(arrival.source), arrival.port))
        except OSError as failure:
            log.debug("datagram not sent", client=str(arrival.source), error=str(failure))

    def _finished(self, digest: TransferDigest) -> None:
        self._desk.finished(digest)
        self._reporter.finished(digest)


def _is_answer(datagram: bytes) -> bool:
    return datagram[:1] == b"\0" and datagram[1:2] in {_ACK, _ERROR}
