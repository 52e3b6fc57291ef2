"""The TFTP service as a process, with real clients, in network namespaces."""

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootyard.model.snapshot import Root, Slice
from services.tftp.packet import Ack, Data, Error, OptionAck, WriteRequest
from tests.namespaces import ip
from tests.tftp.lan import CLIENT, HOST, SECOND, UNSERVED, Lan

pytestmark = pytest.mark.needs("ip", "tftp", "atftp", "curl", "iptables")

LOADER = "loaders/uefi-x64/test.bin"
KERNEL = "images/test@1/linux"
LOADER_BYTES = random.Random(1).randbytes(1_000_003)
KERNEL_BYTES = random.Random(2).randbytes(6 * 1024 * 1024)
LONG_SIZE = 34 * 1024 * 1024 + 17

Client = Callable[[str], tuple[str, ...]]


def make_lan(folder: Path) -> Lan:
    lan = Lan(folder)
    lan.add_loader("uefi-x64/test.bin", LOADER_BYTES)
    images = folder / "images"
    (images / "linux").write_bytes(KERNEL_BYTES)
    with (images / "long").open("wb") as long:
        # Sparse, with a mark in every 64th block of 512 bytes.
        for offset in range(0, LONG_SIZE, 512 * 64):
            long.seek(offset)
            long.write(offset.to_bytes(8, "big"))
        long.truncate(LONG_SIZE)
    (images / "shrinks").write_bytes(KERNEL_BYTES)
    (images / "leads-out").symlink_to("/etc/hostname")
    files = {name: images / name for name in ("linux", "long", "shrinks", "leads-out")}
    gone = Slice(root=Root.LOADERS, path="bios/gone.kpxe", extents=((0, 500),))
    lan.publish(files, {"bios/gone.kpxe": gone})
    return lan


@pytest.fixture(scope="module", params=["1", "2"], ids=["alone", "workers"])
def shared_lan(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Lan]:
    lan = make_lan(tmp_path_factory.mktemp("tftp"))
    lan.settings = {"BOOTYARD_TFTP_WORKERS": request.param}
    with lan.serving():
        yield lan


@pytest.fixture
def lan(shared_lan: Lan) -> Iterator[Lan]:
    """The one service of this module: every test must leave it working."""
    yield shared_lan
    code, body = shared_lan.get("/readyz")
    assert code == 200, body
    shared_lan.check_faults()


def tftp_hpa(path: str, server: str = HOST) -> tuple[str, ...]:
    return ("tftp", "-m", "binary", server, "-c", "get", path, "out")


def curl(path: str, *options: str, server: str = HOST) -> tuple[str, ...]:
    return ("curl", "-sS", *options, f"tftp://{server}/{path}", "-o", "out")


def atftp(path: str, *options: str, server: str = HOST) -> tuple[str, ...]:
    settings = tuple(word for option in options for word in ("--option", option))
    return ("atftp", *settings, "-g", "-r", path, "-l", "out", server)


def fetch(lan: Lan, *command: str) -> bytes:
    out = lan.folder / "out"
    out.unlink(missing_ok=True)
    finished = lan.run(*command)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return out.read_bytes()


@pytest.mark.parametrize(
    ("path", "content"), [(LOADER, LOADER_BYTES), (KERNEL, KERNEL_BYTES)], ids=["loader", "image"]
)
@pytest.mark.parametrize(
    "client",
    [
        pytest.param(tftp_hpa, id="tftp-hpa"),
        pytest.param(curl, id="curl"),
        pytest.param(lambda path: curl(path, "--tftp-no-options"), id="curl-no-options"),
        pytest.param(lambda path: curl(path, "--tftp-blksize", "1468"), id="curl-1468"),
        pytest.param(lambda path: curl(path, "--tftp-blksize", "65464"), id="curl-65464"),
        pytest.param(atftp, id="atftp"),
        pytest.param(lambda path: atftp(path, "blksize 1468", "windowsize 4"), id="atftp-4"),
        pytest.param(lambda path: atftp(path, "blksize 1428", "windowsize 32"), id="atftp-32"),
        pytest.param(lambda path: atftp(path, "tsize", "timeout 5"), id="atftp-timeout"),
    ],
)
def test_real_clients(lan: Lan, client: Client, path: str, content: bytes) -> None:
    assert fetch(lan, *client(path)) == content


