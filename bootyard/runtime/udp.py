"""What the UDP services ask of their sockets: which way a datagram came, and answers go the same.

`struct in_pktinfo`, ip(7): interface index, local address, destination address.
"""

import socket
import struct
from functools import lru_cache
from ipaddress import IPv4Address

IP_PKTINFO = 8
"""ip(7); the socket module has no name for it before Python 3.14."""
_PKTINFO = struct.Struct("=I4s4s")
CONTROL_SPACE = socket.CMSG_SPACE(_PKTINFO.size)
"""Room for it in recvmsg(2)."""

_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h

ControlMessages = list[tuple[int, int, bytes]]


def read_packet_info(control: ControlMessages) -> tuple[int, bytes, bytes] | None:
    """Read interface index, local and destination address, both packed; None: not told."""
    for level, kind, octets in control:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(octets) >= _PKTINFO.size:
            index, local, destination = _PKTINFO.unpack_from(octets)
            return int(index), local, destination
    return None


@lru_cache(maxsize=1024)
def leave_by(interface_index: int, source: IPv4Address) -> tuple[tuple[int, int, bytes]]:
    """Make the control messages of a datagram that is to leave by an interface and an address."""
    info = _PKTINFO.pack(interface_index, source.packed, bytes(4))
    return ((socket.IPPROTO_IP, IP_PKTINFO, info),)


def enlarge_receive_buffer(opened: socket.socket, size: int) -> None:
    """Make room for `size` bytes: as much as the system allows where the right to more is missing.

    Beyond its limit for everybody (net.core.rmem_max) with CAP_NET_ADMIN.
    """
    _enlarge(opened, _SO_RCVBUFFORCE, socket.SO_RCVBUF, size)


def enlarge_send_buffer(opened: socket.socket, size: int) -> None:
    """The same for what is to be sent (net.core.wmem_max)."""
    _enlarge(opened, _SO_SNDBUFFORCE, socket.SO_SNDBUF, size)


def _enlarge(opened: socket.socket, forced: int, usual: int, size: int) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, forced, size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, usual, size)
