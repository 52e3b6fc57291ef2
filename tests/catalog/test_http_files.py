"""Files of the boot tree over a real socket, asked for by curl and by raw bytes."""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bootyard.model.events import Step
from tests.catalog.http_catalog import NUC, NUC_IP, Running, running_catalog, write_image

KERNEL = "images/debian-12/linux"
INITRD = "images/debian-12/initrd.gz"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Running]:
    write_image(tmp_path / "images", "debian-12")
    async with running_catalog(tmp_path) as running:
        yield running


class Got:
    """What curl received."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {name.lower(): value for name, value in (ln.split(": ", 1) for ln in lines)}


async def curl(running: Running, path: str, *options: str, ip: str = NUC_IP) -> Got:
    process = await asyncio.create_subprocess_exec(
        *("curl", "-s", "-i", "--path-as-is", "--interface", ip, "--max-time", "20"),
        *options,
        f"{running.url}{path}",
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return Got(out)


def on_disk(running: Running, name: str = "linux") -> bytes:
    return (running.images_dir / "debian-12" / name).read_bytes()


Steps = list[tuple[str, str, int | None]]


def steps(running: Running) -> Steps:
    boot = running.catalog.journal.timeline.latest(NUC)
    return [] if boot is None else [(s.step, s.outcome, s.bytes) for s in boot.steps]


async def told(running: Running, expected: Steps) -> None:
    """Wait for the steps: a client has its file a moment before the server knows that."""
    async with asyncio.timeout(5):
        while len(steps(running)) < len(expected):
            await asyncio.sleep(0.001)
    assert steps(running) == expected


async def test_a_whole_file(catalog: Running) -> None:
    got = await curl(catalog, f"/tree/{KERNEL}")
    assert got.status == 200
    assert got.body == on_disk(catalog)
    assert got.headers["content-length"] == "300000"
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["accept-ranges"] == "bytes"
    assert "transfer-encoding" not in got.headers
    assert "content-encoding" not in got.headers
    await told(catalog, [("kernel", "complete", 300_000)])


async def test_head_tells_what_get_tells_and_leaves_no_trace(catalog: Running) -> None:
    asked = await curl(catalog, f"/tree/{KERNEL}", "--head")
    ranged = await curl(catalog, f"/tree/{KERNEL}", "--head", "-r", "5-9")
    assert steps(catalog) == []
    got = await curl(catalog, f"/tree/{KERNEL}")
    for headers in (asked.headers, ranged.headers, got.headers):
        del headers["date"]
    assert asked.headers == ranged.headers == got.headers
    assert asked.body == b""


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 0), ("100-199", 100, 199), ("299990-", 299_990, 299_999), ("-7", 299_993, 299_999)],
)
async def test_ranges(catalog: Running, asked: str, first: int, last: int) -> None:
    got = await curl(catalog, f"/tree/{KERNEL}", "-r", asked)
    assert got.status == 206
    assert got.body == on_disk(catalog)[first : last + 1]
    assert got.headers["content-range"] == f"bytes {first}-{last}/300000"
    assert got.headers["content-length"] == str(len(got.body))


@pytest.mark.parametrize("asked", ["300000-", "u-u", "9-8", "-0"])
async def test_ranges_that_cannot_be(catalog: Running, asked: str) -> None:
    got = await curl(catalog, f"/tree/{KERNEL}", "-H", f"Range: bytes={asked}")
    assert got.status == 416
    assert got.headers["content-range"] == "bytes */300000"


async def test_only_a_range_that_reaches_the_end_is_a_step(catalog: Running) -> None:
    await curl(catalog, f"/tree/{KERNEL}", "-r", "0-1000")
    assert steps(catalog) == []
    await curl(catalog, f"/tree/{KERNEL}", "-r", "1000-")
    await told(catalog, [("kernel", "complete", 299_000)])


async def test_etags(catalog: Running) -> None:
    etag = (await curl(catalog, f"/tree/{KERNEL}")).headers["etag"]
    assert etag.startswith('"')
    other = (await curl(catalog, f"/tree/{INITRD}")).headers["etag"]
    assert etag != other
    not_modified = await curl(catalog, f"/tree/{KERNEL}", "-H", f"If-None-Match: {etag}")
    assert (not_modified.status, not_modified.body) == (304, b"")
    assert not_modified.headers["etag"] == etag
    failed = await curl(catalog, f"/tree/{KERNEL}", "-H", f"If-Match: {other}")
    assert failed.status == 412
    resumed = await curl(
        catalog, f"/tree/{KERNEL}", "-r", "9-", "-H", f"If-Match: {etag}", "-H", f"If-Range: {etag}"
    )
    assert resumed.status == 206
    anew = await curl(catalog, f"/tree/{KERNEL}", "-r", "9-", "-H", f"If-Range: {other}")
    assert (anew.status, len(anew.body)) == (200, 300_000)


async def test_pieces_of_a_file_in_any_order(catalog: Running) -> None:
    disk = catalog.images_dir / "disk.bin"
    data = os.urandom(5_000_000)
    disk.write_bytes(data)
    extents = ((4_000_000, 1_000_000), (10, 1), (0, 0), (500_000, 2_345_678))
    whole = b"".join(data[o : o + n] for o, n in extents)
    catalog.serve_slice("part.bin", disk, extents)
    got = await curl(catalog, "/tree/images/sliced/part.bin")
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(whole).digest()
    ranged = await curl(catalog, "/tree/images/sliced/part.bin", "-r", "999999-1000004")
    assert ranged.body == whole[999_999:1_000_005]


async def test_an_empty_file(catalog: Running) -> None:
    (catalog.images_dir / "empty").touch()
    catalog.serve_slice("empty", catalog.images_dir / "empty", ((0, 0),))
    got = await curl(catalog, "/tree/images/sliced/empty")
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", "0")


async def test_one_connection_serves_many(catalog: Running) -> None:
    async with catalog.client() as client:
        for _ in range(3):
            for path in (KERNEL, INITRD, "nothing", "menu.ipxe", KERNEL):
                async with client.get(f"/tree/{path}") as got:
                    await got.read()
        assert client.connector is not None
        assert len(client.connector._conns) == 1


async def test_without_keep_alive(catalog: Running) -> None:
    got = await curl(catalog, f"/tree/{KERNEL}", "--http1.0")
    assert got.body == on_disk(catalog)


async def test_a_file_that_changed_is_refused(catalog: Running) -> None:
    (catalog.images_dir / "debian-12" / "linux").write_bytes(b"x" * 300_000)
    got = await curl(catalog, f"/tree/{KERNEL}")
    assert got.status == 404
    assert got.headers["content-type"] == "text/plain"
    assert b"changed" in got.body
    await told(catalog, [("kernel", "source_changed", 0)])


async def test_a_file_that_is_gone_is_refused(catalog: Running) -> None:
    (catalog.images_dir / "debian-12" / "linux").unlink()
    assert (await curl(catalog, f"/tree/{KERNEL}")).status == 404


async def test_no_link_leaves_the_library(catalog: Running, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    link = catalog.images_dir / "link"
    link.symlink_to(secret)
    catalog.serve_slice("link", link, ((0, 6),))
    got = await curl(catalog, "/tree/images/sliced/link")
    assert got.status == 404
    assert b"secret\n" not in got.body


async def test_a_pipe_in_place_of_a_file_does_not_hang(catalog: Running) -> None:
    pipe = catalog.images_dir / "pipe"
    os.mkfifo(pipe)
    catalog.serve_slice("pipe", pipe, ((0, 0),))
    assert (await curl(catalog, "/tree/images/sliced/pipe")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "..\\..\\etc\\passwd",
        "..%5c..%5cetc%5cpasswd",
        "images/../../../etc/passwd",
        "images/debian-12/../../../etc/passwd",
        "images/debian-12/%00linux",
        "images/debian-12/linux%00",
        "%2fetc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "images/debian-12%2f..%2f..",
        "%252e%252e/etc/passwd",
        "images/debian-12/image.toml",
        "%ff%fe",
        "a" * 4000,
        "",
    ],
)
async def test_names_that_lead_nowhere(catalog: Running, path: str) -> None:
    got = await curl(catalog, f"/tree/{path}")
    assert got.status == 404
    assert got.headers["content-type"] == "text/plain"
    assert got.body.count(b"\n") == 1
    assert b"root:" not in got.body


@pytest.mark.parametrize(
    "path", ["images\\debian-12\\linux", "/images//debian-12/./linux", "IMAGES/DEBIAN-12/LINUX"]
)
async def test_spellings_that_are_forgiven(catalog: Running, path: str) -> None:
    assert (await curl(catalog, f"/tree/{path}")).body == on_disk(catalog)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_the_tree_is_read_only(catalog: Running, method: str) -> None:
    got = await curl(catalog, f"/tree/{KERNEL}", "-X", method)
    assert got.status == 405
    assert got.headers["content-type"] == "text/plain"


@pytest.mark.parametrize(
    ("name", "kind"), [("snponly.efi", "application/efi"), ("x.bin", "application/octet-stream")]
)
async def test_types_that_firmware_insists_on(catalog: Running, name: str, kind: str) -> None:
    (catalog.images_dir / name).write_bytes(b"MZ")
    catalog.serve_slice(name, catalog.images_dir / name, ((0, 2),))
    got = await curl(catalog, f"/tree/images/sliced/{name}")
    assert got.headers["content-type"] == kind


def open_connection(running: Running, path: str) -> socket.socket:
    """Ask for a file and take nothing of it, with little room for what comes."""
    host, port = running.url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    connection.bind((NUC_IP, 0))
    connection.settimeout(20)
    connection.connect((host, int(port)))
    connection.sendall(f"GET /tree/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return connection


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


async def until(running: Running, expected: tuple[str, str]) -> None:
    async with asyncio.timeout(20):
        while not any(step[:2] == expected for step in steps(running)):
            await asyncio.sleep(0.02)


def big_kernel(running: Running, size: int = 64 * 1024 * 1024) -> Path:
    path = running.images_dir / "debian-12" / "linux"
    with path.open("wb") as file:
        file.truncate(size)
    return path


async def test_a_file_truncated_under_way_ends_the_connection(catalog: Running) -> None:
    path = big_kernel(catalog)
    await catalog.look()
    await asyncio.sleep(2.1)  # the library waits until a file was quiet
    await catalog.look()
    with open_connection(catalog, KERNEL) as connection:
        start = await asyncio.to_thread(connection.recv, 1000)
        assert start.startswith(b"HTTP/1.1 200")
        os.truncate(path, 1000)
        async with asyncio.timeout(20):
            received = await asyncio.to_thread(read_all, connection)
    assert len(received) < 64 * 1024 * 1024
    assert steps(catalog)[-1][:2] == ("kernel", "source_changed")
    assert (await curl(catalog, "/tree/menu.ipxe")).status == 200


async def test_a_client_that_goes_is_told_of(catalog: Running) -> None:
    big_kernel(catalog)
    await catalog.look()
    await asyncio.sleep(2.1)
    await catalog.look()
    with open_connection(catalog, KERNEL) as connection:
        await asyncio.to_thread(connection.recv, 1000)
    await until(catalog, ("kernel", "client_abort"))
    sent = catalog.metric("bootyard_http_sent_bytes_total", file_class="kernel")
    assert 0 < sent < 64 * 1024 * 1024
    outcome = catalog.metric(
        "bootyard_http_transfers_total", file_class="kernel", outcome="client_abort"
    )
    assert outcome == 1


async def test_a_kernel_in_the_buffers_is_not_a_kernel_taken(catalog: Running) -> None:
    """300 kB fit into the server's socket buffer; the machine is switched off meanwhile."""
    with open_connection(catalog, KERNEL) as connection:
        await asyncio.to_thread(connection.recv, 100)
        await asyncio.sleep(0.3)
        assert steps(catalog) == []
    await until(catalog, ("kernel", "client_abort"))


