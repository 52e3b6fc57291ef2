"""System calls for datagrams: many at once, or one sent and the next one received.

Headers are `struct mmsghdr` in memory of ours (`batches`), given by their addresses.
"""

import ctypes
import importlib
import socket
from collections.abc import Callable
from typing import Protocol


class Call(Protocol):
    """recvmmsg(2) or sendmmsg(2) without a timeout."""

    def __call__(self, descriptor: int, headers: int, count: int, flags: int, /) -> int:
        """Move up to `count` datagrams; gives how many, or a negated errno."""


class Exchange(Protocol):
    """sendmsg(2), then recvmsg(2)."""

    def __call__(self, descriptor: int, sent: int, received: int, /) -> int:
        """Send without waiting and wait for an answer; gives its length.

        Or a negated errno, below -NOT_SENT when it is that of sending.
        """


NOT_SENT = 65536

Calls = tuple[Call, Call, Exchange]


def _compiled() -> Calls:
    lib = importlib.import_module("services.tftp._mmsg").lib
    return lib.receive_many, lib.send_many, lib.exchange


def through_ctypes() -> Calls:
    """Make the calls where nothing could be compiled."""
    libc = ctypes.CDLL(None, use_errno=True)
    receive, send = libc.recvmmsg, libc.sendmmsg
    receive_one, send_one = libc.recvmsg, libc.sendmsg
    for one in (receive_one, send_one):
        one.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
        one.restype = ctypes.c_ssize_t
    head = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    receive.argtypes, send.argtypes = (*head, ctypes.c_void_p), head
    get_errno: Callable[[], int] = ctypes.get_errno

    def receive_many(descriptor: int, headers: int, count: int, flags: int, /) -> int:
        taken: int = receive(descriptor, headers, count, flags, None)
        return taken if taken >= 0 else -get_errno()

    def send_many(descriptor: int, headers: int, count: int, flags: int, /) -> int:
        sent: int = send(descriptor, headers, count, flags)
        return sent if sent >= 0 else -get_errno()

    def exchange(descriptor: int, sent: int, received: int, /) -> int:
        if send_one(descriptor, sent, socket.MSG_DONTWAIT) < 0:
            return -NOT_SENT - get_errno()
        length: int = receive_one(descriptor, received, 0)
        return length if length >= 0 else -get_errno()

    return receive_many, send_many, exchange


try:
    receive_many, send_many, exchange = _compiled()
    IS_COMPILED = True
except ImportError:
    receive_many, send_many, exchange = through_ctypes()
    IS_COMPILED = False
