"""`bootyard boots --follow`: boots as they happen, across restarts of the catalog."""

import asyncio
import sys
from types import TracebackType
from typing import Protocol, Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bootyard.cli.api import Catalog
from bootyard.cli.documents import BootDocument, read
from bootyard.cli.failure import CatalogUnreachable
from bootyard.cli.output import boot_line
from bootyard.model.mac import MACAddress

RECONNECT_SECONDS = 1.0
REMEMBERED_BOOTS = 1000
FROM_THE_START = "0"
"""An event id that no catalog gives: it sends all that it remembers."""


class Display(Protocol):
    """Shows boots as they change."""

    def show(self, boot: BootDocument, document: bytes) -> None:
        """Show how a boot stands now; `document` is what the catalog said of it."""


async def follow_boots(catalog: Catalog, mac: MACAddress | None, display: Display) -> None:
    """Show each boot event, until cancelled; raises when the catalog did not answer at first."""
    last_id: str | None = None
    was_connected = False
    is_told = False
    while True:
        is_open = False
        try:
            async with catalog.events(last_id) as events:
                is_open, was_connected, is_told = True, True, False
                async for event in events:
                    last_id = event.id
                    if event.kind == "boot":
                        _show(display, event.data, mac)
        except CatalogUnreachable as problem:
            if not was_connected:
                raise
            if not is_open:
                # It is starting anew: all that it has to tell happened meanwhile.
                last_id = last_id or FROM_THE_START
            if not is_told:
                print(f"bootyard: {problem.problem}; waiting for it", file=sys.stderr)
                is_told = True
        await asyncio.sleep(RECONNECT_SECONDS)


def _show(display: Display, document: bytes, mac: MACAddress | None) -> None:
    boot = read(document, BootDocument)
    if mac is None or boot.mac == mac:
        display.show(boot, document)


class JSONDisplay:
    """One JSON document a line, for programs."""

    def show(self, boot: BootDocument, document: bytes) -> None:  # noqa: ARG002 - a Display
        """Print what the catalog said."""
        print(msgspec.json.format(document, indent=-1).decode(), flush=True)


class _Lines:
    """The line that each of the latest boots was last shown with."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    def changed(self, boot: BootDocument) -> str | None:
        """Give the boot's line, or None when it is the one that was given last."""
        line = boot_line(boot)
        if self._lines.get(boot.id) == line:
            return None
        self._lines.pop(boot.id, None)
        self._lines[boot.id] = line
        if len(self._lines) > REMEMBERED_BOOTS:
            self._lines.pop(next(iter(self._lines)))
        return line


class LineDisplay:
    """A line whenever a boot's line has changed, for pipes and files."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def show(self, boot: BootDocument, document: bytes) -> None:  # noqa: ARG002 - a Display
        """Print the boot's line unless it is the one that was printed last."""
        line = self._lines.changed(boot)
        if line is not None:
            print(line, flush=True)


class LiveDisplay:
    """Lines that grow while their boots run, below those of boots that are over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._lines = _Lines()
        self._running: dict[str, Text] = {}

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, boot: BootDocument, document: bytes) -> None:  # noqa: ARG002 - a Display
        """Draw the boot's line anew; the line of a boot that is over scrolls away for good."""
        line = self._lines.changed(boot)
        if line is None:
            return
        if boot.is_running:
            self._running[boot.id] = Text(line)
        else:
            self._running.pop(boot.id, None)
            self._console.print(Text(line))
        # Half a screen of them: a taller drawing could not be redrawn in place.
        lines = list(self._running.values())[-max(1, self._console.height // 2) :]
        self._live.update(Group(*lines), refresh=True)
