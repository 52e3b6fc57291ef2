"""Connections of GRUB: none may outlive the machine that opened it for long.

GRUB numbers its TCP ports from 21550 at every start. Where one of the last boot is still half open
here, the kernel answers the new connection with an ACK instead of a SYN ACK (RFC 5961 §4.2), GRUB
does not reset it (`net/tcp.c`), and 16 s later it takes the catalog for dead.
"""

import socket

from aiohttp import web

USER_TIMEOUT_MS = 15_000
"""How long sent bytes, or the end of a connection, may stay unacknowledged (RFC 5482)."""


async def forget_soon(request: web.Request, _response: web.StreamResponse) -> None:
    """Give up a connection of GRUB's soon after the machine has stopped answering."""
    if not request.headers.get("User-Agent", "").startswith("GRUB"):
        return
    connection = request.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
