"""Machines whose transfers are with different worker processes."""

from pathlib import Path

import psutil

from services.tftp.packet import Data, OptionAck
from tests.namespaces import ip
from tests.tftp.lan import Lan, Talk

MACHINES = [f"192.0.2.{number}" for number in range(60, 76)]
BLOCK = 1024
CONTENT = bytes(i * 7 % 251 for i in range(200 * BLOCK))
OPTIONS = (("blksize", str(BLOCK)),)
ALIVE = 'bootyard_tftp_workers{state="alive"}'


class WorkersLan(Lan):
    """A lan of MACHINES, and a service with two workers."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        super().__init__(folder)
        (folder / "images/linux").write_bytes(CONTENT)
        self.publish({"linux": folder / "images/linux"})
        self.settings = {"BOOTYARD_TFTP_WORKERS": "2", **(settings or {})}

    def build(self) -> None:
        """Make the namespaces, lay the wires, and give each machine its address."""
        super().build()
        for machine in MACHINES:
            ip("-n", self.client, "address", "add", f"{machine}/24", "dev", "e0")


class Transfer:
    """A machine in the middle of a transfer."""

    def __init__(self, lan: Lan, machine: str) -> None:
        self.machine = machine
        self.talk = lan.talk(machine)
        self.received = b""

    def begin(self) -> None:
        """Ask, and load the first block."""
        self.talk.ask("images/test@1/linux", OPTIONS)
        assert isinstance(self.talk.receive(), OptionAck)
        self.talk.ack(0)
        self.take()

    def take(self) -> None:
        """Load one block more."""
        packet = self.talk.receive()
        wanted = len(self.received) // BLOCK + 1  # CONTENT is whole blocks
        while isinstance(packet, Data) and packet.block < wanted:
            packet = self.talk.receive()
        assert isinstance(packet, Data)
        assert packet.block == wanted
        self.received += packet.payload

    def go_on(self) -> None:
        """Acknowledge what was loaded, and load one block more."""
        self.talk.ack(len(self.received) // BLOCK)
        self.take()

    def finish(self) -> None:
        """Load the rest; an empty block ends it."""
        while len(self.received) < len(CONTENT):
            self.go_on()
        self.go_on()
        self.talk.ack(len(CONTENT) // BLOCK + 1)
        assert self.received == CONTENT


def workers(lan: Lan) -> list[psutil.Process]:
    """Find the worker processes: those that hold ports for transfers, or would."""
    return nursery(lan).children()


def nursery(lan: Lan) -> psutil.Process:
    """Find the process that makes workers."""
    assert lan.service is not None
    [found] = psutil.Process(lan.service.pid).children()
    return found


def holder_of(lan: Lan, talk: Talk) -> psutil.Process:
    """Find the worker that a machine's transfer is with."""
    port = talk.peer[1]
    found = lan.run_in(lan.host, "ss", "-Hunap", f"sport = :{port}").stdout
    return next(worker for worker in workers(lan) if f"pid={worker.pid}," in found)


def spread(lan: Lan) -> tuple[list[Transfer], list[Transfer]]:
    """Begin a transfer of each machine; those of one worker, and those of the other."""
    transfers = [Transfer(lan, machine) for machine in MACHINES]
    for transfer in transfers:
        transfer.begin()
    first = holder_of(lan, transfers[0].talk)
    with_first = [t for t in transfers if holder_of(lan, t.talk) == first]
    return with_first, [t for t in transfers if t not in with_first]
