"""recvmmsg(2) and sendmmsg(2): many datagrams with one call of the kernel.

The headers are an array of `struct mmsghdr` in memory of ours (`batches`), given by its address.
Both calls return how many datagrams were moved, or a negated errno.
"""

import ctypes
import importlib
from collections.abc import Callable
from typing import Protocol


class Call(Protocol):
    """`recvmmsg` or `sendmmsg` without a timeout."""

    def __call__(self, descriptor: int, headers: int, count: int, flags: int, /) -> int:
        """Move up to `count` datagrams."""


def _compiled() -> tuple[Call, Call]:
    lib = importlib.import_module("services.tftp._mmsg").lib
    return lib.receive_many, lib.send_many


def through_ctypes() -> tuple[Call, Call]:
    """Make both calls where nothing could be compiled."""
    libc = ctypes.CDLL(None, use_errno=True)
    receive, send = libc.recvmmsg, libc.sendmmsg
    head = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    receive.argtypes, send.argtypes = (*head, ctypes.c_void_p), head
    get_errno: Callable[[], int] = ctypes.get_errno

    def receive_many(descriptor: int, headers: int, count: int, flags: int, /) -> int:
        taken: int = receive(descriptor, headers, count, flags, None)
        return taken if taken >= 0 else -get_errno()

    def send_many(descriptor: int, headers: int, count: int, flags: int, /) -> int:
        sent: int = send(descriptor, headers, count, flags)
        return sent if sent >= 0 else -get_errno()

    return receive_many, send_many


try:
    receive_many, send_many = _compiled()
    IS_COMPILED = True
except ImportError:
    receive_many, send_many = through_ctypes()
    IS_COMPILED = False
