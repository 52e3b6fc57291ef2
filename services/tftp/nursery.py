"""Makes worker processes: a process without threads or an event loop, which only forks.

It is forked itself before the service starts, so all of them share what was loaded until then;
multiprocessing's fork server would load it a second time, and another process to watch over it.
"""

import asyncio
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial

Run = Callable[[bytes, socket.socket, socket.socket], None]
"""What a worker does with its orders, its listener and its end of a socket pair."""

ORDERS_BYTES = 65536
ANSWER_BYTES = 16
ANSWER_SECONDS = 5.0
"""Forking takes milliseconds."""

ENDING_SECONDS = 1.0
"""Workers close their connections some milliseconds before they have ended."""


class NurseryLost(Exception):
    """The forking process has ended, or hangs: there are no more workers to be had."""


class Nursery:
    """The forking process, from the side of the service."""

    def __init__(self, run: Run) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _end_with(lambda: _fork_on_demand(theirs, run))
        theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._turn = asyncio.Lock()

    async def start(self, orders: bytes, listener: socket.socket, end: socket.socket) -> int:
        """Make a worker; returns its process id. Raises OSError when there is no room for one."""
        async with self._turn:
            try:
                socket.send_fds(self._socket, [orders], [listener.fileno(), end.fileno()])
                async with asyncio.timeout(ANSWER_SECONDS):
                    loop = asyncio.get_running_loop()
                    answer = await loop.sock_recv(self._socket, ANSWER_BYTES)
            except (OSError, TimeoutError) as error:
                raise NurseryLost(f"the process that makes workers: {error!r}") from error
        if not answer:
            raise NurseryLost("the process that makes workers has ended")
        number = int(answer)
        if number < 0:
            raise OSError(-number, os.strerror(-number))
        return number

    def close(self) -> None:
        """End the forking process, behind workers that are ending; others go on."""
        with suppress(OSError):
            self._socket.settimeout(ENDING_SECONDS)
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.recv(ANSWER_BYTES)  # nothing, when it has ended
        self._socket.close()
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)  # unless it has, it hangs
            os.waitpid(self._pid, 0)
            self._pid = 0


def _fork_on_demand(service: socket.socket, run: Run) -> None:
    # Ctrl-C reaches every process of a terminal; these end when the service says so, or is gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that no dead worker stays a zombie
    while True:
        orders, descriptors, _, _ = socket.recv_fds(service, ORDERS_BYTES, 2)
        if not orders:
            break
        try:
            child = os.fork()
        except OSError as error:
            child = -(error.errno or 1)
        if child == 0:
            service.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener, end = (socket.socket(fileno=descriptor) for descriptor in descriptors)
            _end_with(partial(run, orders, listener, end))
        for descriptor in descriptors:
            os.close(descriptor)
        service.send(str(child).encode())
    # Whoever inherits workers may leave them as zombies. With SIGCHLD ignored this waits for all.
    with suppress(ChildProcessError):
        os.wait()


def _end_with(last: Callable[[], None]) -> None:
    """Do one thing and end: nothing of the process that was forked is to run here."""
    status = 1
    try:
        last()
        status = 0
    except BaseException:  # noqa: BLE001 - it is the end of this process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
