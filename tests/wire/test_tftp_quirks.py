"""Clients with habits, packet by packet: what they send, how long they wait, what they cannot bear.

Each replays one client as its source and captures have it: EDK2 (NetworkPkg/Mtftp4Dxe), shim
(netboot.c), iPXE (tftp.c), GRUB (tftp.c), U-Boot (net/tftp.c), PXELINUX, Intel's ROMs, Windows.
"""

import random
import time
from collections.abc import Iterator

import pytest

from services.tftp.packet import Data, Error, OptionAck, Options, ReadRequest, parse
from tests import captures
from tests.tftp.lan import HOST, Lan, Talk
from tests.tftp.machines import Machine, load

pytestmark = pytest.mark.needs("ip")

PATH = "loaders/uefi-x64/test.bin"
CONTENT = random.Random(31).randbytes(200_001)
BCD = "images/test@1/Boot/BCD"
BCD_CONTENT = random.Random(32).randbytes(20_000)
SIZE = str(len(CONTENT))
EDK2_MAX = "1468"
ABORTED = Error(8, "User aborted the transfer")


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    made = Lan(tmp_path_factory.mktemp("quirks"))
    made.add_loader("uefi-x64/test.bin", CONTENT)
    images = made.folder / "images"
    (images / "linux").write_bytes(b"x")
    (images / "BCD").write_bytes(BCD_CONTENT)
    made.publish({"linux": images / "linux", "Boot/BCD": images / "BCD"})
    with made.serving():
        yield made
        made.check_faults()


def raw(lan: Lan, request: str, port: int = 0) -> Talk:
    """Send a request as it is on the wire; a bar stands for NUL."""
    talk = lan.talk(port=port)
    talk.send_raw(b"\0\1" + request.replace("|", "\0").encode(), (HOST, 69))
    return talk


def offered(talk: Talk) -> Options:
    answer = talk.receive()
    assert isinstance(answer, OptionAck), answer
    return answer.options


def loads(talk: Talk, block_size: int, window_size: int = 1, content: bytes = CONTENT) -> None:
    """Load what was agreed about, acknowledging each window's end."""
    talk.ack(0)
    last = len(content) // block_size + 1
    for number in range(1, last + 1):
        expected = Data(number, content[(number - 1) * block_size : number * block_size])
        packet = talk.receive()
        while packet != expected:  # what was repeated by the timer comes before it
            assert isinstance(packet, Data | OptionAck)
            assert not isinstance(packet, Data) or packet.block < number
            packet = talk.receive()
        if number % window_size == 0 or number == last:
            talk.ack(number)


def test_edk2_asks_for_the_size_stops_and_loads(lan: Lan) -> None:
    """Without the size it does not boot; an option that it did not send, or a larger value, is an
    ERROR 4 (Mtftp4RrqOackValid)."""
    probe = raw(lan, f"{PATH}|octet|tsize|0|blksize|1468|windowsize|4|")
    assert offered(probe) == (("tsize", SIZE), ("blksize", EDK2_MAX), ("windowsize", "4"))
    probe.send_raw(ABORTED.to_bytes())
    assert probe.hears_nothing()
    download = raw(lan, f"{PATH}|octet|blksize|1468|windowsize|4|")
    assert offered(download) == (("blksize", EDK2_MAX), ("windowsize", "4"))
    loads(download, 1468, 4)


def test_edk2_with_a_timeout_gets_exactly_that(lan: Lan) -> None:
    talk = raw(lan, f"{PATH}|octet|timeout|4|blksize|65464|windowsize|4|")
    assert offered(talk) == (("timeout", "4"), ("blksize", EDK2_MAX), ("windowsize", "4"))
    talk.send_raw(ABORTED.to_bytes())


def test_shim_starts_again_with_a_larger_buffer(lan: Lan) -> None:
    """Its first buffer is too small: EDK2 says ERROR 3 in its name, in the middle of the file."""
    small = raw(lan, f"{PATH}|octet|blksize|512|windowsize|4|")
    assert offered(small) == (("blksize", "512"), ("windowsize", "4"))
    small.ack(0)
    for number in range(1, 5):
        assert small.receive() == Data(number, CONTENT[(number - 1) * 512 : number * 512])
    small.send_raw(Error(3, "User provided memory block is too small").to_bytes())
    assert small.hears_nothing()
    large = raw(lan, f"{PATH}|octet|blksize|512|windowsize|4|")
    assert offered(large) == (("blksize", "512"), ("windowsize", "4"))
    loads(large, 512, 4)


def test_ipxe_repeats_after_a_quarter_of_a_second(lan: Lan) -> None:
    request = f"{PATH}|octet|blksize|1432|tsize|0|"
    talk = raw(lan, request)
    first = offered(talk)
    assert first == (("blksize", "1432"), ("tsize", SIZE))
    transfer = talk.peer
    time.sleep(0.25)
    talk.send_raw(b"\0\1" + request.replace("|", "\0").encode(), (HOST, 69))
    assert offered(talk) == first
    assert talk.peer == transfer  # a second one would send a block 1 that it does not expect
    talk.peer = transfer
    loads(talk, 1432)


