"""Moves blocks: a socket of its own for each transfer (RFC 1350 §4), all on one event loop.

What is decided is in `transfer`; this module only carries datagrams, times and bytes. The server
knows an engine by `start`, `repeat_request`, `supersede`, `evict_unproven`, `fold` and `drain`.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address

import msgspec

from bootyard.model.errors import TFTPErrorCode
from bootyard.model.events import TransferOutcome
from bootyard.runtime.log import get_logger
from services.tftp.digest import TransferDigest, TransferSubject
from services.tftp.options import Negotiated
from services.tftp.packet import Opcode, error
from services.tftp.source import BlockSource
from services.tftp.transfer import ReadTransfer

log = get_logger(__name__)

Peer = tuple[str, int]

# linux/in.h; the socket module does not name them.
IP_MTU_DISCOVER = 10
IP_PMTUDISC_DONT = 0
IP_UNICAST_IF = 50

FOREIGN_ANSWERS = 16
"""ERROR 5 is sent this often per transfer: the port is no reflector."""

STALLED_SECONDS = 3.0
"""At a stop, a client that was silent for this long is not waited for."""

DRAIN_STEP = 0.05


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine is told to send."""

    subject: TransferSubject
    source: BlockSource
    terms: Negotiated
    interface_index: int

    @property
    def peer(self) -> Peer:
        """Where to."""
        return str(self.subject.client_ip), self.subject.client_port


class Engine:
    """Runs transfers, at most one per client address and port."""

    def __init__(
        self,
        finished: Callable[[TransferDigest], None],
        progressed: Callable[[TransferSubject, int, int], None],
        fault: Callable[[], None],
    ) -> None:
        self._finished = finished
        self._progressed = progressed
        self.fault = fault
        self._exchanges: dict[Peer, _Exchange] = {}

    def start(self, order: Order) -> None:
        """Begin a transfer; raises OSError when there is no socket for it."""
        self._exchanges[order.peer] = exchange = _Exchange(self, order)
        exchange.begin()

    def repeat_request(self, peer: Peer) -> bool:
        """Give a running transfer its RRQ again; False when the client has begun anew."""
        return self._exchanges[peer].repeat_request()

    def supersede(self, peer: Peer) -> None:
        """End a transfer whose client has begun anew, without a word to it."""
        self._exchanges[peer].supersede()

    def stop(self, peer: Peer, outcome: TransferOutcome, message: str) -> None:
        """End a transfer with an ERROR."""
        self._exchanges[peer].abort(outcome, message)

    def evict_unproven(self) -> bool:
        """End the oldest transfer whose client acknowledged nothing: it may not exist."""
        for peer, exchange in self._exchanges.items():
            if not exchange.transfer.peer_proven:
                self.stop(peer, TransferOutcome.REJECTED, "busy, try again")
                return True
        return False

    def fold(self) -> None:
        """Report what running transfers did since the last time."""
        for exchange in self._exchanges.values():
            self._fold(exchange)

    async def drain(self, seconds: float) -> None:
        """Let running transfers finish for a while, then end what is left."""
        for _ in range(round(seconds / DRAIN_STEP)):
            if not any(exchange.is_moving for exchange in self._exchanges.values()):
                break
            await asyncio.sleep(DRAIN_STEP)
        for peer in list(self._exchanges):
            self.stop(peer, TransferOutcome.ERROR, "the server is stopping, try again")

    def forget(self, exchange: "_Exchange") -> None:
        """Report an exchange that has ended."""
        if self._exchanges.get(exchange.order.peer) is exchange:
            del self._exchanges[exchange.order.peer]
        self._fold(exchange)
        self._finished(exchange.digest())

    def _fold(self, exchange: "_Exchange") -> None:
        sent, retransmits = exchange.take_progress()
        if sent or retransmits:
            self._progressed(exchange.order.subject, sent, retransmits)


