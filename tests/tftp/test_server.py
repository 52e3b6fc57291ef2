"""The server's small parts; what it does with sockets is in tests/wire."""

import socket
from ipaddress import IPv4Address
from pathlib import Path

from bootyard.model.snapshot import Root, Slice, builtin_snapshot
from services.tftp.admission import Arrival
from services.tftp.content import ContentStore
from services.tftp.missing import find_missing
from services.tftp.port import bind_listeners, parse_arrival
from services.tftp.server import ErrorBudget


def test_errors_are_limited_to_so_many_a_second() -> None:
    budget = ErrorBudget(per_second=10, burst=20)
    assert sum(budget.allows(5.0) for _ in range(100)) == 20
    assert sum(budget.allows(6.0) for _ in range(100)) == 10
    assert sum(budget.allows(100.0) for _ in range(100)) == 20


def test_the_listener_tells_which_address_was_asked() -> None:
    [listener] = bind_listeners(0, 1)
    with listener, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.3", 0))
        client.sendto(b"x", ("127.0.0.2", listener.getsockname()[1]))
        _, control, _, address = listener.recvmsg(10, 100)
        assert parse_arrival(control, address) == Arrival(
            IPv4Address("127.0.0.3"),
            client.getsockname()[1],
            socket.if_nametoindex("lo"),
            IPv4Address("127.0.0.2"),
            IPv4Address("127.0.0.2"),
        )


def test_without_packet_information_there_is_no_arrival() -> None:
    assert parse_arrival([], ("192.0.2.1", 5)) is None
    assert parse_arrival([(0, 8, b"short")], ("192.0.2.1", 5)) is None


def test_missing_loaders_are_named(tmp_path: Path) -> None:
    (tmp_path / "there.efi").write_bytes(b"x")
    loaders = {
        f"uefi-x64/{name}": Slice(root=Root.LOADERS, path=name, extents=((0, 1),))
        for name in ("there.efi", "gone.efi")
    }
    snapshot = builtin_snapshot(8080, loaders)
    assert find_missing(snapshot, ContentStore(lambda _: tmp_path)) == ["uefi-x64/gone.efi"]
