"""Port 69: one socket, or one for each worker with machines spread over them by their address."""

import asyncio
import socket
import struct
from functools import lru_cache
from ipaddress import IPv4Address

from bootyard.runtime.interfaces import explain_bind_error
from bootyard.runtime.lifecycle import PORT_RETRY_SECONDS, Service
from bootyard.runtime.log import get_logger
from bootyard.runtime.udp import IP_PKTINFO, ControlMessages, read_packet_info
from services.tftp.admission import Arrival
from services.tftp.batches import address_of

log = get_logger(__name__)

RECEIVE_BUFFER = 1 << 20
"""A rack that comes back after a power cut asks within one second."""

_ATTACH_REUSEPORT_CBPF = 51  # asm-generic/socket.h

_FILTER = struct.Struct("=HBBI")  # struct sock_filter, linux/filter.h
_SOURCE_ADDRESS = 0xFFF00000 + 12  # SKF_NET_OFF: in the IPv4 header
_LOAD_WORD, _MULTIPLY, _SHIFT_RIGHT, _MODULO, _RETURN_A = 0x20, 0x24, 0x74, 0x94, 0x16
_GOLDEN_RATIO = 0x9E3779B1
"""Spreads addresses that differ by a step, such as all even ones."""


async def open_listeners(service: Service, count: int) -> list[socket.socket]:
    """Bind the port; when it is in use it is tried again until it is free."""
    port = service.settings.tftp_port
    while True:
        try:
            listeners = bind_listeners(port, count)
        except OSError as failure:
            reason = explain_bind_error(failure, port, "udp")
            log.error("port not served", reason=reason)
            service.telemetry.ready("tftp", reason)
            await asyncio.sleep(PORT_RETRY_SECONDS)
        else:
            log.info("listening", port=port)
            return listeners


def bind_listeners(port: int, count: int) -> list[socket.socket]:
    """Bind a UDP port on every address, with `count` sockets; raises OSError.

    A machine's requests all arrive at the same socket: what is known of a machine, and how many
    transfers it has, is known there.
    """
    listeners: list[socket.socket] = []
    try:
        alone = _bind(port, is_shared=False)
        if count == 1:
            return [alone]
        # It was free: sockets that share a port would share it with another server as well.
        port = alone.getsockname()[1]
        alone.close()
        listeners.extend(_bind(port, is_shared=True) for _ in range(count))
        _spread_by_address(listeners)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _bind(port: int, *, is_shared: bool) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, is_shared)
        listener.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        listener.bind(("0.0.0.0", port))
    except BaseException:
        listener.close()
        raise
    return listener


def _spread_by_address(listeners: list[socket.socket]) -> None:
    """Let the kernel choose a socket by a hash of the sender's address (socket(7), bpf(2))."""
    program = bytearray(
        _FILTER.pack(_LOAD_WORD, 0, 0, _SOURCE_ADDRESS)
        + _FILTER.pack(_MULTIPLY, 0, 0, _GOLDEN_RATIO)
        + _FILTER.pack(_SHIFT_RIGHT, 0, 0, 16)
        + _FILTER.pack(_MODULO, 0, 0, len(listeners))
        + _FILTER.pack(_RETURN_A, 0, 0, 0)
    )
    instructions = len(program) // _FILTER.size
    described = struct.pack("@HP", instructions, address_of(program))  # struct sock_fprog
    try:
        listeners[0].setsockopt(socket.SOL_SOCKET, _ATTACH_REUSEPORT_CBPF, described)
    except OSError as error:
        # Then by address and port: limits of one machine's transfers count for each worker.
        log.warning("machines are spread by port", error=str(error))


def parse_arrival(control: ControlMessages, address: tuple[str, int]) -> Arrival | None:
    """Read a datagram's addresses; None without IP_PKTINFO, which the kernel always adds."""
    info = read_packet_info(control)
    if info is None:
        return None
    index, local, destination = info
    return Arrival(_address(address[0]), address[1], index, _address(local), _address(destination))


@lru_cache(maxsize=4096)
def _address(spelled: str | bytes) -> IPv4Address:
    return IPv4Address(spelled)
