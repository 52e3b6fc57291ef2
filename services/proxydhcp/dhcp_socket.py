"""Port 67 on one interface: hears broadcasts and relays, answers from the interface's address.

Two sockets, because a DHCP server may run on this host. The one for broadcasts is bound to
255.255.255.255 and to the interface: each process gets its own copy of those, and the DHCP
server's unicast renewals stay its own. The one for relays (RFC 2131 §4.1, unicast to us) is bound
to the interface's address alone, because a relay may be reached through another interface than it
was told to ask on; it is left out as soon as another process is seen on the port.
"""

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address
from pathlib import Path

from bootyard.runtime.interfaces import Interface
from bootyard.runtime.log import get_logger
from bootyard.runtime.udp import (
    CONTROL_SPACE,
    IP_PKTINFO,
    enlarge_receive_buffer,
    leave_by,
    read_packet_info,
)
from services.proxydhcp.identify import Listener
from services.proxydhcp.relays import Relays
from services.proxydhcp.reply import BOOTPS, BROADCAST, Endpoint
from services.proxydhcp.responder import Heard, Responder

log = get_logger(__name__)

DRAIN = 64
"""Datagrams that are read before other tasks get a turn."""
DATAGRAM_SIZE = 4096
"""More than any DHCP message has; a longer datagram is cut, and malformed then."""
RECEIVE_BUFFER = 2 << 20
"""Bytes; the kernel doubles it, and counts about 1 KiB for a request: some thousand machines."""


ANY_INTERFACE = 0
BROADCAST_TEXT = str(BROADCAST)


class DHCPSocket:
    """One socket on port 67. `served` names the interfaces that are answered on, by index."""

    def __init__(
        self,
        interface: Interface,
        bound_to: IPv4Address,
        port: int,
        responder: Responder,
        *,
        served: Mapping[int, str],
        relays: Relays,
    ) -> None:
        self._interface = interface
        self._bound_to = bound_to
        self._port = port
        self._responder = responder
        self._served = served
        self._relays = relays
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @property
    def inode(self) -> int:
        """Number of the socket in `/proc/net/udp`."""
        return os.fstat(self._socket.fileno()).st_ino

    async def open(self) -> None:
        """Bind; raises OSError."""
        try:
            _prepare(self._socket)
            if self._bound_to == BROADCAST:
                device = self._interface.name.encode() + b"\0"
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            self._socket.bind((str(self._bound_to), self._port))
        except OSError:
            self._socket.close()
            raise
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    async def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(DRAIN):
            try:
                data, ancillary, _flags, source = self._socket.recvmsg(DATAGRAM_SIZE, CONTROL_SPACE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # The interface went down or away: the next scan of interfaces deals with it.
                log.debug("port not readable", interface=self._interface.name, error=str(error))
                return
            self._receive(data, ancillary, source)

    def _receive(
        self, data: bytes, ancillary: list[tuple[int, int, bytes]], source: tuple[str, int]
    ) -> None:
        index, addressed_to = _arrival(ancillary)
        if self._bound_to == BROADCAST:
            index = self._interface.index
        heard_on = self._served.get(index)
        if heard_on is None:
            return
        reply_from = addressed_to or self._interface.address

        def send(reply: bytes, target: Endpoint) -> None:
            # A broadcast leaves by the interface that heard the request; to a relay leads a route.
            address, port = target
            through = index if address == BROADCAST else ANY_INTERFACE
            to = (BROADCAST_TEXT if address is BROADCAST else str(address), port)
            self._socket.sendmsg([reply], leave_by(through, reply_from), 0, to)
            if port == BOOTPS:
                self._relays.note(address, time.monotonic())

        self._responder.handle(
            Heard(
                data=data,
                source=(_address(source[0]), source[1]),
                listener=Listener.DHCP,
                interface=heard_on,
                server=self._interface.address,
                at=time.monotonic(),
            ),
            send,
        )


_address = lru_cache(maxsize=1024)(IPv4Address)
"""Most machines ask from 0.0.0.0; reading an address costs as much as reading a packet."""


def shared_port(port: int, own: frozenset[int]) -> bool:
    """Tell whether a UDP port is held by sockets other than `own` (inode numbers)."""
    try:
        lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    except OSError:
        return False
    for fields in (line.split() for line in lines):
        if int(fields[1].rpartition(":")[2], 16) == port and int(fields[9]) not in own:
            return True
    return False


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    enlarge_receive_buffer(sock, RECEIVE_BUFFER)
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, IPv4Address | None]:
    """Read by which interface a datagram came, and to which address of ours; None: a broadcast."""
    info = read_packet_info(ancillary)
    if info is None:
        return ANY_INTERFACE, None
    index, local, destination = info
    is_ours = local == destination and destination != BROADCAST.packed
    return index, IPv4Address(destination) if is_ours else None
