"""A catalog on a real socket of 127.0.0.1, with machines at other addresses of the loopback."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
from aiohttp import ClientSession, TCPConnector, web

from bootyard.boot.tree import BootTree
from bootyard.model.document import encode
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Fingerprint, Image, Learned, Root, Slice
from bootyard.runtime.lifecycle import EventSender, Service
from bootyard.runtime.settings import Settings
from services.catalog.http.routes import make_app
from services.catalog.parts import put_together

TOKEN = "a-token-for-tests-only"
NUC, NUC_IP = MACAddress("52:54:00:12:34:56"), "127.0.0.5"
PI, PI_IP = MACAddress("52:54:00:00:00:02"), "127.0.0.6"
QUERY = "platform=efi&buildarch=x86_64"


def write_image(
    images_dir: Path, name: str, *, title: str = "Debian 12", cmdline: str = ""
) -> None:
    """Put an image with kernel and initrd into the library, old enough to be read at once."""
    folder = images_dir / name
    folder.mkdir(parents=True)
    (folder / "linux").write_bytes(os.urandom(300_000))
    (folder / "initrd.gz").write_bytes(os.urandom(700_001))
    (folder / "image.toml").write_text(
        f"title = '{title}'\nkernel = 'linux'\ninitrd = ['initrd.gz']\ncmdline = '{cmdline}'\n",
        encoding="utf-8",
    )
    old = time.time() - 7200
    for path in (*folder.iterdir(), folder):
        os.utime(path, (old, old))


class Running:
    """A catalog that answers on `url`."""

    def __init__(
        self,
        directory: Path,
        state_dir: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.images_dir = directory / "images"
        self.images_dir.mkdir(exist_ok=True)
        self.settings = Settings(
            images_dir=self.images_dir,
            state_dir=state_dir or directory / "state",
            loaders_dir=directory / "loaders",
            admin_token=TOKEN,
            allowed_hosts=("boot.example.org",),
        )
        self.neighbours = {NUC_IP: NUC, PI_IP: PI}
        self.service = Service("catalog", self.settings)
        self.service.events = EventSender("catalog", self.service.store, clock)
        self.parts = put_together(self.service, self._neighbour, clock)
        self.catalog = self.parts.catalog
        self.url = ""

    def _neighbour(self, address: IPv4Address) -> MACAddress | None:
        return self.neighbours.get(str(address))

    async def look(self) -> None:
        """Read the library and publish."""
        await self.catalog.library.look()
        await self.catalog.publisher.publish()

    def client(self, ip: str = "127.0.0.1") -> ClientSession:
        """Make a client at an address."""
        return ClientSession(self.url, connector=TCPConnector(local_addr=(ip, 0)))

    def admin(self) -> ClientSession:
        """Make a client with the admin token."""
        return ClientSession(self.url, headers={"Authorization": f"Bearer {TOKEN}"})

    async def script(self, ip: str, mac: MACAddress | None = None, more: str = "") -> str:
        """Ask for a machine's boot script."""
        claim = f"&mac={mac}" if mac is not None else ""
        async with self.client(ip) as client, client.get(f"/boot.ipxe?{QUERY}{claim}{more}") as got:
            assert got.status == 200
            return await got.text()

    async def take(self, ip: str, path: str) -> bytes:
        """Take a file of the boot tree."""
        async with self.client(ip) as client, client.get(f"/tree/{path}") as got:
            assert got.status == 200
            return await got.read()

    async def arm(self, mac: MACAddress, target: str) -> None:
        """Arm a boot-once."""
        async with (
            self.admin() as admin,
            admin.put(f"/api/v1/machines/{mac}/boot-once", json={"target": target}) as got,
        ):
            assert got.status == 200, await got.text()

    def metric(self, name: str, **labels: str) -> float:
        """Read a metric."""
        value = self.service.telemetry.registry.get_sample_value(name, labels)
        assert value is not None, (name, labels)
        return value

    def learn(self, learned: dict[MACAddress, Learned]) -> None:
        """Let a snapshot tell what was learned of machines."""
        snapshot = msgspec.structs.replace(
            self.service.snapshots.snapshot,
            learned={str(mac): msgspec.Raw(encode(known)) for mac, known in learned.items()},
        )
        self.service.snapshots.adopt(BootTree(snapshot))

    def serve_slice(self, name: str, path: Path, extents: tuple[tuple[int, int], ...]) -> None:
        """Put a slice of a file in IMAGES_DIR into the boot tree as `images/sliced/NAME`."""
        found = path.stat()
        source = Slice(
            root=Root.IMAGES,
            path=path.relative_to(self.images_dir).as_posix(),
            extents=extents,
            fingerprint=Fingerprint(found.st_size, found.st_mtime_ns, found.st_ino),
        )
        image = Image(
            id="sliced", revision=1, title="Sliced", architectures=(), files={name: source}
        )
        snapshot = self.service.snapshots.snapshot
        images = {**snapshot.images, "sliced": image}
        changed = type(snapshot)(
            epoch="test",
            number=snapshot.number + 1,
            http_port=8080,
            loaders=snapshot.loaders,
            images=images,
            targets=snapshot.targets,
        )
        self.service.snapshots.adopt(BootTree(changed))


@asynccontextmanager
async def running_catalog(
    directory: Path, state_dir: Path | None = None, clock: Callable[[], float] = time.time
) -> AsyncIterator[Running]:
    """Run a catalog on a free port."""
    running = Running(directory, state_dir, clock)
    await running.look()
    runner = web.AppRunner(make_app(running.catalog), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    tasks = [
        asyncio.create_task(running.catalog.journal.keep()),
        asyncio.create_task(running.parts.burner.keep()),
    ]
    try:
        yield running
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await runner.cleanup()
        await running.catalog.journal.save()
        running.parts.database.close()
