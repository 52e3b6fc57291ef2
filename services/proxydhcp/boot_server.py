"""Port 4011 on one address: the boot server that machines ask after they have a lease.

aioudp starts a task for every peer. Each answers without waiting for anything and ends at once,
or after a moment while there are few: a datagram that comes between the end of a task and its
removal is lost inside aioudp.
"""

import asyncio
import contextlib
import functools
import time
from ipaddress import IPv4Address

import aioudp

from services.proxydhcp.identify import Listener
from services.proxydhcp.reply import Endpoint
from services.proxydhcp.responder import Heard, Responder

LINGER_SECONDS = 0.05
MAX_LINGERING = 64
"""Tasks that may wait for more of their peer; under a flood of peers none does."""

QUEUED = 16
"""Datagrams of one peer that wait for its task; the task takes them as fast as they are read."""


class BootServer:
    """An open port 4011."""

    def __init__(
        self, interface: str, address: IPv4Address, port: int, responder: Responder
    ) -> None:
        self._interface = interface
        self._address = address
        self._port = port
        self._responder = responder
        self._peers = 0
        self._open = contextlib.AsyncExitStack()

    async def open(self) -> None:
        """Bind; raises OSError. Bound to one address, its replies leave from that address."""
        serving = aioudp.serve(str(self._address), self._port, self._serve, queue_size=QUEUED)
        await self._open.enter_async_context(serving)

    async def close(self) -> None:
        """Stop listening."""
        await self._open.aclose()

    async def _serve(self, connection: aioudp.Connection) -> None:
        self._peers += 1
        try:
            self._answer(await connection.recv(), connection)
            if self._peers <= MAX_LINGERING:
                async with asyncio.timeout(LINGER_SECONDS):
                    async for data in connection:
                        self._answer(data, connection)
        except TimeoutError:
            pass
        finally:
            self._peers -= 1

    def _answer(self, data: bytes, connection: aioudp.Connection) -> None:
        sendto = connection.send_func
        # On the server side `remote_address` is None; the peer is only in the bound send function.
        if not isinstance(sendto, functools.partial) or "addr" not in sendto.keywords:
            raise TypeError("this version of aioudp does not tell who sent a datagram")
        source = sendto.keywords["addr"]

        def send(reply: bytes, target: Endpoint) -> None:
            sendto.func(reply, addr=(str(target[0]), target[1]))

        self._responder.handle(
            Heard(
                data=data,
                source=(IPv4Address(source[0]), source[1]),
                listener=Listener.BOOT_SERVER,
                interface=self._interface,
                server=self._address,
                at=time.monotonic(),
            ),
            send,
        )
