"""The lab itself: the LAN gives addresses, the wire can be read, nothing stays behind."""

from pathlib import Path

from tests.lab.network import Lab
from tests.namespaces import NETNS


def test_a_plain_host_gets_its_address_and_the_wire_shows_it(lab: Lab) -> None:
    capture = lab.capture()
    client = lab.plain_client()
    seen = capture.stop()

    assert client.address.startswith("192.0.2.")
    discover = seen[0]
    assert (discover.source_port, discover.destination_port) == (68, 67)
    assert discover.source_mac == client.mac
    assert discover.destination == "255.255.255.255"
    assert discover.payload[236:240] == b"\x63\x82\x53\x63"


def test_nothing_stays_behind(tmp_path: Path) -> None:
    with Lab(tmp_path) as lab:
        names = [lab.namespace(short) for short in ("sw", "router", "boot")]
        sleeper = lab.popen("boot", ["sleep", "60"], name="sleeper")
        assert all((NETNS / name).exists() for name in names)

    assert not any((NETNS / name).exists() for name in names)
    assert not sleeper.running


def test_two_labs_do_not_meet(tmp_path: Path) -> None:
    with Lab(tmp_path / "one") as one, Lab(tmp_path / "two") as two:
        capture = two.capture()
        one.plain_client()
        assert capture.stop() == []
