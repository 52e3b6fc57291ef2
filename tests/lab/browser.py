"""A real browser on a host of the lab, told what to do through its DevTools protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse

from tests.lab.network import Lab

BROWSER = [
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--hide-scrollbars", "--enable-logging=stderr"),
]
PORT = 9222
STARTS = 60.0
SHOWS = 20.0


def start_browser(lab: Lab, profile: Path) -> None:
    """Start the browser on the `boot` host; `tab` speaks to it from within that namespace."""
    lab.popen(
        "boot",
        [
            *BROWSER,
            f"--user-data-dir={profile}",
            f"--remote-debugging-port={PORT}",
            "about:blank",
        ],
        name="chromium",
    )


class Tab:
    """One page of the browser."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []
        """What the browser said about the page: errors of its scripts, and what it refused."""

    async def command(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            said = json.loads(await self._socket.receive_str(timeout=SHOWS))
            if said.get("method") in {"Runtime.exceptionThrown", "Log.entryAdded"}:
                self.complaints.append(json.dumps(said["params"]))
            if said.get("id") == self._number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    async def value(self, expression: str) -> Any:  # noqa: ANN401 - whatever JavaScript gives
        """Evaluate a JavaScript expression."""
        answer = await self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        try:
            async with asyncio.timeout(SHOWS):
                while not await self.value(expression):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.value("document.body.innerText")
            raise AssertionError(f"{expression}\n{text}\n{self.complaints}") from None

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.command("Input.insertText", text=text)

    async def press(self, key: str, code: int) -> None:
        """Press a key."""
        keys: dict[str, object] = {"key": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        await self.command("Input.dispatchKeyEvent", type="keyDown", **keys, **text)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **keys)

    async def tab_to(self, element: str) -> None:
        """Go on by the Tab key to the element with an id."""
        for _ in range(60):
            if await self.value("document.activeElement.id") == element:
                return
            await self.press("Tab", 9)
        raise AssertionError(f"the keyboard does not reach #{element}")


@asynccontextmanager
async def open_tab(url: str) -> AsyncIterator[Tab]:
    """Open a page; call it where the browser's own address is reached."""
    async with ClientSession() as session:
        address = await _address(session)
        async with session.ws_connect(address, max_msg_size=0) as socket:
            tab = Tab(socket)
            for domain in ("Runtime", "Log", "Page"):
                await tab.command(f"{domain}.enable")
            await tab.command("Page.navigate", url=url)
            await tab.until(f"location.href === '{url}' && document.readyState === 'complete'")
            yield tab


async def _address(session: ClientSession) -> str:
    """Find the page that a browser opens with, as soon as it runs."""
    async with asyncio.timeout(STARTS):
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{PORT}/json") as got:
                    pages = [page for page in await got.json() if page["type"] == "page"]
            except ClientError:
                pages = []
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(0.1)
