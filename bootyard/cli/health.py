"""`bootyard health …`: does a service of this host answer its own protocol? For containers.

Quiet and quick: two seconds at most, nothing printed when all is well.
"""

import asyncio
import contextlib
import http.client
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Any

import aioudp
import msgspec
import typer

from bootyard.cli.dhcp_probe import build_request, is_acknowledgement
from bootyard.cli.failure import CommandFailed, error_reason
from bootyard.cli.output import printable
from bootyard.model.document import DocumentInvalid, decode
from bootyard.runtime.settings import Settings, load_settings

HOST = "127.0.0.1"
DEADLINE = 1.6
RESEND = 0.5

_READ_REQUEST = b"\x00\x01.health\x00octet\x00"
_FIRST_BLOCK = b"\x00\x03\x00\x01"
_ACKNOWLEDGEMENT = b"\x00\x04\x00\x01"
_TFTP_ERROR = b"\x00\x05"


class Service(StrEnum):
    """The services that can be probed."""

    PROXYDHCP = "proxydhcp"
    TFTP = "tftp"
    CATALOG = "catalog"


def health(service: Annotated[Service, typer.Argument(help="Which service to probe.")]) -> None:
    """Ask a service of this host something in its own protocol."""
    settings, _ = load_settings()
    match service:
        case Service.PROXYDHCP:
            asyncio.run(_probe(settings.pxe_port, "proxydhcp", probe_proxydhcp))
        case Service.TFTP:
            asyncio.run(_probe(settings.tftp_port, "tftp", probe_tftp))
        case Service.CATALOG:
            probe_catalog(settings)


class _Conversation:
    """A local port, whose datagrams are taken from whichever port the service answers."""

    def __init__(self, connection: aioudp.Connection) -> None:
        self._connection = connection
        self._received: asyncio.Queue[tuple[aioudp.Connection, bytes] | OSError] = asyncio.Queue()

    async def collect(self, connection: aioudp.Connection) -> None:
        """Queue what arrives on a connection."""
        async for datagram in connection:
            self._received.put_nowait((connection, datagram))

    def fail(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Queue a socket's error: aioudp raises it into the event loop."""
        error = context.get("exception")
        if isinstance(error, OSError):
            self._received.put_nowait(error)

    async def ask(
        self, request: bytes, is_answer: Callable[[bytes], bool]
    ) -> tuple[aioudp.Connection, bytes]:
        """Send to the service's port until an answer comes; give it and where to reply."""
        while True:
            await self._connection.send(request)
            try:
                async with asyncio.timeout(RESEND):
                    while True:
                        connection, datagram = await self._receive()
                        if is_answer(datagram):
                            return connection, datagram
            except TimeoutError:
                continue

    async def _receive(self) -> tuple[aioudp.Connection, bytes]:
        received = await self._received.get()
        if isinstance(received, OSError):
            raise received
        return received


@contextlib.asynccontextmanager
async def _converse(port: int) -> AsyncIterator[_Conversation]:
    # A TFTP server answers from a port of its own (RFC 1350 §4), which a connected socket does
    # not hear: a second one on the same local port does. The connected one learns of a closed
    # port.
    async with aioudp.connect(HOST, port, local_addr=(HOST, 0), reuse_port=True) as connection:
        conversation = _Conversation(connection)
        asyncio.get_running_loop().set_exception_handler(conversation.fail)
        async with aioudp.serve(
            HOST, connection.local_address[1], conversation.collect, reuse_port=True
        ):
            reading = asyncio.create_task(conversation.collect(connection))
            try:
                yield conversation
            finally:
                reading.cancel()


async def _probe(port: int, service: str, talk: Callable[[_Conversation], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(DEADLINE), _converse(port) as conversation:
            await talk(conversation)
    except TimeoutError:
        raise CommandFailed(
            f"{service} did not answer on UDP {HOST}:{port} within {DEADLINE} s",
            "its log says what it does",
        ) from None
    except OSError as error:
        raise CommandFailed(
            f"{service} does not answer on UDP {HOST}:{port} ({error_reason(error)})", "start it"
        ) from error


async def probe_tftp(conversation: _Conversation) -> None:
    """Read `.health` over TFTP, and acknowledge it (RFC 1350)."""
    connection, block = await conversation.ask(
        _READ_REQUEST, lambda answer: answer.startswith((_FIRST_BLOCK, _TFTP_ERROR))
    )
    if block.startswith(_TFTP_ERROR):
        reason = block[4:].rstrip(b"\0").decode(errors="replace")
        raise CommandFailed(printable(f"tftp refuses .health: {reason}"), "its log says why")
    await connection.send(_ACKNOWLEDGEMENT)
    if block != _FIRST_BLOCK + b"ok\n":
        raise CommandFailed("tftp answers .health with other bytes than ok", "its log says why")


async def probe_proxydhcp(conversation: _Conversation) -> None:
    """Ask the boot server port as a UEFI machine would, and wait for the ACK."""
    xid = secrets.randbits(32)
    await conversation.ask(build_request(xid), lambda answer: is_acknowledgement(answer, xid))


def probe_catalog(settings: Settings) -> None:
    """Ask the catalog whether it is ready."""
    connection = http.client.HTTPConnection(HOST, settings.http_port, timeout=DEADLINE)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        status, document = answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        where = f"http://{HOST}:{settings.http_port}"
        raise CommandFailed(
            f"catalog does not answer on {where} ({error_reason(error)})", "start it"
        ) from error
    finally:
        connection.close()
    if status != 200:
        raise CommandFailed(f"catalog is not ready ({_not_ready(status, document)})")


class _Readiness(msgspec.Struct, frozen=True):
    reasons: tuple[str, ...]


def _not_ready(status: int, document: bytes) -> str:
    try:
        reasons = decode(document, _Readiness).reasons
    except DocumentInvalid:
        reasons = ()
    return printable("; ".join(reasons)) or f"HTTP status {status}"
