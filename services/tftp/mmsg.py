"""System calls for datagrams: many at once, or one sent and the next one received.

Headers are `struct mmsghdr` in memory of ours (`batches`), given by their addresses.
"""

import ctypes
import errno
import importlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import Protocol

from services.tftp.batches import (
    ADDRESS_BYTES,
    FOUR_BYTES,
    HEADER_WORDS,
    LENGTH,
    NAME,
    VECTOR,
    WORD,
)


class Receive(Protocol):
    """recvmmsg(2), without waiting."""

    def __call__(self, descriptor: int, headers: int, count: int, looks: int, /) -> int:
        """Take up to `count` datagrams that are there at one of so many looks, or at the only one.

        Gives how many, or a negated errno.
        """


class Send(Protocol):
    """sendmmsg(2)."""

    def __call__(self, descriptor: int, headers: int, count: int, flags: int, /) -> int:
        """Send up to `count` datagrams; gives how many, or a negated errno."""


class Exchange(Protocol):
    """sendmsg(2), then recvmsg(2)."""

    def __call__(self, descriptor: int, sent: int, received: int, /) -> int:
        """Send without waiting and wait for a datagram; gives it as a number (`Inbound.heads`).

        OTHER when it has not four bytes or is from another peer. Or a negated errno, below
        -NOT_SENT when it is that of sending.
        """


NOT_SENT = 65536
OTHER = 1 << 32

Calls = tuple[Receive, Send, Exchange]


def _compiled() -> Calls:
    lib = importlib.import_module("services.tftp._mmsg").lib
    return lib.receive_many, lib.send_many, lib.exchange


def through_ctypes() -> Calls:
    """Make the calls where nothing could be compiled."""
    libc = ctypes.CDLL(None, use_errno=True)
    receive, send = libc.recvmmsg, libc.sendmmsg
    head = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    receive.argtypes, send.argtypes = (*head, ctypes.c_void_p), head
    get_errno: Callable[[], int] = ctypes.get_errno

    def receive_once(descriptor: int, headers: int, count: int, flags: int) -> int:
        taken: int = receive(descriptor, headers, count, flags, None)
        return taken if taken >= 0 else -get_errno()

    def receive_many(descriptor: int, headers: int, count: int, looks: int, /) -> int:
        taken = receive_once(descriptor, headers, count, socket.MSG_DONTWAIT)
        while taken == -errno.EAGAIN and (looks := looks - 1) > 0:
            taken = receive_once(descriptor, headers, count, socket.MSG_DONTWAIT)
        return taken

    def send_many(descriptor: int, headers: int, count: int, flags: int, /) -> int:
        sent: int = send(descriptor, headers, count, flags)
        return sent if sent >= 0 else -get_errno()

    def exchange(descriptor: int, sent: int, received: int, /) -> int:
        moved = send_many(descriptor, sent, 1, socket.MSG_DONTWAIT)
        if moved < 0:
            return moved - NOT_SENT
        taken = receive_once(descriptor, received, 1, 0)
        if taken < 0:
            return taken
        asked, answer = _words_at(sent), _words_at(received)
        names = [ctypes.string_at(words[NAME], ADDRESS_BYTES) for words in (asked, answer)]
        if answer[LENGTH] != FOUR_BYTES or names[0] != names[1]:
            return OTHER
        slot = ctypes.c_void_p.from_address(answer[VECTOR]).value
        return int.from_bytes(ctypes.string_at(slot or 0, 4), sys.byteorder)

    return receive_many, send_many, exchange


def _words_at(header: int) -> tuple[int, ...]:
    return struct.unpack(f"{HEADER_WORDS}L", ctypes.string_at(header, HEADER_WORDS * WORD))


try:
    receive_many, send_many, exchange = _compiled()
    IS_COMPILED = True
except ImportError:
    receive_many, send_many, exchange = through_ctypes()
    IS_COMPILED = False