@pytest.mark.parametrize("client", [tftp_hpa, curl], ids=["tftp-hpa", "curl"])
def test_blocks_roll_over(lan: Lan, client: Client) -> None:
    """34 MiB in blocks of 512 bytes: block 65535 is followed by 0."""
    received = fetch(lan, *client("images/test@1/long"))
    with (lan.folder / "images/long").open("rb") as long:
        wanted = hashlib.file_digest(long, "sha256").hexdigest()
    assert len(received) == LONG_SIZE
    assert hashlib.sha256(received).hexdigest() == wanted


def test_scripts_name_the_address_that_was_asked(lan: Lan) -> None:
    for server in (HOST, SECOND):
        script = fetch(lan, *curl("autoexec.ipxe", server=server))
        assert script.startswith(b"#!ipxe\n")
        assert f"http://{server}:8080".encode() in script


def test_netascii_translates_line_ends(lan: Lan) -> None:
    talk = lan.talk()
    talk.send_raw(b"\0\1autoexec.ipxe\0netascii\0tsize\x000\0")
    first = talk.receive()
    assert isinstance(first, Data)
    assert first.payload.startswith(b"#!ipxe\r\n")
    talk.send_raw(Error(0).to_bytes())


@pytest.mark.parametrize(
    "path",
    ["/" + LOADER, LOADER.upper(), LOADER.replace("/", "\\"), "\\\\" + LOADER, LOADER + "\udcff"],
    ids=["slash", "case", "backslash", "unc", "unterminated"],
)
def test_names_are_forgiven(lan: Lan, path: str) -> None:
    talk = lan.talk()
    talk.ask(path, (("tsize", "0"),))
    assert talk.receive() == OptionAck((("tsize", str(len(LOADER_BYTES))),))
    talk.send_raw(Error(8, "User aborted the transfer").to_bytes())


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nothing", 1),
        ("loaders/uefi-x64/nothing.efi", 1),
        ("images/test@2/linux", 1),
        ("etc/passwd", 1),
        ("/etc/passwd", 1),
        ("C:\\boot.ini", 1),
        ("%2e%2e/etc/passwd", 1),
        ("loaders/bios/gone.kpxe", 1),
        ("../../etc/passwd", 2),
        ("..\\..\\etc\\passwd", 2),
        ("loaders/../../../etc/passwd", 2),
        ("", 2),
        ("\\", 2),
        ("/", 2),
        (".", 2),
        ("a\nb", 2),
        ("a" * 400, 2),
        ("images/test@1/leads-out", 2),
    ],
)
def test_names_that_lead_nowhere(lan: Lan, path: str, code: int) -> None:
    talk = lan.talk()
    talk.ask(path)
    answer = talk.receive()
    assert isinstance(answer, Error)
    assert answer.code == code


def test_a_nul_ends_a_name(lan: Lan) -> None:
    talk = lan.talk()
    talk.send_raw(b"\0\1" + LOADER.encode() + b"\0../passwd\0octet\x001\0", (HOST, 69))
    answer = talk.receive()
    assert isinstance(answer, Error)
    assert answer.code == 4  # what is behind it is no mode


def test_writing_is_refused_without_a_trace(lan: Lan) -> None:
    before = lan.metrics()
    talk = lan.talk()
    talk.send_raw(WriteRequest(LOADER).to_bytes(), (HOST, 69))
    answer = talk.receive()
    assert isinstance(answer, Error)
    assert answer.code == 2
    (lan.folder / "upload").write_bytes(b"x")
    put = lan.run("tftp", "-m", "binary", HOST, "-c", "put", "upload", "upload")
    assert "refused" in put.stdout + put.stderr
    rejected = 'bootyard_tftp_rejected_total{reason="write"}'
    after = lan.metrics()
    assert after[rejected] - before[rejected] == 2
    assert after["bootyard_tftp_sessions"] == 0
    assert not list(lan.folder.rglob("loaders/upload"))


@pytest.mark.parametrize("server", [HOST, SECOND])
def test_answers_come_from_the_address_that_was_asked(lan: Lan, server: str) -> None:
    for path in (LOADER, "nothing"):
        talk = lan.talk()
        talk.ask(path, server=server)
        talk.receive()
        assert talk.peer[0] == server
        talk.send_raw(Error(0).to_bytes())


def test_strangers_hear_nothing(lan: Lan) -> None:
    unserved = lan.talk()
    unserved.ask(LOADER, server=UNSERVED)
    unserved.ask("nothing", server=UNSERVED)
    inside_out = lan.run("ip", "addr", "add", "203.0.113.5/32", "dev", "e0")
    assert inside_out.returncode == 0
    forged = lan.talk("203.0.113.5")
    forged.ask(LOADER)
    forged.ask("nothing")
    forged.send_raw(WriteRequest("x").to_bytes(), (HOST, 69))
    assert unserved.hears_nothing()
    assert forged.hears_nothing()
    assert lan.metric('bootyard_tftp_rejected_total{reason="foreign"}') >= 3
    assert lan.metric('bootyard_tftp_rejected_total{reason="interface"}') >= 2


