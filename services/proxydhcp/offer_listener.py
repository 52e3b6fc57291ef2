"""Overhears what servers answer to machines, on port 68 of one interface.

A boot server must not bind that port: it is the DHCP client's, also on this host. A packet socket
(packet(7)) takes a copy of what arrives. Its filter runs in the kernel, so that it costs nothing
while no server answers; it needs CAP_NET_RAW.
"""

import asyncio
import ctypes
import socket
import struct
import time
from collections.abc import Callable
from ipaddress import IPv4Address

from bootyard.runtime.interfaces import Interface
from bootyard.runtime.log import get_logger

log = get_logger(__name__)

ETH_P_IP = 0x0800
SO_ATTACH_FILTER = 26
"""socket(7); the socket module has no name for it."""

SNAP_LENGTH = 2048
DRAIN = 32
"""Datagrams that are read before other tasks get a turn."""
RATE = 1000
"""Datagrams a second; after that many the socket is left alone for the rest of the second."""
PAUSE_SECONDS = 1.0
RECEIVE_BUFFER = 1 << 17

Hear = Callable[[bytes, IPv4Address, str, float], None]
"""UDP payload, source, interface and `time.monotonic()` of an answer."""

_LD_BYTE, _LD_HALF = 0x30, 0x28
_LDX_HEADER_LENGTH = 0xB1
_LD_HALF_AFTER, _LD_BYTE_AFTER = 0x48, 0x50
_IF_EQUAL, _IF_SET, _RETURN = 0x15, 0x45, 0x06
_PACKET_TYPE = 0xFFFFF004
"""SKF_AD_OFF + SKF_AD_PKTTYPE: whom the frame is for."""
_FOR_ANOTHER_HOST = 3

_FILTER = (
    # Frames of a VLAN that this interface is not part of look like ones for another host.
    (_LD_BYTE, 0, 0, _PACKET_TYPE),
    (_IF_EQUAL, 9, 0, _FOR_ANOTHER_HOST),
    (_LD_BYTE, 0, 0, 9),  # protocol
    (_IF_EQUAL, 0, 7, socket.IPPROTO_UDP),
    (_LD_HALF, 0, 0, 6),  # fragment
    (_IF_SET, 5, 0, 0x1FFF),
    (_LDX_HEADER_LENGTH, 0, 0, 0),
    (_LD_HALF_AFTER, 0, 0, 2),  # destination port
    (_IF_EQUAL, 0, 2, 68),
    (_LD_BYTE_AFTER, 0, 0, 8),  # op of the DHCP message
    (_IF_EQUAL, 1, 0, 2),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, SNAP_LENGTH),
)
"""Classic BPF on an IPv4 packet: answers (op 2) to UDP port 68."""


class OfferListener:
    """An open packet socket."""

    def __init__(self, interface: Interface, hear: Hear) -> None:
        self._interface = interface
        self._hear = hear
        self._socket: socket.socket | None = None
        self._left = RATE
        self._since = 0.0
        self._resuming: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Listen; raises OSError, PermissionError without CAP_NET_RAW."""
        # Nothing arrives before the filter is there: protocol 0 is none.
        made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            _attach_filter(made)
            made.bind((self._interface.name, ETH_P_IP))
        except OSError:
            made.close()
            raise
        self._socket = made
        asyncio.get_running_loop().add_reader(made, self._readable)

    def close(self) -> None:
        """Stop listening."""
        if self._resuming is not None:
            self._resuming.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        if self._socket is None:
            return
        now = time.monotonic()
        if now - self._since >= PAUSE_SECONDS:
            self._since, self._left = now, RATE
        for _ in range(DRAIN):
            try:
                packet = self._socket.recv(SNAP_LENGTH)
            except OSError:
                return  # nothing more; or the interface went down, and is heard when it is up
            self._left -= 1
            read = read_datagram(packet)
            if read is not None:
                self._hear(read[1], read[0], self._interface.name, now)
            if self._left <= 0:
                self._pause()
                return

    def _pause(self) -> None:
        """Let the kernel drop a flood: what is missed is said again by an honest server."""
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._resuming = loop.call_later(PAUSE_SECONDS, self._resume)
        log.debug("too many answers on port 68", interface=self._interface.name)

    def _resume(self) -> None:
        self._resuming = None
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._readable)


def read_datagram(packet: bytes) -> tuple[IPv4Address, bytes] | None:
    """Take a UDP datagram out of an IPv4 packet (RFC 791 §3.1, RFC 768); None when it is cut.

    Checksums are left alone: between namespaces and virtual machines they are not computed.
    """
    if len(packet) < 28 or packet[0] >> 4 != 4:
        return None
    header = (packet[0] & 0x0F) * 4
    total = int.from_bytes(packet[2:4])
    if header < 20 or total > len(packet) or header + 8 > total:
        return None
    length = int.from_bytes(packet[header + 4 : header + 6])
    if length < 8 or header + length > total:
        return None
    return IPv4Address(packet[12:16]), packet[header + 8 : header + length]


def _attach_filter(to: socket.socket) -> None:
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in _FILTER)
    program = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HP", len(_FILTER), ctypes.addressof(program))
    to.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
