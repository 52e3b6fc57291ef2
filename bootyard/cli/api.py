"""The catalog's API over HTTP, and the admin token that its writes need."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from bootyard.cli.documents import Page, Problem, read
from bootyard.cli.events import EventParser, ServerEvent
from bootyard.cli.failure import CatalogUnreachable, CommandFailed, error_reason
from bootyard.cli.options import read_settings
from bootyard.model.document import DocumentInvalid, decode, encode
from bootyard.runtime.settings import Settings

T = TypeVar("T")

LARGEST_PAGE = 500
TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
EVENTS_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5, sock_read=60)


def with_catalog(use: Callable[["Catalog"], Awaitable[T]]) -> T:
    """Run `use` with the catalog that the settings name."""
    settings = read_settings()

    async def run() -> T:
        async with Catalog.open(settings) as catalog:
            return await use(catalog)

    return asyncio.run(run())


def find_token(settings: Settings) -> str:
    """Give the admin token from the settings or from the catalog's state."""
    if settings.admin_token is not None:
        return settings.admin_token
    path = token_path(settings)
    try:
        token = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise CommandFailed(
            f"there is no admin token: it would be in {path}, which does not exist",
            "start the catalog, which makes it, or set BOOTYARD_STATE_DIR or BOOTYARD_ADMIN_TOKEN",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(
            f"the admin token in {path} cannot be read ({error_reason(error)})",
            "run this as the user that runs the catalog, or set BOOTYARD_ADMIN_TOKEN",
        ) from error
    if not token:
        raise CommandFailed(f"{path} is empty", "remove it and restart the catalog")
    return token


def catalog_url(settings: Settings) -> str:
    """Give the catalog's address: BOOTYARD_URL, or else the port it is told to use on this host."""
    if "url" in settings.model_fields_set:
        return settings.url.rstrip("/")
    return f"http://127.0.0.1:{settings.http_port}"


def token_path(settings: Settings) -> Path:
    """Name the file that the catalog keeps its admin token in."""
    return settings.state_dir.absolute() / "catalog" / "admin-token"


class Catalog:
    """A catalog to ask and to change; paths are those below `/api/v1/`."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._base = catalog_url(settings)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["Catalog"]:
        """Keep a connection for as long as the context lasts."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            yield cls(settings, session)

    async def get(self, *path: str, **query: str) -> bytes:
        """Read one document."""
        return await self._request("GET", path, query, token=self._token_for_reading())

    async def collection(self, *path: str, limit: int | None = None, **query: str) -> Page:
        """Read a collection, page by page, up to `limit` items; gives them as one page."""
        items: list[msgspec.Raw] = []
        while True:
            if limit is not None:
                query["limit"] = str(min(limit - len(items), LARGEST_PAGE))
            page = read(await self.get(*path, **query), Page)
            items += page.items
            if page.next is None or (limit is not None and len(items) >= limit):
                return Page(tuple(items), page.next)
            query["cursor"] = page.next

    async def change(self, method: str, *path: str, body: Mapping[str, object]) -> bytes:
        """Write with PATCH or PUT and give what the catalog made of it."""
        return await self._request(method, path, {}, body=body, token=find_token(self._settings))

    async def remove(self, *path: str) -> bytes:
        """Remove something; gives what the catalog says of it, if anything."""
        return await self._request("DELETE", path, {}, token=find_token(self._settings))

    @asynccontextmanager
    async def events(self, last_id: str | None) -> AsyncIterator[AsyncIterator[ServerEvent]]:
        """Open the catalog's events after `last_id`; they end when the connection does."""
        headers = {"Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        with self._connection_problems():
            async with self._session.get(
                self._url(("events",)),
                headers=headers,
                timeout=EVENTS_TIMEOUT,
                allow_redirects=False,
            ) as answer:
                if answer.status != 200:
                    raise self._refused(answer, await answer.read())
                yield _events(answer.content, EventParser(last_id))

    def _token_for_reading(self) -> str | None:
        # Reading needs none; who has one is also shown what may be secret.
        try:
            return find_token(self._settings)
        except CommandFailed:
            return None

    async def _request(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str],
        *,
        body: Mapping[str, object] | None = None,
        token: str | None = None,
    ) -> bytes:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        with self._connection_problems():
            async with self._session.request(
                method,
                self._url(path),
                params=query,
                headers=headers,
                data=None if body is None else encode(body),
                allow_redirects=False,
            ) as answer:
                document = await answer.read()
                if answer.status >= 300:
                    raise self._refused(answer, document)
                return document

    def _url(self, path: tuple[str, ...]) -> URL:
        parts = (f"{self._base}/api/v1", *(quote(part, safe=":") for part in path))
        return URL("/".join(parts), encoded=True)

    def _token_sources(self) -> str:
        if self._settings.admin_token is not None:
            return "BOOTYARD_ADMIN_TOKEN is set, and differs"
        return f"{token_path(self._settings)} holds another"

    @contextmanager
    def _connection_problems(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CatalogUnreachable(
                f"the catalog at {self._base} does not answer ({error_reason(error)})",
                "start it with `bootyard up`, or set BOOTYARD_URL to where it is",
            ) from error

    def _refused(self, answer: aiohttp.ClientResponse, document: bytes) -> CommandFailed:
        try:
            problem = decode(document, Problem)
        except DocumentInvalid:
            problem = Problem()
        if answer.status == 401:
            return CommandFailed(
                f"the catalog at {self._base} does not take this admin token",
                f"give the one that it has: {self._token_sources()}",
            )
        if problem.detail or problem.title:
            failure = CatalogUnreachable if answer.status >= 500 else CommandFailed
            return failure(problem.detail or problem.title, problem.cure)
        if answer.status >= 500:
            return CatalogUnreachable(
                f"the catalog at {self._base} answered {answer.status} {answer.reason}",
                "its log says why",
            )
        return CommandFailed(
            f"{answer.url} answered {answer.status} {answer.reason}",
            "check that BOOTYARD_URL names a catalog of this version",
        )


async def _events(content: aiohttp.StreamReader, parser: EventParser) -> AsyncIterator[ServerEvent]:
    async for chunk in content.iter_any():
        for event in parser.feed(chunk):
            yield event
