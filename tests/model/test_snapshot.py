import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.errors import SnapshotUnreadable
from bootyard.model.snapshot import Machine, Slice, Snapshot
from tests.samples import MAC, OTHER_MAC, snapshot


def test_round_trip() -> None:
    original = snapshot(Machine(mac=MAC, name="nuc-3", target="live"))
    read = Snapshot.from_json(original.to_json())
    assert read.machine(MAC) == Machine(mac=MAC, name="nuc-3", target="live")
    assert read.machine(OTHER_MAC) is None
    assert read.machine(None) is None
    assert read.images == original.images
    assert read.targets == original.targets
    assert isinstance(read.images["debian"].files["linux"], Slice)


def test_a_document_names_itself_in_its_first_bytes() -> None:
    # Readers compare these instead of fetching everything (runtime/store.py).
    assert snapshot(number=12).to_json().startswith(b'{"schema":1,"epoch":"e1","number":12,')


def test_a_newer_schema_is_refused_with_the_cure() -> None:
    newer = msgspec.json.decode(snapshot().to_json())
    newer["schema"] = 2
    newer["images"] = ["something", "else"]
    with pytest.raises(SnapshotUnreadable, match=r"schema 2.*upgrade this service"):
        Snapshot.from_json(msgspec.json.encode(newer))


def test_fields_added_by_a_later_version_of_the_same_schema_are_ignored() -> None:
    later = msgspec.json.decode(snapshot().to_json())
    later["weather"] = "fine"
    assert Snapshot.from_json(msgspec.json.encode(later)).number == 7


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    with pytest.raises(SnapshotUnreadable):
        Snapshot.from_json(document)


def test_a_target_of_an_image_that_is_not_there_is_no_snapshot() -> None:
    broken = msgspec.structs.replace(snapshot(), images={})
    with pytest.raises(SnapshotUnreadable, match="which is not in it"):
        Snapshot.from_json(broken.to_json())