def test_a_forged_request_is_amplified_little(lan: Lan) -> None:
    """Nobody acknowledges: one datagram and three repeats, then the session is gone."""
    talk = lan.talk()
    talk.ask(KERNEL, (("tsize", "0"), ("blksize", "1468"), ("windowsize", "32")))
    received = 0
    deadline = time.monotonic() + 7
    while time.monotonic() < deadline:
        received += not talk.hears_nothing(0.2)
    assert received == 4
    assert lan.metric("bootyard_tftp_sessions") == 0


def test_garbage_is_ignored(lan: Lan) -> None:
    talk = lan.talk()
    rng = random.Random(3)
    garbage = [rng.randbytes(rng.randrange(600)) for _ in range(300)]
    garbage += [bytes((0, opcode)) + b"\xff" * length for opcode in range(9) for length in range(4)]
    garbage += [b"\0\1" + b"A" * 1200, b"\0\1" + b"a\0" * 255, b"", b"\0\4\0\0", b"\0\5\0\0x\0"]
    for index, datagram in enumerate(garbage):
        talk.send_raw(datagram, (HOST, 69))
        if index % 50 == 0:
            time.sleep(0.01)
    assert fetch(lan, *curl(LOADER)) == LOADER_BYTES
    assert lan.metric('bootyard_tftp_rejected_total{reason="malformed"}') > 0


def test_a_stranger_on_a_transfers_port_gets_an_error_and_disturbs_nothing(lan: Lan) -> None:
    talk, stranger = lan.talk(), lan.talk()
    talk.ask(LOADER)
    first = talk.receive()
    assert isinstance(first, Data)
    stranger.send_raw(Ack(1).to_bytes(), talk.peer)
    answer = stranger.receive()
    assert isinstance(answer, Error)
    assert answer.code == 5
    stranger.send_raw(Error(0, "stop").to_bytes(), talk.peer)
    assert stranger.hears_nothing()
    talk.ack(1)
    second = talk.receive()
    while second == first:  # the timer may have been faster
        second = talk.receive()
    assert second == Data(2, LOADER_BYTES[512:1024])
    talk.send_raw(Error(0).to_bytes())


def test_an_rrq_that_came_twice_is_one_transfer(lan: Lan) -> None:
    talk = lan.talk()
    for _ in range(3):
        talk.ask(LOADER, (("tsize", "0"),))
    answers, ports = [], set()
    for _ in range(3):
        answers.append(talk.receive())
        ports.add(talk.peer[1])
    assert len(ports) == 1
    assert set(map(type, answers)) == {OptionAck}
    assert lan.metric("bootyard_tftp_sessions") == 1
    talk.send_raw(Error(8).to_bytes())
    lan.wait_for(lambda: lan.metric("bootyard_tftp_sessions") == 0)


def test_a_machine_that_was_reset_asks_from_the_same_port(lan: Lan) -> None:
    talk = lan.talk()
    talk.ask(LOADER)
    talk.receive()
    before = talk.peer
    talk.ask(KERNEL)
    packet = talk.receive()
    while talk.peer == before:
        packet = talk.receive()
    assert packet == Data(1, KERNEL_BYTES[:512])
    assert lan.metric("bootyard_tftp_sessions") == 1
    talk.send_raw(Error(0).to_bytes())
    lan.wait_for(lambda: lan.metric("bootyard_tftp_sessions") == 0)


def test_a_probe_is_counted_as_one(lan: Lan) -> None:
    """What UEFI firmware does first: it asks for the size and stops with ERROR 8."""
    probes = 'bootyard_tftp_transfers_total{file_class="loader",outcome="probe"}'
    before = lan.metric(probes)
    talk = lan.talk()
    talk.ask(LOADER, (("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")))
    size = str(len(LOADER_BYTES))
    assert talk.receive() == OptionAck((("tsize", size), ("blksize", "1468"), ("windowsize", "4")))
    talk.send_raw(Error(8, "User aborted the transfer").to_bytes())
    lan.wait_for(lambda: lan.metric(probes) == before + 1)