class _Exchange:
    """One transfer and its socket."""

    def __init__(self, engine: Engine, order: Order) -> None:
        self.loop = asyncio.get_running_loop()
        self.order = order
        self._engine = engine
        self._peer = order.peer
        self._socket = _open_socket(order.subject.server_address, order.interface_index)
        self._descriptor = self._socket.fileno()
        self.transfer = ReadTransfer(order.source, order.terms, self.loop.time())
        self._backlog: deque[bytes] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._foreign_answers = 0
        self._reported = (0, 0)
        self._is_over = False

    def begin(self) -> None:
        self.loop.add_reader(self._descriptor, self._receive)
        self._step(lambda _: None)

    def repeat_request(self) -> bool:
        is_the_same = self.transfer.repeat_request(self.loop.time())
        self._step(lambda _: None)
        return is_the_same

    def supersede(self) -> None:
        self._step(self.transfer.supersede)

    def abort(self, outcome: TransferOutcome, message: str) -> None:
        self.transfer.abort(outcome, message, self.loop.time())
        self._backlog.clear()
        self._send()
        self._close()

    @property
    def is_moving(self) -> bool:
        """Whether its client was heard lately."""
        return self.loop.time() - self.transfer.last_progress < STALLED_SECONDS

    def take_progress(self) -> tuple[int, int]:
        """Bytes and repeats since the last time."""
        now = (self.transfer.bytes_delivered, self.transfer.retransmits)
        before, self._reported = self._reported, now
        return now[0] - before[0], now[1] - before[1]

    def digest(self) -> TransferDigest:
        transfer, terms = self.transfer, self.order.terms
        return TransferDigest(
            subject=self.order.subject,
            outcome=transfer.outcome or TransferOutcome.ERROR,
            bytes=transfer.bytes_delivered,
            seconds=max(0.0, transfer.ended - transfer.started),
            blocks=transfer.blocks,
            retransmits=transfer.retransmits,
            block_size=terms.block_size,
            window_size=terms.window_size,
        )

    def _receive(self) -> None:
        # One datagram a turn: the loop comes back for more, and all transfers get their share.
        try:
            datagram, peer = self._socket.recvfrom(2048)
        except OSError:
            return
        if peer == self._peer:
            self._step(lambda now: self.transfer.receive(datagram, now))
        elif self._foreign_answers < FOREIGN_ANSWERS and datagram[1:2] != bytes((Opcode.ERROR,)):
            # RFC 1350 §4: another TID gets an ERROR, the transfer is not disturbed.
            self._foreign_answers += 1
            self._send_to(error(TFTPErrorCode.UNKNOWN_TRANSFER_ID, "unknown transfer id"), peer)

    def _on_timer(self) -> None:
        self._timer = None
        self._step(self.transfer.handle_timer)

    def _step(self, advance: Callable[[float], None]) -> None:
        if self._is_over:
            return
        try:
            advance(self.loop.time())
            self._send()
        except OSError as failure:
            # The disk, not the network: what sockets say is dealt with where it is said.
            log.warning("file not readable", path=self.order.subject.path, error=str(failure))
            self.abort(TransferOutcome.ERROR, "the file cannot be read")
        except Exception:
            # A fault of ours costs this transfer, not the others.
            log.exception("transfer failed", path=self.order.subject.path)
            self._engine.fault()
            self.abort(TransferOutcome.ERROR, "internal error")
        if self.transfer.outcome is not None:
            self._close()
        elif self._timer is None:
            # The handle is kept until it fires, too early as a rule: moving it with every ACK
            # would cost more than the ACK itself.
            due = self.transfer.timer()
            if due is not None:
                self._timer = self.loop.call_at(due, self._on_timer)

    def _send(self) -> None:
        datagrams = self.transfer.datagrams_to_send()
        if self._backlog:
            self._backlog.extend(datagrams)
            return
        for index, datagram in enumerate(datagrams):
            if not self._send_to(datagram, self._peer):
                self._backlog.extend(datagrams[index:])
                self.loop.add_writer(self._descriptor, self._send_backlog)
                return

    def _send_backlog(self) -> None:
        while self._backlog and self._send_to(self._backlog[0], self._peer):
            self._backlog.popleft()
        if not self._backlog:
            self.loop.remove_writer(self._descriptor)

    def _send_to(self, datagram: bytes, peer: Peer) -> bool:
        """Send; False when the socket's buffer is full. Other failures are losses like any."""
        try:
            self._socket.sendto(datagram, peer)
        except BlockingIOError:
            return False
        except OSError as failure:
            log.debug("datagram not sent", client=peer[0], error=str(failure))
        return True

    def _close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self.loop.remove_reader(self._descriptor)
        self.loop.remove_writer(self._descriptor)
        self._socket.close()
        self.order.source.close()
        self._engine.forget(self)


def _open_socket(address: IPv4Address, interface_index: int) -> socket.socket:
    """Open a fresh port on the address and interface that were asked.

    Firmware drops answers from another address.

    It is not connected: RFC 1350 wants strangers to be answered, and an ICMP error, which anyone
    can forge, must not end a transfer.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        # Without DF, so that a tunnel on the way may cut blocks up rather than lose them all.
        opened.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        # Matters where two interfaces are on one network; what arrives may come by either.
        opened.setsockopt(socket.IPPROTO_IP, IP_UNICAST_IF, socket.htonl(interface_index))
        opened.bind((str(address), 0))
    except BaseException:
        opened.close()
        raise
    return opened
