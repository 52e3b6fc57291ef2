"""The snapshot: put together, numbered, published when something changed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from bootyard.model.document import encode
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import (
    Learned,
    Machine,
    Policy,
    Root,
    Slice,
    Snapshot,
    TargetKind,
    builtin_snapshot,
)
from bootyard.runtime.snapshots import SnapshotHolder, load_last_good
from services.catalog.library.image import LibraryImage, problem_image
from services.catalog.machines import MachineChange, Machines
from services.catalog.policy import PolicyChange
from services.catalog.publisher import Publisher, build_snapshot
from tests.catalog.images import Clock, LibraryAtHand, make_folder, make_target, open_database

MAC = MACAddress("52:54:00:12:34:56")


def _loader(size: int) -> Slice:
    return Slice(root=Root.PACKAGED, path="bios/undionly.kpxe", extents=((0, size),))


def _image(image_id: str, kind: TargetKind = TargetKind.INSTALLER) -> LibraryImage:
    return LibraryImage(
        id=image_id,
        path=image_id,
        title=image_id,
        revision=3,
        files={"linux": Slice(root=Root.IMAGES, path=f"{image_id}/linux", extents=((0, 5),))},
        targets=(make_target(image_id, kind),),
    )


def _raw(*machines: Machine) -> dict[str, msgspec.Raw]:
    return {str.__str__(machine.mac): msgspec.Raw(encode(machine)) for machine in machines}


def test_what_is_ready_is_in_the_snapshot() -> None:
    snapshot = build_snapshot(
        epoch="e",
        number=4,
        http_port=8080,
        loaders={"bios/undionly.kpxe": _loader(1)},
        images=[
            _image("b"),
            problem_image("broken", "broken", "broken", "it is damaged", "copy it again"),
            _image("a", TargetKind.UNATTENDED),
        ],
        machines=_raw(Machine(mac=MAC, name="nuc")),
        policy=Policy(default="b"),
    )
    assert snapshot.version == "e.4"
    assert list(snapshot.images) == list(snapshot.targets) == ["a", "b"]
    assert snapshot.images["a"].folder == "images/a@3"
    assert snapshot.machine(MAC) == Machine(mac=MAC, name="nuc")
    assert Snapshot.from_json(snapshot.to_json()).policy == Policy(default="b")


def test_order_makes_no_difference() -> None:
    def build(images: list[LibraryImage]) -> bytes:
        return build_snapshot(
            epoch="e",
            number=1,
            http_port=80,
            machines={},
            loaders={},
            images=images,
            policy=Policy(),
        ).to_json()

    images = [_image("a"), _image("b")]
    assert build(images) == build(images[::-1])


class Documents:
    """What was published, in place of Redis."""

    def __init__(self) -> None:
        self.documents: list[Snapshot] = []

    def publish(self, document: bytes) -> None:
        self.documents.append(Snapshot.from_json(document))


class PublisherAtHand:
    def __init__(self, base: Path) -> None:
        self.database = open_database(base)
        self.at_hand = LibraryAtHand(base, self.database)
        self.library = self.at_hand.library
        self.clock = Clock()
        self.machines = Machines(self.database, lambda: self.library.targets, self.clock)
        self.learned: dict[MACAddress, Learned] = {}
        self.loaders: dict[str, Slice] = {}
        self.kept = base / "snapshot.json"
        builtin = builtin_snapshot(8080, {})
        self.holder = SnapshotHolder(load_last_good(self.kept) or builtin)
        self.store = Documents()
        self.publisher = Publisher(
            database=self.database,
            library=self.library,
            machines=self.machines,
            loaders=lambda: dict(self.loaders),
            http_port=8080,
            holder=self.holder,
            store=self.store,
            learned=lambda: self.learned,
            kept=self.kept,
        )


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[PublisherAtHand]:
    hand = PublisherAtHand(tmp_path)
    yield hand
    hand.database.close()


async def _until(claim: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.01)


async def test_numbers_go_up_with_the_content_only(hand: PublisherAtHand) -> None:
    publisher = hand.publisher
    assert (await publisher.publish()).number == 1
    assert (await publisher.publish()).number == 1
    await hand.machines.set(MAC, MachineChange(name="nuc"))
    assert (await publisher.publish()).number == 2
    await hand.machines.set(MAC, MachineChange(variables={"password": "secret"}))
    assert (await publisher.publish()).number == 2
    hand.loaders["bios/undionly.kpxe"] = _loader(1)
    assert (await publisher.publish()).number == 3
    make_folder(hand.at_hand.images_dir)
    await hand.at_hand.settle()
    assert (await publisher.publish()).number == 4
    await hand.machines.set_policy(PolicyChange(default="debian-12"))
    assert (await publisher.publish()).number == 5
    assert [snapshot.number for snapshot in hand.store.documents] == [1, 2, 3, 4, 5]
    assert {snapshot.epoch for snapshot in hand.store.documents} == {hand.database.epoch}
    assert publisher.current is hand.holder.snapshot is publisher.tree.snapshot
    assert b"secret" not in publisher.current.to_json()


async def test_boot_once_is_published_while_nobody_has_it(hand: PublisherAtHand) -> None:
    make_folder(hand.at_hand.images_dir, description='kind = "unattended"')
    await hand.at_hand.settle()
    assert (await hand.publisher.publish()).armed == {}
    await hand.machines.arm(MAC, "debian-12", expires_minutes=5)
    assert (await hand.publisher.publish()).armed == {MAC: "debian-12"}
    hand.clock.now += 301
    assert (await hand.publisher.publish()).armed == {}
    await hand.machines.arm(MAC, "debian-12")
    assert (await hand.publisher.publish()).armed == {MAC: "debian-12"}
    assert await hand.machines.bind(MAC, "b-1") == "debian-12"
    assert (await hand.publisher.publish()).armed == {}, "no other boot gets it any more"


async def test_what_was_learned_is_published(hand: PublisherAtHand) -> None:
    hand.learned[MAC] = Learned(secure_boot="probable", dead_ends=(LoaderName.SNPONLY,))
    snapshot = await hand.publisher.publish()
    assert snapshot.learned_of(MAC) == hand.learned[MAC]
    assert hand.store.documents[-1].learned_of(MAC) == hand.learned[MAC]
    del hand.learned[MAC]
    assert (await hand.publisher.publish()).learned == {}


async def test_a_storm_of_learned_offers_is_gathered(hand: PublisherAtHand) -> None:
    await hand.library.look()
    running = asyncio.create_task(hand.publisher.run())
    await _until(lambda: len(hand.store.documents) == 1)
    for number in range(1000):
        mac = MACAddress.from_bytes(bytes([2, 0, 0, 0, number >> 8, number & 255]))
        hand.learned[mac] = Learned(offer=OfferStrategy.COMPATIBLE)
        if number % 100 == 0:
            await asyncio.sleep(0.02)
    assert len(hand.store.documents) <= 2
    hand.publisher.publish_soon()
    await _until(lambda: len(hand.publisher.current.learned) == 1000)
    assert len(hand.store.documents) <= 3
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_restart_goes_on_with_the_same_number(tmp_path: Path) -> None:
    first = PublisherAtHand(tmp_path)
    await first.machines.set(MAC, MachineChange(name="nuc"))
    before = await first.publisher.publish()
    first.database.close()
    second = PublisherAtHand(tmp_path)
    assert second.publisher.current.version == before.version
    assert (await second.publisher.publish()).version == before.version
    assert [snapshot.version for snapshot in second.store.documents] == [before.version]
    second.database.close()


async def test_nothing_is_published_before_the_first_look(hand: PublisherAtHand) -> None:
    running = asyncio.create_task(hand.publisher.run())
    await asyncio.sleep(0.3)
    assert hand.store.documents == []
    make_folder(hand.at_hand.images_dir)
    await hand.library.look()
    await _until(lambda: len(hand.store.documents) == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_changes_are_published_together(hand: PublisherAtHand) -> None:
    await hand.library.look()
    running = asyncio.create_task(hand.publisher.run())
    await _until(lambda: len(hand.store.documents) == 1)
    for number in range(10):
        await hand.machines.set(f"5254001234{number:02x}", MachineChange())
    await _until(lambda: len(hand.publisher.current.machines) == 10)
    assert len(hand.store.documents) < 8
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_publishing_goes_on_after_a_failure(
    hand: PublisherAtHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hand.library.look()

    async def fail() -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hand.machines, "for_snapshot", fail)
    running = asyncio.create_task(hand.publisher.run())
    await asyncio.sleep(0.2)
    assert not running.done()
    monkeypatch.undo()
    await hand.machines.set(MAC, MachineChange())
    await _until(lambda: bool(hand.store.documents))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_full_disk_keeps_nobody_from_the_snapshot(
    hand: PublisherAtHand, tmp_path: Path
) -> None:
    hand.publisher._kept = tmp_path / "state" / "catalog.sqlite3" / "no folder"
    assert (await hand.publisher.publish()).number == 1
    assert len(hand.store.documents) == 1


async def test_thousands_of_machines(hand: PublisherAtHand) -> None:
    machines = tuple(
        Machine(mac=MACAddress.from_bytes(bytes([2, 0, 0, 1, n >> 8, n & 255])), name=f"m-{n}")
        for n in range(5000)
    )
    snapshot = build_snapshot(
        epoch="e",
        number=1,
        http_port=8080,
        loaders={},
        images=[],
        machines=_raw(*machines),
        policy=Policy(),
    )
    assert snapshot.machine(machines[4999].mac) == machines[4999]
    assert msgspec.json.decode(snapshot.to_json())["machines"][machines[7].mac]["name"] == "m-7"
    assert hand.publisher.current.number == 0
