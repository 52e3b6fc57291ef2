"""The neighbour table, kept for a moment."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootyard.model.mac import MACAddress
from bootyard.runtime import neighbours
from services.tftp import macs
from services.tftp.macs import NeighbourCache

HEAD = "IP address       HW type     Flags       HW address            Mask     Device\n"
FIRST, SECOND = IPv4Address("192.0.2.50"), IPv4Address("192.0.2.51")
ROW = "{} 0x1 {} {} * e0\n"


def write(table: Path, *rows: tuple[IPv4Address, str, str]) -> None:
    table.write_text(HEAD + "".join(ROW.format(*row) for row in rows))


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "arp"
    write(path, (FIRST, "0x2", "52:54:00:00:00:01"), (SECOND, "0x0", "00:00:00:00:00:00"))
    monkeypatch.setattr(neighbours, "TABLE", path)
    return path


def at(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    monkeypatch.setattr(macs, "monotonic", lambda: now)


def test_a_known_neighbour_is_not_looked_up_again_for_a_moment(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = NeighbourCache()
    at(monkeypatch, 10.0)
    assert cache.mac_of(FIRST) == MACAddress.parse("52:54:00:00:00:01")
    write(table, (FIRST, "0x2", "52:54:00:00:00:09"))
    assert cache.mac_of(FIRST) == MACAddress.parse("52:54:00:00:00:01")
    at(monkeypatch, 11.1)
    assert cache.mac_of(FIRST) == MACAddress.parse("52:54:00:00:00:09")


def test_one_that_was_not_seen_is_looked_up_again(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = NeighbourCache()
    at(monkeypatch, 10.0)
    assert cache.mac_of(SECOND) is None
    write(table, (SECOND, "0x2", "52:54:00:00:00:02"))
    at(monkeypatch, 10.1)
    assert cache.mac_of(SECOND) == MACAddress.parse("52:54:00:00:00:02")


def test_without_a_table_nobody_is_known(table: Path) -> None:
    table.unlink()
    assert NeighbourCache().mac_of(FIRST) is None
