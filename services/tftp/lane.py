"""The sockets that carry transfers: a few ports, each shared by many clients.

A reply comes from another port than 69 (RFC 1350 §4), from the address and interface that were
asked: firmware drops what comes from elsewhere. The peer's address and port name the transfer.
"""

import socket
import struct
import time
from collections import OrderedDict, deque
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from bootyard.runtime.log import get_logger
from bootyard.runtime.udp import enlarge_receive_buffer, enlarge_send_buffer, leave_by
from services.tftp.batches import Batch, address_of
from services.tftp.order import Peer

if TYPE_CHECKING:
    from services.tftp.outbox import Message
    from services.tftp.run import Run

log = get_logger(__name__)

# linux/in.h and linux/udp.h; the socket module does not name them.
IP_MTU_DISCOVER = 10
IP_PMTUDISC_DONT = 0
IP_UNICAST_IF = 50
UDP_SEGMENT = 103

BUFFER_BYTES = 4 << 20

WAIT_SECONDS = 0.001
"""How long an exchange waits for its ACK."""

MESSAGES = 128
"""As many are sent with one call."""

KINDS = 8
"""Of block sizes whose windows are sent by the batch; others go a longer way."""

LATE_PEERS = 1024
FOREIGN_ANSWERS_A_SECOND = 16


class Lane:
    """One socket, and the transfers on it.

    `listener` is set in single-port mode: port 69's own socket, which every lane then sends from.
    """

    def __init__(
        self, address: IPv4Address, interface_index: int, listener: socket.socket | None = None
    ) -> None:
        self.address = address
        self.interface_index = interface_index
        self.is_batched = listener is None
        self.socket = _open_socket(address, interface_index) if listener is None else listener
        self.descriptor = self.socket.fileno()
        self.runs: dict[int, Run] = {}
        self.batches: dict[int, Batch] = {}
        self.backlog: deque[Message] = deque()
        """What the send buffer had no room for."""
        self.can_segment = _can_segment(self.socket)
        self.idle_since = time.monotonic()
        self._controls: dict[int, tuple[int, int]] = {}
        self._kept: list[bytearray] = []
        self._late: OrderedDict[int, None] = OrderedDict()
        self._foreign_answers = 0.0
        self._foreign_at = 0.0

    def control(self, segment: int) -> tuple[int, int]:
        """Locate the control of a message that is cut into packets of `segment` bytes; 0: is not.

        As (address, bytes).
        """
        found = self._controls.get(segment)
        if found is None:
            parts = self._ancillary()
            if segment:
                parts += ((socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", segment)),)
            buffer = bytearray(b"".join(_control_message(*part) for part in parts))
            self._kept.append(buffer)
            found = self._controls[segment] = (address_of(buffer), len(buffer)) if parts else (0, 0)
        return found

    def batch(self, segment: int) -> Batch | None:
        """Give the batch of messages that are cut into packets of `segment` bytes; 0: are not.

        None: there are batches of too many kinds.
        """
        found = self.batches.get(segment)
        if found is None and len(self.batches) <= KINDS:
            found = self.batches[segment] = Batch(MESSAGES, self.control(segment))
        return found

    def send(self, datagram: bytes, peer: Peer) -> None:
        """Send what is no block. What cannot be sent is a loss like any."""
        try:
            self.socket.sendmsg([datagram], self._ancillary(), socket.MSG_DONTWAIT, peer)
        except OSError as failure:
            log.debug("datagram not sent", client=peer[0], error=str(failure))

    def forget(self, run: "Run", now: float) -> None:
        """Take no more datagrams for a transfer; its late ones get no answer."""
        if self.runs.get(run.key) is run:
            del self.runs[run.key]
        self._late[run.key] = None
        self._late.move_to_end(run.key)
        if len(self._late) > LATE_PEERS:
            self._late.popitem(last=False)
        self.idle_since = now

    def may_answer_stranger(self, key: int, now: float) -> bool:
        """Tell whether a datagram of no transfer gets ERROR 5: the port is no reflector."""
        if key in self._late:
            return False
        elapsed, self._foreign_at = now - self._foreign_at, now
        left = min(
            FOREIGN_ANSWERS_A_SECOND, self._foreign_answers + elapsed * FOREIGN_ANSWERS_A_SECOND
        )
        self._foreign_answers = max(left - 1, 0)
        return left >= 1

    def close(self) -> None:
        """Give the port back."""
        if self.is_batched:
            self.socket.close()

    def _ancillary(self) -> tuple[tuple[int, int, bytes], ...]:
        return () if self.is_batched else leave_by(self.interface_index, self.address)


def _control_message(level: int, kind: int, data: bytes) -> bytes:
    """Make a `struct cmsghdr` with its data (cmsg(3))."""
    head = struct.pack("@Nii", socket.CMSG_LEN(len(data)), level, kind)
    return (head + data).ljust(socket.CMSG_SPACE(len(data)), b"\0")


def _can_segment(opened: socket.socket) -> bool:
    try:
        opened.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 0)
    except OSError:
        return False
    return True


def _open_socket(address: IPv4Address, interface_index: int) -> socket.socket:
    """Open a fresh port on the address and interface that were asked; raises OSError.

    It is not connected: RFC 1350 wants strangers to be answered, and an ICMP error, which anyone
    can forge, must not end a transfer. It blocks where it is not told otherwise, for WAIT_SECONDS.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # Without DF, so that a tunnel on the way may cut blocks up rather than lose them all.
        opened.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        # Matters where two interfaces are on one network; what arrives may come by either.
        opened.setsockopt(socket.IPPROTO_IP, IP_UNICAST_IF, socket.htonl(interface_index))
        wait = struct.pack("@ll", 0, round(WAIT_SECONDS * 1e6))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
        enlarge_send_buffer(opened, BUFFER_BYTES)
        enlarge_receive_buffer(opened, BUFFER_BYTES)
        opened.bind((str(address), 0))
    except BaseException:
        opened.close()
        raise
    return opened