async def test_bytes_are_counted_while_they_are_sent(catalog: Running) -> None:
    big_kernel(catalog)
    await catalog.look()
    await asyncio.sleep(2.1)
    await catalog.look()
    with open_connection(catalog, KERNEL) as connection:
        for _ in range(100):
            await asyncio.to_thread(connection.recv, 1024 * 1024)
            await asyncio.sleep(0.01)
            if catalog.metric("bootyard_http_sent_bytes_total", file_class="kernel"):
                break
        else:
            pytest.fail("nothing was counted")
        assert steps(catalog) == []


async def test_transfers_are_counted(catalog: Running) -> None:
    await curl(catalog, f"/tree/{KERNEL}")
    await curl(catalog, "/tree/nothing")
    await told(catalog, [("kernel", "complete", 300_000)])
    assert (
        catalog.metric("bootyard_http_transfers_total", file_class="kernel", outcome="complete")
        == 1
    )
    assert (
        catalog.metric("bootyard_http_transfers_total", file_class="other", outcome="not_found")
        == 1
    )
    assert catalog.metric("bootyard_http_sent_bytes_total", file_class="kernel") == 300_000
    assert catalog.metric("bootyard_http_transfer_rate_bytes_per_second_count") == 1
    assert catalog.metric("bootyard_http_requests_total", handler="tree", code="200") == 1
    assert catalog.metric("bootyard_http_requests_total", handler="tree", code="404") == 1


async def test_an_event_tells_machine_image_and_size(catalog: Running) -> None:
    await curl(catalog, "/tree/images/debian-12@1/linux")
    await told(catalog, [("kernel", "complete", 300_000)])
    boot = catalog.catalog.journal.timeline.latest(NUC)
    assert boot is not None
    (step,) = boot.steps
    assert (step.step, step.path, step.transport) == (
        Step.KERNEL,
        "images/debian-12@1/linux",
        "http",
    )
    assert (boot.image, step.ip) == ("debian-12", NUC_IP)
