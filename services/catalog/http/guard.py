"""Around every request: who may ask, how failures are told, and what is counted.

Machines do not sign in and send odd Host headers, so boot paths are open to all. The API and the
user interface answer only to names that are ours, because a page on the Internet can make a
browser here ask any address (DNS rebinding); and changes need the admin token.
"""

import asyncio
import hmac
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import psutil
from aiohttp import web

from bootyard.model.document import DocumentInvalid
from bootyard.model.errors import RequestRefused
from bootyard.runtime.files import write_atomically
from bootyard.runtime.log import get_logger
from services.catalog.http.context import CATALOG
from services.catalog.http.problems import Problem, problem_response

log = get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN = {
    "boot.ipxe": "boot",
    "autoexec.ipxe": "boot",
    "tree": "tree",
    # Where GRUB asks after HTTP Boot: its builder's folder, below the server's root.
    "grub": "tree",
    "grub.cfg": "tree",
    "boot": "tree",
    "debian-installer": "tree",
    "EFI": "tree",
    "efi": "tree",
    "metrics": "telemetry",
    "healthz": "telemetry",
    "readyz": "telemetry",
}
"""First parts of paths that anyone may ask under any name, and who answers them."""
ANSWER_SECONDS = 20.0
"""How long the database may hold up an answer of the API."""
LOCAL_NAMES = (".local", ".lan", ".home.arpa")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def handler_of(path: str) -> str:
    """Name who answers a path, as metrics call it."""
    first, _, rest = path.lstrip("/").partition("/")
    if first == "api":
        return "events" if rest.rstrip("/") == "v1/events" else "api"
    return OPEN.get(first) or ("ui" if first in {"", "static"} else "other")


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Send pages and answers of the API with what browsers need to be told."""
    response.headers["Server"] = "Bootyard"
    if request.path.lstrip("/").partition("/")[0] not in OPEN:
        response.headers.update(PAGE_HEADERS)


@web.middleware
async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count requests, and how long they took."""
    metrics = request.app[CATALOG].metrics
    name = handler_of(request.path)
    started = asyncio.get_running_loop().time()
    code = 499  # the client was gone before there was an answer
    try:
        response = await handler(request)
        code = response.status
        return response
    finally:
        metrics.requests.labels(name, code).inc()
        if name != "events":
            seconds = asyncio.get_running_loop().time() - started
            metrics.request_seconds.labels(name).observe(seconds)


@web.middleware
async def tell_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise into answers; a fault of ours ends one request, not the service."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        problem = _of_http(request, error)
    except Problem as error:
        problem = error
    except RequestRefused as error:
        problem = Problem(409, error.problem, error.cure)
    except DocumentInvalid as error:
        problem = Problem(400, str(error), "see the README for the fields that there are")
    except (TimeoutError, sqlite3.Error) as error:
        log.error("database did not serve a request", path=request.path, error=repr(error))
        cure = "see whether the disk of BOOTYARD_STATE_DIR is full or hangs, then try again"
        problem = Problem(503, "the database does not answer", cure)
    except ConnectionResetError:
        raise
    except Exception:
        request.app[CATALOG].telemetry.internal_error("http")
        log.exception("request failed", path=request.path, method=request.method)
        problem = Problem(500, "a fault of the catalog's own", "see the catalog's log")
    if handler_of(request.path) in {"boot", "tree"}:
        return web.Response(
            status=problem.status,
            body=f"{problem.detail}\n".encode(),
            content_type="text/plain",
            headers=problem.headers,
        )
    return problem_response(problem)


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in what may come in."""
    if request.path.lstrip("/").partition("/")[0] in OPEN:
        return await handler(request)
    catalog = request.app[CATALOG]
    if not _is_ours(request, catalog.settings.allowed_hosts):
        raise Problem(
            421,
            f"{request.host!r} is no name of this server",
            "use its address, or add the name to BOOTYARD_ALLOWED_HOSTS",
        )
    if request.method not in SAFE_METHODS:
        _require_token(request)
    limit = None if handler_of(request.path) == "events" else ANSWER_SECONDS
    async with asyncio.timeout(limit):
        return await handler(request)


def _is_ours(request: web.Request, allowed: tuple[str, ...]) -> bool:
    name = host_name(request.headers.get("Host", ""))
    if name == "localhost" or name.endswith(LOCAL_NAMES):
        return True
    if name in {host_name(host) for host in allowed}:
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    used = request.get_extra_info("sockname")
    if used and ip_address(used[0].partition("%")[0]) == address:
        return True
    own = (a.address for addresses in psutil.net_if_addrs().values() for a in addresses)
    return str(address) in {text.partition("%")[0] for text in own}


def host_name(host: str) -> str:
    """Take the name out of a Host header: no port, no brackets, lower case, no final dot."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, _, port = host.rpartition(":")
    if name and port.isdigit() and ":" not in name:
        host = name
    return host.removesuffix(".")


def has_token(request: web.Request) -> bool:
    """Tell whether a request carries the admin token."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = request.app[CATALOG].admin_token.encode()
    right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token)
    return right and scheme.lower() == "bearer"


def _require_token(request: web.Request) -> None:
    if has_token(request):
        return
    raise Problem(
        401,
        "this changes something and needs the admin token",
        "send `Authorization: Bearer TOKEN` with what is in STATE_DIR/catalog/admin-token,"
        " or what BOOTYARD_ADMIN_TOKEN says",
        {"WWW-Authenticate": 'Bearer realm="bootyard"'},
    )


def _of_http(request: web.Request, error: web.HTTPException) -> Problem:
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    detail, cure = {
        404: (f"there is no {request.path}", "see the README for the paths that there are"),
        405: (f"{request.path} does not take {request.method}", "use a method that Allow names"),
        413: ("the body is larger than 1 MiB", "send less at once"),
    }.get(error.status, (error.reason, "see the README"))
    return Problem(error.status, detail, cure, headers)


def load_admin_token(path: Path, given: str | None) -> str:
    """Give the admin token: what the settings say, else what is on disk, made when it is not."""
    if given is not None:
        return given
    try:
        token = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        token = ""
    if not token:
        token = secrets.token_urlsafe(32)
        write_atomically(path, f"{token}\n".encode(), mode=0o600)
    return token
