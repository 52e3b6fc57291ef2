"""Everything from port 69, for machines behind NAT that let only answers from there through."""

import random
from collections.abc import Iterator

import pytest

from services.tftp.packet import Ack, Data, Error, OptionAck
from tests.tftp.lan import HOST, SECOND, Lan

pytestmark = pytest.mark.needs("ip", "atftp", "curl", "iptables")

LOADER = "loaders/uefi-x64/test.bin"
LOADER_BYTES = random.Random(5).randbytes(400_003)

ONLY_69 = ("-p", "udp", "!", "--sport", "69", "-j", "DROP")


@pytest.fixture(scope="module", params=["1", "2"], ids=["alone", "workers"])
def lan(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lan]:
    made = Lan(tmp_path_factory.mktemp("tftp-single-port"))
    made.add_loader("uefi-x64/test.bin", LOADER_BYTES)
    (made.folder / "images" / "linux").write_bytes(b"x")
    made.publish({"linux": made.folder / "images" / "linux"})
    made.settings = {"BOOTYARD_TFTP_SINGLE_PORT": "true", "BOOTYARD_TFTP_WORKERS": request.param}
    try:
        made.build()
        made.run_in(made.client, "iptables", "-A", "INPUT", *ONLY_69)
        made.start()
        yield made
        made.check_faults()
    finally:
        made.close()


@pytest.mark.parametrize("server", [HOST, SECOND])
@pytest.mark.parametrize("options", [("blksize 512",), ("blksize 1468", "windowsize 16")])
def test_real_clients(lan: Lan, options: tuple[str, ...], server: str) -> None:
    words = [word for option in options for word in ("--option", option)]
    done = lan.run("atftp", *words, "--get", "-r", LOADER, "-l", "got.bin", server)
    assert done.returncode == 0, done.stderr
    assert (lan.folder / "got.bin").read_bytes() == LOADER_BYTES


def test_two_clients_at_once(lan: Lan) -> None:
    talks = [lan.talk(), lan.talk()]
    for talk in talks:
        talk.ask(LOADER, (("tsize", "0"),))
        assert isinstance(talk.receive(), OptionAck)
        assert talk.peer == (HOST, 69)
    for block in range(5):
        for talk in talks:
            talk.ack(block)
            expected = Data(block + 1, LOADER_BYTES[block * 512 : (block + 1) * 512])
            while talk.receive() != expected:
                pass
    for talk in talks:
        talk.send_raw(Error(0).to_bytes())
    lan.wait_for(lambda: lan.metric("bootyard_tftp_sessions") == 0)


def test_a_machine_that_was_reset_begins_anew(lan: Lan) -> None:
    talk = lan.talk()
    talk.ask(LOADER)
    talk.receive()
    talk.ask("images/test@1/linux")
    packet = talk.receive()
    while packet != Data(1, b"x"):
        packet = talk.receive()
    talk.ack(1)
    lan.wait_for(lambda: lan.metric("bootyard_tftp_sessions") == 0)


def test_answers_of_nobody_are_counted_and_ignored(lan: Lan) -> None:
    malformed = 'bootyard_tftp_rejected_total{reason="malformed"}'
    before = lan.metric(malformed)
    talk = lan.talk()
    talk.send_raw(Ack(3).to_bytes(), (HOST, 69))
    lan.wait_for(lambda: lan.metric(malformed) == before + 1)
    assert talk.hears_nothing()


def test_a_stop_lets_running_transfers_finish(lan: Lan) -> None:
    talk, other = lan.talk(), lan.talk()
    talk.ask(LOADER, (("blksize", "1024"),))
    talk.receive()
    assert lan.service is not None
    lan.service.terminate()
    lan.wait_for(lambda: "stopping" in lan.get("/readyz")[1])
    other.ask(LOADER)
    last = len(LOADER_BYTES) // 1024 + 1
    for block in range(1, last + 1):
        talk.ack(block - 1)
        while talk.receive() != Data(block, LOADER_BYTES[(block - 1) * 1024 : block * 1024]):
            pass
    talk.ack(last)
    assert other.hears_nothing()
    assert lan.service.wait(15) == 0
    assert lan.logged("transfer finished")[-1]["outcome"] == "complete"
    lan.start()
