from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from bootyard.boot.client import RequestFacts
from bootyard.boot.tree import BootTree, Found, NotFound
from bootyard.model.snapshot import Snapshot, builtin_snapshot
from bootyard.runtime import snapshots
from bootyard.runtime.snapshots import SnapshotHolder, SnapshotReader, load_last_good
from tests.samples import image, snapshot

FACTS = RequestFacts(
    client_ip=IPv4Address("192.0.2.100"),
    server_address=IPv4Address("192.0.2.10"),
    transport="tftp",
)


@pytest.fixture
def holder() -> SnapshotHolder:
    return SnapshotHolder(builtin_snapshot(8080, {}))


def with_revision(revision: int) -> BootTree:
    state = snapshot(number=revision)
    images = {**state.images, "debian": image("debian", revision=revision)}
    return BootTree(msgspec.structs.replace(state, images=images))


def test_a_boot_under_way_finishes_from_the_revision_it_started_with(
    holder: SnapshotHolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    monkeypatch.setattr("bootyard.runtime.snapshots.time.monotonic", lambda: clock)
    for revision in (1, 2, 3):
        holder.adopt(with_revision(revision))
    assert isinstance(holder.resolve("images/debian@3/linux", FACTS), Found)
    assert isinstance(holder.resolve("images/debian@1/linux", FACTS), Found)
    holder.adopt(with_revision(4))
    assert isinstance(holder.resolve("images/debian@1/linux", FACTS), NotFound)
    assert isinstance(holder.resolve("images/debian@3/linux", FACTS), Found)
    clock = snapshots.KEEP_SECONDS + 1.0
    assert isinstance(holder.resolve("images/debian@3/linux", FACTS), NotFound)
    assert isinstance(holder.resolve("images/debian@4/linux", FACTS), Found)


async def test_what_is_received_is_served_and_kept(holder: SnapshotHolder, tmp_path: Path) -> None:
    kept = tmp_path / "tftp" / "snapshot.json"
    seen: list[Snapshot] = []
    holder.on_adopt(seen.append)
    assert holder.is_builtin
    await SnapshotReader(holder, kept).receive(snapshot(number=7).to_json())
    assert holder.snapshot.version == "e1.7"
    assert not holder.is_builtin
    assert [s.version for s in seen] == ["builtin.0", "e1.7"]
    again = load_last_good(kept)
    assert again is not None
    assert again.version == "e1.7"


@pytest.mark.parametrize("document", [b"", b"{}", b'{"schema":99}', b"\xff\xfe"])
async def test_what_cannot_be_read_changes_nothing(
    holder: SnapshotHolder, tmp_path: Path, document: bytes
) -> None:
    reader = SnapshotReader(holder, tmp_path / "snapshot.json")
    await reader.receive(snapshot(number=7).to_json())
    await reader.receive(document)
    assert holder.snapshot.version == "e1.7"
    kept = load_last_good(tmp_path / "snapshot.json")
    assert kept is not None
    assert kept.version == "e1.7"


async def test_a_disk_that_takes_nothing_does_not_stop_serving(
    holder: SnapshotHolder, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    await SnapshotReader(holder, in_the_way / "snapshot.json").receive(snapshot().to_json())
    assert holder.snapshot.version == "e1.7"


def test_a_torn_file_is_no_snapshot(tmp_path: Path) -> None:
    torn = tmp_path / "snapshot.json"
    assert load_last_good(torn) is None
    torn.write_bytes(snapshot().to_json()[:100])
    assert load_last_good(torn) is None
