#!/usr/bin/env python3
"""How long a change takes to reach every service, with many machines and images; needs root.

Real services on a real Valkey, in a network namespace of their own; only the library's images are
made up. A machine is changed through the API, again and again, and every service is asked what it
holds. Loops are watched from inside: `held` is the longest time that one did not turn, beside the
longest in a pause of the same length. It ends with status 1 when a target is missed.
"""

import argparse
import asyncio
import os
import runpy
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from aiohttp import ClientSession

from bench.process import start_valkey
from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import BootTree, Found
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import BootTarget, Fingerprint, Root, Slice, Snapshot, TargetKind
from bootyard.runtime import telemetry
from bootyard.runtime.lifecycle import Service
from services.catalog import parts
from services.catalog.library.image import LibraryImage
from services.catalog.library.library import Library
from services.catalog.machines import MachineChange, Surroundings, _set

ADDRESS = "192.0.2.10"
PORTS = {"catalog": 8080, "proxydhcp": 9167, "tftp": 9169}
TOKEN = "for-this-run-only"  # noqa: S105 - nobody else reaches this namespace
TICK = 0.001
POLL = 0.005

ADOPT_SECONDS = 1.0
HELD_SECONDS = 0.020
RENDER_SECONDS = 0.002
"""What is to hold with 10,000 machines and 300 images of 30 files."""


def mac(number: int) -> MACAddress:
    """Number machines."""
    return MACAddress.from_bytes(bytes([2, 0, 0, 1, number >> 8 & 255, number & 255]))


def image(number: int, files: int) -> LibraryImage:
    """Make an image up, as its recipe would describe it."""
    name = f"image-{number:03}"
    names = ["linux", "initrd.gz", *(f"install/packages/module-{n:02}.udeb" for n in range(files))]
    slices = {
        file: Slice(
            root=Root.IMAGES,
            path=f"{name}.iso",
            extents=((1_048_576 * position, 987_654),),
            fingerprint=Fingerprint(4_000_000_000, 1_700_000_000_000_000_000 + number, number),
        )
        for position, file in enumerate(names[:files])
    }
    return LibraryImage(
        id=name,
        path=f"{name}.iso",
        title=f"Distribution {number} installer",
        family="debian",
        version=str(number),
        architectures=("x86_64",),
        revision=1,
        files=slices,
        targets=tuple(
            BootTarget(
                id=name if kind is TargetKind.INSTALLER else f"{name}/{kind}",
                image=name,
                title=f"Distribution {number} ({kind})",
                kind=kind,
                kernel="linux",
                initrds=("initrd.gz",),
                command_line="vga=788 --- quiet",
            )
            for kind in (TargetKind.INSTALLER, TargetKind.LIVE)
        ),
    )


async def _watch_loop(_: telemetry.Telemetry) -> None:
    """Write down whenever the loop did not turn for a while."""
    lines = os.open(f"held-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        before = time.monotonic()
        await asyncio.sleep(TICK)
        late = time.monotonic() - before - TICK
        if late > TICK:
            os.write(lines, f"{before} {late}\n".encode())


def serve(name: str, machines: int, images: int, files: int) -> None:
    """Be a service; the catalog with made-up images."""
    telemetry.Telemetry.watch_loop = _watch_loop  # type: ignore[method-assign]
    if name == "catalog":
        library = tuple(image(number, files) for number in range(images))

        async def look(self: Library) -> None:
            if not self.looked.is_set():
                self.images = library
                self.targets = {t.id: t for i in library for t in i.targets}
                self.looked.set()

        Library.look = look  # type: ignore[method-assign]
        put_together = parts.put_together

        def with_machines(service: Service) -> parts.Parts:
            made = put_together(service)
            made.database.run_blocking(_fill, machines, images)
            return made

        parts.put_together = with_machines
    runpy.run_module(f"services.{name}", run_name="__main__", alter_sys=True)


def _fill(connection: sqlite3.Connection, machines: int, images: int) -> None:
    targets = {t.id: t for n in range(images) for t in image(n, 2).targets}
    around = Surroundings(targets=targets, loaders=(), firmware=None)
    for number in range(machines):
        change = MachineChange(name=f"machine-{number}", target=f"image-{number % images:03}/live")
        _set(connection, mac(number), change, around, 0.0)


async def _held(session: ClientSession, name: str) -> str:
    try:
        async with session.get(f"http://127.0.0.1:{PORTS[name]}/readyz") as got:
            return str((await got.json())["snapshot"])
    except OSError:
        return ""


async def _wait(session: ClientSession, name: str, version: str) -> float:
    while await _held(session, name) != version:  # noqa: ASYNC110 - another process's
        await asyncio.sleep(POLL)
    return time.monotonic()


async def _change(session: ClientSession, number: int) -> tuple[float, dict[str, float]]:
    """Change a machine; when that began, and the seconds until each service held it."""
    before = await _held(session, "catalog")
    began = time.monotonic()
    url = f"http://127.0.0.1:{PORTS['catalog']}/api/v1/machines/{mac(number)}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    change = {"kernel_args": f"run={began}"}
    async with session.patch(url, json=change, headers=headers) as got:
        assert got.status == 200, await got.text()
    answered = time.monotonic()
    version = await _held(session, "catalog")
    assert version != before
    others = [name for name in PORTS if name != "catalog"]
    async with asyncio.timeout(30):
        done = await asyncio.gather(*(_wait(session, name, version) for name in others))
    times = dict(zip(others, (at - began for at in done), strict=True))
    return began, {"catalog": answered - began, **times}


def _longest(pid: int, began: float, ended: float) -> float:
    path = Path(f"held-{pid}")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = [tuple(map(float, line.split())) for line in lines]
    return max((late for at, late in pairs if began - 0.05 <= at <= ended), default=0.0)


async def measure(pids: dict[str, int], rounds: int) -> list[str]:
    """Change machines and report; what was missed comes back."""
    adopted: dict[str, list[float]] = {name: [] for name in PORTS}
    held: dict[str, list[float]] = {name: [] for name in PORTS}
    quiet: dict[str, list[float]] = {name: [] for name in PORTS}
    async with ClientSession() as session:
        async with asyncio.timeout(120):
            version = ""
            while not version or version.startswith("builtin"):
                await asyncio.sleep(0.1)
                version = await _held(session, "catalog")
            for name in PORTS:
                await _wait(session, name, version)
        await asyncio.sleep(2)
        for number in range(rounds):
            began, times = await _change(session, number)
            await asyncio.sleep(1.0)
            after = time.monotonic()
            await asyncio.sleep(after - began)
            for name in PORTS:
                adopted[name].append(times[name])
                held[name].append(_longest(pids[name], began, after))
                quiet[name].append(_longest(pids[name], after + 0.1, time.monotonic()))
    missed = []
    print("service     adopted, median/longest   held, median/longest   (in a pause)   memory")
    for name in PORTS:
        times, holds = adopted[name], held[name]
        print(
            f"{name:10} {statistics.median(times) * 1e3:9.0f} /{max(times) * 1e3:6.0f} ms"
            f" {statistics.median(holds) * 1e3:13.1f} /{max(holds) * 1e3:6.1f} ms"
            f" {statistics.median(quiet[name]) * 1e3:6.1f} /{max(quiet[name]) * 1e3:5.1f} ms"
            f" {_memory_mb(pids[name]):6.0f} MB"
        )
        if max(times) > ADOPT_SECONDS:
            missed.append(f"{name} adopted a change after {max(times):.2f} s")
        if statistics.median(holds) > HELD_SECONDS:
            missed.append(f"{name}'s loop was held {statistics.median(holds) * 1e3:.0f} ms")
    return missed


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(x for x in status.splitlines() if x.startswith("VmRSS")).split()[1]) / 1024


