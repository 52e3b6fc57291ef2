"""What worker processes are told and tell, with a real Valkey."""

import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import redis

from bootyard.model.document import decode
from bootyard.model.events import BootEvent, Step
from bootyard.model.snapshot import Snapshot
from bootyard.runtime.store import EVENT_FIELD, EVENTS_KEY, SNAPSHOT_KEY
from services.tftp.packet import Error, OptionAck
from tests.redis_server import RedisServer
from tests.tftp.lan import Lan
from tests.tftp.workers import MACHINES, Transfer, WorkersLan, holder_of, spread, workers

pytestmark = pytest.mark.needs("ip", "ss")


@pytest.fixture
def lan(tmp_path: Path, server: RedisServer) -> Iterator[Lan]:
    with WorkersLan(tmp_path, {"BOOTYARD_REDIS_URL": server.url}).serving() as made:
        yield made


def events(connection: "redis.Redis") -> list[BootEvent]:
    found: Any = connection.xrange(EVENTS_KEY)
    return [decode(fields[EVENT_FIELD.encode()], BootEvent) for _, fields in found]


def publish(lan: Lan, connection: "redis.Redis", number: int) -> None:
    """Publish a snapshot in which the image has a file of another name, as the catalog does."""
    held = Snapshot.from_json((lan.folder / "state/tftp/snapshot.json").read_bytes())
    image = held.images["test"]
    files = {f"linux-{number}": next(iter(image.files.values()))}
    images = {"test": msgspec.structs.replace(image, files=files)}
    changed = msgspec.structs.replace(held, number=number, images=images)
    connection.set(SNAPSHOT_KEY, changed.to_json())
    connection.publish(SNAPSHOT_KEY, b"changed")


def is_served(lan: Lan, machine: str, name: str) -> bool:
    talk = lan.talk(machine)
    talk.ask(f"images/test/{name}", (("tsize", "0"),))
    is_there = isinstance(talk.receive(), OptionAck)
    talk.send_raw(Error(0).to_bytes())
    return is_there


def test_every_worker_serves_from_each_new_snapshot(lan: Lan, connection: "redis.Redis") -> None:
    mine, others = spread(lan)
    pair = (mine[0].machine, others[0].machine)
    for number in (2, 3):
        publish(lan, connection, number)
        for machine in pair:
            lan.wait_for(lambda: is_served(lan, machine, f"linux-{number}"))  # noqa: B023
    # One that comes later begins with the newest.
    killed = holder_of(lan, mine[0].talk)
    killed.kill()
    assert is_served(lan, pair[0], "linux-3")
    for transfer in others:
        transfer.finish()  # begun with the first snapshot


def test_events_of_all_workers_arrive_in_order(lan: Lan, connection: "redis.Redis") -> None:
    for _ in range(3):
        for machine in MACHINES:
            transfer = Transfer(lan, machine)
            transfer.begin()
            transfer.finish()
    expected = 3 * len(MACHINES)
    lan.wait_for(lambda: len(events(connection)) == expected)
    found = events(connection)
    assert {event.step for event in found} == {Step.KERNEL}
    by_run: dict[str, list[BootEvent]] = defaultdict(list)
    for event in found:
        by_run[event.run].append(event)
    assert len(by_run) == 2
    for run in by_run.values():
        assert [event.sequence for event in run] == list(range(1, len(run) + 1))
    first, second = ({event.ip for event in run} for run in by_run.values())
    assert not first & second
    assert first | second == set(MACHINES)


def test_the_last_events_are_passed_on_at_a_stop(lan: Lan, connection: "redis.Redis") -> None:
    mine, others = spread(lan)
    assert lan.service is not None
    lan.service.terminate()
    for transfer in (mine[0], others[0]):
        transfer.finish()
    assert lan.service.wait(15) == 0
    lan.service = None
    complete = [event.ip for event in events(connection) if event.outcome == "complete"]
    assert sorted(map(str, complete)) == sorted((mine[0].machine, others[0].machine))


def test_workers_end_when_the_service_has_taken_what_they_said_last(
    lan: Lan, connection: "redis.Redis"
) -> None:
    """More than the sockets between them hold."""
    transfers = [Transfer(lan, machine) for machine in MACHINES for _ in range(30)]
    for transfer in transfers:
        transfer.begin()
        transfer.go_on()
        transfer.go_on()  # machines that end earlier were only looking
    assert lan.service is not None
    processes = workers(lan)
    lan.service.terminate()
    lan.wait_for(lambda: "stopping" in lan.get("/readyz")[1])
    lan.service.send_signal(signal.SIGSTOP)
    for transfer in transfers:
        transfer.talk.send_raw(Error(0).to_bytes())
    lan.wait_for(lambda: len(lan.logged("transfer finished")) == len(transfers))
    psutil.wait_procs(processes, timeout=1)  # as long as one that waits for nobody would need
    lan.service.send_signal(signal.SIGCONT)
    assert lan.service.wait(15) == 0
    lan.service = None
    assert len(events(connection)) == len(transfers)


def test_events_of_a_killed_worker_are_kept_and_none_comes_twice(
    lan: Lan, connection: "redis.Redis"
) -> None:
    for count in range(1, 5):
        transfer = Transfer(lan, MACHINES[0])
        transfer.begin()
        holder = holder_of(lan, transfer.talk)
        transfer.finish()
        lan.wait_for(lambda: len(events(connection)) == count)  # noqa: B023
        holder.kill()
        lan.wait_for(lambda: holder.pid not in {w.pid for w in workers(lan)})  # noqa: B023
    found = events(connection)
    assert len({(event.run, event.sequence) for event in found}) == len(found) == 4