def test_a_client_may_have_64_transfers(lan: Lan) -> None:
    talks = [lan.talk() for _ in range(65)]
    # Not all at once: of one client, 64 requests wait at most while the service is busy.
    for some in (talks[:32], talks[32:64], talks[64:]):
        for talk in some:
            talk.ask(LOADER, (("tsize", "0"),))
        kinds = [type(talk.receive()) for talk in some]
        assert set(kinds) == ({OptionAck} if len(some) > 1 else {Error})
    for talk in talks[:64]:
        talk.send_raw(Error(8).to_bytes())
    lan.wait_for(lambda: lan.metric("bootyard_tftp_sessions") == 0)
    assert lan.metric('bootyard_tftp_rejected_total{reason="busy"}') >= 1


def test_the_health_probe_leaves_no_counts(lan: Lan) -> None:
    before = lan.metrics()
    talk = lan.talk("127.0.0.1", on_host=True)
    talk.ask(".health", server="127.0.0.1")
    assert talk.receive() == Data(1, b"ok\n")
    talk.ack(1)
    time.sleep(0.2)
    assert lan.metrics() == before
    lines = [line for line in lan.logged("transfer finished") if line["path"] == ".health"]
    assert [line["level"] for line in lines] == ["debug"]


def test_a_finished_transfer_is_one_line_and_counted(lan: Lan) -> None:
    before = lan.metrics()
    lines_before = len(lan.logged("transfer finished"))
    fetch(lan, *curl(KERNEL, "--tftp-blksize", "1468"))
    complete = 'bootyard_tftp_transfers_total{file_class="kernel",outcome="complete"}'
    lan.wait_for(lambda: lan.metric(complete) == before[complete] + 1)
    after = lan.metrics()
    sent = 'bootyard_tftp_sent_bytes_total{file_class="kernel"}'
    assert after[sent] - before[sent] == len(KERNEL_BYTES)
    rates = "bootyard_tftp_transfer_rate_bytes_per_second_count"
    assert after[rates] - before[rates] == 1
    [line] = lan.logged("transfer finished")[lines_before:]
    assert (line["level"], line["path"], line["outcome"]) == ("info", KERNEL, "complete")
    assert (line["client"], line["image"], line["bytes"]) == (CLIENT, "test", len(KERNEL_BYTES))
    assert line["mac"]


def test_a_long_transfer_shows_while_it_runs(lan: Lan) -> None:
    sent = 'bootyard_tftp_sent_bytes_total{file_class="kernel"}'
    before = lan.metric(sent)
    talk = lan.talk()
    talk.ask(KERNEL)
    for block in range(1, 11):
        while talk.receive() != Data(block, KERNEL_BYTES[(block - 1) * 512 : block * 512]):
            pass
        talk.ack(block)
    lan.wait_for(lambda: lan.metric(sent) == before + 5120, seconds=1.5)
    assert lan.metric("bootyard_tftp_sessions") == 1
    talk.send_raw(Error(0).to_bytes())
    aborted = 'bootyard_tftp_transfers_total{file_class="kernel",outcome="client_abort"}'
    lan.wait_for(lambda: lan.metric(aborted) >= 1)


def test_a_loader_that_is_not_on_this_disk_is_named(lan: Lan) -> None:
    assert lan.metric("bootyard_tftp_missing_files") == 1
    assert "bios/gone.kpxe" in lan.get("/readyz")[1]


def test_a_file_that_shrinks_while_it_is_sent_ends_with_an_error(lan: Lan) -> None:
    talk = lan.talk()
    talk.ask("images/test@1/shrinks", (("blksize", "1024"),))
    talk.receive()
    talk.ack(0)
    assert talk.receive() == Data(1, KERNEL_BYTES[:1024])
    os.truncate(lan.folder / "images/shrinks", 1500)
    last = len(KERNEL_BYTES) // 1024 + 1
    block, answer = 1, None
    while not isinstance(answer, Error):
        talk.ack(block)
        answer = talk.receive()
        if isinstance(answer, Data):
            # Blocks that were read before may still come, whole ones of what the file was.
            block = answer.block
            assert answer.payload == KERNEL_BYTES[(block - 1) * 1024 : block * 1024]
            assert block < last
    assert answer.code == 0
    changed = 'bootyard_tftp_transfers_total{file_class="image",outcome="source_changed"}'
    lan.wait_for(lambda: lan.metric(changed) == 1)
    # From now on it is refused when it is asked for.
    again = lan.talk()
    again.ask("images/test@1/shrinks")
    answer = again.receive()
    assert isinstance(answer, Error)
    assert answer.code == 0
    assert fetch(lan, *curl(LOADER)) == LOADER_BYTES


