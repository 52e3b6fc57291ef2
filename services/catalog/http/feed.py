"""The boots that changed lately, for clients that watch them."""

import asyncio
import secrets
from collections import OrderedDict

from bootyard.runtime.waiting import wait_at_most
from services.catalog.boots.boot import Boot

REMEMBERED = 1_000


class BootFeed:
    """The boots that changed lately, in the order of their last change."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)
        self._sequence = 0
        self._changed: OrderedDict[int, tuple[int, Boot]] = OrderedDict()
        self._news = asyncio.Event()
        self.watchers = 0
        self.is_closed = False

    def boot_changed(self, boot: Boot) -> None:
        """Take in a change."""
        self._sequence += 1
        self._changed[boot.number] = (self._sequence, boot)
        self._changed.move_to_end(boot.number)
        while len(self._changed) > REMEMBERED:
            self._changed.popitem(last=False)
        self._wake()

    def close(self) -> None:
        """Let every watcher go."""
        self.is_closed = True
        self._wake()

    def position(self, last_id: str | None) -> int:
        """Find what a client has seen: all of it, without an id; nothing, with an unknown one."""
        if not last_id:
            return self._sequence
        run, _, sequence = last_id.partition("-")
        known = run == self._run and sequence.isascii() and sequence.isdigit()
        return int(sequence[:18]) if known else 0

    def since(self, position: int) -> list[tuple[int, Boot]]:
        """List the boots that changed after a position."""
        return [(number, boot) for number, boot in self._changed.values() if number > position]

    def id_of(self, sequence: int) -> str:
        """Write the id of a message."""
        return f"{self._run}-{sequence}"

    async def wait(self, seconds: float) -> None:
        """Wait for the next change, or a while."""
        await wait_at_most(self._news, seconds)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