@pytest.mark.parametrize("options", [(), (("blksize", "1432"), ("tsize", "0"))])
def test_no_block_is_numbered_0_before_65535(lan: Lan, options: Options) -> None:
    """IPXE rejects a first DATA of block 0."""
    talk = lan.talk()
    talk.ask(PATH, options)
    packet = talk.receive()
    if isinstance(packet, OptionAck):
        talk.ack(0)
        packet = talk.receive()
    assert isinstance(packet, Data)
    assert packet.block == 1
    talk.send_raw(Error(0).to_bytes())


def test_grub_repeats_its_request_until_an_oack_arrives(lan: Lan) -> None:
    """It waits for the OACK only, 400 ms and 20 ms more each time; here the first ones are lost."""
    request = ReadRequest(PATH, "octet", (("blksize", "1024"), ("tsize", "0"))).to_bytes()
    talk = lan.talk()
    ports = set()
    for number in range(6):
        talk.send_raw(request, (HOST, 69))
        offered(talk)
        ports.add(talk.peer)
        time.sleep(0.4 + 0.02 * number)
    assert len(ports) == 1
    talk.send_raw(request, (HOST, 69))
    # Lower case, byte by byte; without blksize it would take blocks of 512.
    assert offered(talk) == (("blksize", "1024"), ("tsize", SIZE))
    loads(talk, 1024)


def test_grub_opens_each_file_twice(lan: Lan) -> None:
    """Once to see whether it is there, and again to read it; it closes with ERROR 0."""
    for _ in range(2):
        looks = raw(lan, f"/{PATH}|octet|blksize|1024|tsize|0|")
        assert offered(looks) == (("blksize", "1024"), ("tsize", SIZE))
        looks.send_raw(Error(0, "closed").to_bytes())
        assert looks.hears_nothing(0.3)
    reads = raw(lan, f"/{PATH}|octet|blksize|1024|tsize|0|")
    offered(reads)
    loads(reads, 1024)


def test_grub_shows_what_an_error_says(lan: Lan) -> None:
    talk = raw(lan, "/nothing.cfg|octet|blksize|1024|tsize|0|")
    assert talk.receive() == Error(1, "file not found")


@pytest.mark.parametrize(
    ("options", "accepted"),
    [
        (
            "timeout|5|tsize|0|blksize|1468|",
            (("timeout", "5"), ("tsize", SIZE), ("blksize", "1468")),
        ),
        ("timeout|5|blksize|1468|windowsize|4|", None),
        ("timeout|5|", (("timeout", "5"),)),
    ],
)
def test_u_boot_gets_its_timeout_back(lan: Lan, options: str, accepted: Options | None) -> None:
    """It stops with "Invalid timeout val" at any other."""
    talk = raw(lan, f"{PATH}|octet|{options}")
    answer = offered(talk)
    assert dict(answer)["timeout"] == "5"
    if accepted is not None:
        assert answer == accepted
    terms = dict(answer)
    loads(talk, int(terms.get("blksize", "512")), int(terms.get("windowsize", "1")))


def test_pxelinux_waits_two_seconds_before_it_asks_again(lan: Lan) -> None:
    request = parse(captures.load("pxelinux-rrq-ldlinux"))
    assert isinstance(request, ReadRequest)
    asked = ReadRequest(PATH, request.mode, request.options).to_bytes()
    talk = lan.talk()
    talk.send_raw(asked, (HOST, 69))
    first = offered(talk)
    transfer = talk.peer
    time.sleep(2)
    talk.send_raw(asked, (HOST, 69))
    assert offered(talk) == first
    assert talk.peer == transfer
    loads(talk, int(dict(first)["blksize"]))


def test_intels_rom_asks_from_two_ports(lan: Lan) -> None:
    """For the size only, from 2070, which it aborts; then in blocks of 1456, from 2071."""
    for _ in range(2):  # a machine that was reset uses the same ports again
        size = raw(lan, f"{PATH}|octet|tsize|0|", port=2070)
        assert offered(size) == (("tsize", SIZE),)
        size.send_raw(Error(0, "TFTP Aborted").to_bytes())
        size.socket.close()
        download = raw(lan, f"{PATH}|octet|blksize|1456|", port=2071)
        assert offered(download) == (("blksize", "1456"),)
        loads(download, 1456)
        download.socket.close()


@pytest.mark.parametrize(
    "name", [BCD.replace("/", "\\"), "\\" + BCD.upper().replace("/", "\\"), "/" + BCD.lower()]
)
def test_windows_loaders_write_names_in_their_way(lan: Lan, name: str) -> None:
    """They ask for `\\Boot\\BCD`, in any case."""
    machine = Machine(lan, name, block_size=1456)
    load([machine])
    assert machine.received == BCD_CONTENT