LOSS = ("-p", "udp", "-m", "statistic", "--mode", "random", "--probability", "0.01", "-j", "DROP")


@pytest.fixture
def lossy_lan(lan: Lan) -> Iterator[Lan]:
    """One datagram in a hundred is lost, in either direction.

    Where they arrive: a program whose own datagrams are dropped is told so, and stops.
    """
    for namespace in (lan.host, lan.client):
        lan.run_in(namespace, "iptables", "-A", "INPUT", *LOSS)
    # A window that is sent as one packet would be lost as one, or (one run in six) none of it.
    ip("-n", lan.host, "link", "set", "dev", "e0", "gso_max_segs", "1")
    yield lan
    ip("-n", lan.host, "link", "set", "dev", "e0", "gso_max_segs", "65535")
    for namespace in (lan.host, lan.client):
        lan.run_in(namespace, "iptables", "-D", "INPUT", *LOSS)


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(tftp_hpa, id="lockstep-512"),
        pytest.param(lambda path: curl(path, "--tftp-blksize", "1468"), id="lockstep-1468"),
        pytest.param(lambda path: atftp(path, "blksize 1468", "windowsize 8"), id="window"),
    ],
)
def test_one_percent_loss(lossy_lan: Lan, client: Client) -> None:
    retransmitted = "bootyard_tftp_retransmitted_packets_total"
    before = lossy_lan.metric(retransmitted)
    assert fetch(lossy_lan, *client(LOADER)) == LOADER_BYTES
    assert lossy_lan.metric(retransmitted) > before


@pytest.fixture(params=["1", "2"], ids=["alone", "workers"])
def own_lan(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lan]:
    lan = make_lan(tmp_path)
    lan.settings = {"BOOTYARD_TFTP_WORKERS": request.param}
    with lan.serving():
        yield lan


def test_a_stop_lets_running_transfers_finish_and_tells_the_rest(own_lan: Lan) -> None:
    running, stalled = own_lan.talk(), own_lan.talk()
    stalled.ask(LOADER)
    stalled.receive()
    time.sleep(3.2)
    running.ask(LOADER, (("blksize", "1468"),))
    running.receive()
    running.ack(0)
    assert running.receive() == Data(1, LOADER_BYTES[:1468])
    assert own_lan.service is not None
    own_lan.service.terminate()
    last = len(LOADER_BYTES) // 1468 + 1
    for block in range(2, last + 1):
        running.ack(block - 1)
        while running.receive() != Data(block, LOADER_BYTES[(block - 1) * 1468 : block * 1468]):
            pass
    running.ack(last)
    packet = stalled.receive()
    while not isinstance(packet, Error):
        packet = stalled.receive()
    assert packet.code == 0
    assert own_lan.service.wait(5) == 0
    outcomes = [line["outcome"] for line in own_lan.logged("transfer finished")]
    assert outcomes == ["complete", "error"]


def test_a_flood_from_thousands_of_ports_leaves_others_served(own_lan: Lan) -> None:
    own_lan.run_in(own_lan.client, "ip", "addr", "add", "192.0.2.60/24", "dev", "e0")
    for _ in range(3000):
        talk = own_lan.talk("192.0.2.60")
        talk.ask(LOADER, (("blksize", "1468"),))
        talk.socket.close()
    assert fetch(own_lan, *curl(LOADER, "--interface", CLIENT)) == LOADER_BYTES
    assert own_lan.metric("bootyard_tftp_sessions") <= 64
    assert own_lan.metric('bootyard_tftp_rejected_total{reason="busy"}') > 100
    own_lan.wait_for(lambda: own_lan.metric("bootyard_tftp_sessions") == 0)


def test_without_a_snapshot_the_loaders_on_disk_are_served(own_lan: Lan) -> None:
    assert own_lan.stop() == 0
    (own_lan.folder / "state/tftp/snapshot.json").unlink()
    own_lan.start()
    assert fetch(own_lan, *curl(LOADER)) == LOADER_BYTES
    assert '"builtin.0"' in own_lan.get("/readyz")[1]


def test_a_port_in_use_is_named_and_taken_when_it_is_free(own_lan: Lan) -> None:
    assert own_lan.stop() == 0
    holder = own_lan.talk(port=69, on_host=True)
    own_lan.launch()
    own_lan.wait_for(lambda: "UDP 69 is held by" in own_lan.get("/readyz")[1])
    holder.socket.close()
    own_lan.wait_for(lambda: own_lan.get("/readyz")[0] == 200)
    assert fetch(own_lan, *curl(LOADER)) == LOADER_BYTES