def measure_rendering(document: bytes) -> list[str]:
    """Time a machine's menu."""
    tree = BootTree(Snapshot.from_json(document))
    seconds = []
    for number in range(200):
        facts = RequestFacts(
            client_ip=IPv4Address("192.0.2.77"),
            server_address=IPv4Address(ADDRESS),
            transport="http",
            mac=mac(number),
        )
        began = time.perf_counter()
        found = tree.resolve("menu.ipxe", facts)
        seconds.append(time.perf_counter() - began)
        assert isinstance(found, Found)
    median = statistics.median(seconds)
    print(f"menu.ipxe rendered in {median * 1e3:.2f} ms; the document has {len(document):,} bytes")
    return [f"a menu is rendered in {median * 1e3:.1f} ms"] if median > RENDER_SECONDS else []


def run(asked: argparse.Namespace) -> list[str]:
    """Start everything and measure."""
    run_ip("link", "set", "lo", "up")
    run_ip("link", "add", "lan", "type", "veth", "peer", "name", "far")
    run_ip("addr", "add", f"{ADDRESS}/24", "dev", "lan")
    run_ip("link", "set", "lan", "up")
    run_ip("link", "set", "far", "up")
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        os.chdir(base)
        (base / "images").mkdir()
        valkey, url = start_valkey(base)
        stack.callback(_end, valkey)
        size = [str(asked.machines), str(asked.images), str(asked.files)]
        pids = {}
        for name in PORTS:
            log = stack.enter_context((base / f"{name}.log").open("wb"))
            child = subprocess.Popen(
                [sys.executable, __file__, "--serve", name, *size],
                stdout=log,
                stderr=log,
                env={
                    "PATH": "/usr/bin:/bin",
                    "BOOTYARD_REDIS_URL": url,
                    "BOOTYARD_STATE_DIR": str(base / "state"),
                    "BOOTYARD_IMAGES_DIR": str(base / "images"),
                    "BOOTYARD_ADMIN_TOKEN": TOKEN,
                    "BOOTYARD_INTERFACES": "lan",
                },
            )
            stack.callback(_end, child)
            pids[name] = child.pid
        try:
            missed = asyncio.run(measure(pids, asked.rounds))
        except BaseException:
            for name in PORTS:
                print(f"== {name}\n", (base / f"{name}.log").read_text()[-1500:])
            raise
        document = (base / "state" / "catalog" / "snapshot.json").read_bytes()
        return missed + measure_rendering(document)


def run_ip(*words: str) -> None:
    """Set the namespace up."""
    subprocess.run(("ip", *words), check=True)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    child.wait(20)


def main(words: Sequence[str]) -> int:
    """Measure in a namespace of our own; 1 when a target is missed."""
    if words[:1] == ["--serve"]:
        serve(words[1], *map(int, words[2:]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--files", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    asked.rounds = 3 if asked.quick else asked.rounds
    if not asked.inside:
        inside = ["unshare", "--net", sys.executable, __file__, *words, "--inside"]
        return subprocess.run(inside, check=False).returncode
    missed = run(asked)
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
