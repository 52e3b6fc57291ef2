"""Batches through the kernel: what was compiled, and what is used where nothing could be."""

import errno
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from services.tftp import mmsg
from services.tftp.batches import (
    ACK_HEADS,
    Inbound,
    Outbound,
    address_of,
    pack_vectors,
    peer_key,
    peer_of,
    socket_address,
)
from services.tftp.packet import Ack

LOOPBACK = IPv4Address("127.0.0.1")

BOTH = pytest.mark.parametrize(
    "calls",
    [
        pytest.param((mmsg.receive_many, mmsg.send_many, mmsg.exchange), id="compiled"),
        pytest.param(mmsg.through_ctypes(), id="ctypes"),
    ],
)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        yield opened


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(5)
        yield opened


def test_what_was_built_is_used() -> None:
    assert mmsg.IS_COMPILED


def test_peers_have_numbers() -> None:
    name = socket_address(IPv4Address("192.0.2.50"), 2070)
    assert peer_of(peer_key(name)) == ("192.0.2.50", 2070)


@BOTH
def test_a_batch_is_taken_with_its_senders(
    calls: mmsg.Calls, server: socket.socket, client: socket.socket
) -> None:
    receive_many, _, _ = calls
    sent = [Ack(7).to_bytes(), b"\0\4\1\0padding", b"\0\4", b"\0\5\0\0" + b"x" * 500, b""]
    for datagram in sent:
        client.sendto(datagram, server.getsockname())
    inbound = Inbound(8)
    assert receive_many(server.fileno(), inbound.address, 8, 1) == len(sent)
    assert set(map(peer_of, inbound.keys(len(sent)))) == {client.getsockname()}
    heads = inbound.heads(len(sent))
    assert heads[:2] == (ACK_HEADS[7], ACK_HEADS[256])
    assert heads[2] == heads[4] == 0
    assert heads[3] not in {0, ACK_HEADS[0]}
    assert [inbound.datagram(index) for index in range(5)] == [d[:128] for d in sent]
    # The next batch is not what is left of this one.
    client.sendto(b"\0\4", server.getsockname())
    assert receive_many(server.fileno(), inbound.address, 8, 1) == 1
    assert inbound.heads(1) == (0,)


@BOTH
@pytest.mark.parametrize("looks", [0, 1, 5])
def test_nothing_to_take_is_an_error_number(
    calls: mmsg.Calls, server: socket.socket, looks: int
) -> None:
    receive_many, _, _ = calls
    inbound = Inbound(2)
    taken = receive_many(server.fileno(), inbound.address, 2, looks)
    assert taken == -errno.EAGAIN


@BOTH
def test_packets_and_windows_are_sent_from_where_they_lie(
    calls: mmsg.Calls, server: socket.socket, client: socket.socket
) -> None:
    _, send_many, _ = calls
    name = socket_address(LOOPBACK, client.getsockname()[1])
    packets = bytearray(b"aaabbbcc")
    table = pack_vectors(address_of(packets), [3, 3, 2], 3)
    vectors = address_of(table)
    step = len(table) // 3
    outbound = Outbound(4)
    outbound.put([address_of(name)] * 2, [vectors + 2 * step, vectors])
    assert send_many(server.fileno(), outbound.address, 2, 0) == 2
    assert [client.recv(10), client.recv(10)] == [b"cc", b"aaa"]
    outbound.vectors[0] = vectors + step
    assert send_many(server.fileno(), outbound.address, 1, 0) == 1
    assert client.recv(10) == b"bbb"
    windows = Outbound(4, pieces=2)
    start = address_of(packets)
    windows.put_pieces(0, address_of(name), [(start + 6, 2), (start, 3)], (0, 0))
    assert send_many(server.fileno(), windows.address, 1, 0) == 1
    assert client.recv(10) == b"ccaaa"


@BOTH
def test_a_failure_is_an_error_number(calls: mmsg.Calls, server: socket.socket) -> None:
    _, send_many, _ = calls
    name = socket_address(LOOPBACK, 0)
    packet = bytearray(b"x")
    table = pack_vectors(address_of(packet), [1], 1)
    outbound = Outbound(1)
    outbound.put([address_of(name)], [address_of(table)])
    assert send_many(server.fileno(), outbound.address, 1, 0) < 0


@BOTH
def test_a_packet_is_exchanged_for_the_answer_to_it(
    calls: mmsg.Calls, server: socket.socket, client: socket.socket
) -> None:
    _, _, exchange = calls
    name = socket_address(LOOPBACK, client.getsockname()[1])
    packet = bytearray(b"block")
    table = pack_vectors(address_of(packet), [len(packet)], len(packet))
    inbound, outbound = Inbound(1), Outbound(1)
    outbound.put([address_of(name)], [address_of(table)])
    client.sendto(Ack(7).to_bytes(), server.getsockname())
    answer = exchange(server.fileno(), outbound.address, inbound.address)
    assert inbound.heads(1) == (answer,) == (ACK_HEADS[7],)
    assert inbound.keys(1) == (peer_key(name),)
    assert client.recv(10) == b"block"
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 1000))
    assert exchange(server.fileno(), outbound.address, inbound.address) == -errno.EAGAIN
    client.sendto(b"\0\4\0\7+", server.getsockname())
    assert exchange(server.fileno(), outbound.address, inbound.address) == mmsg.OTHER
    assert inbound.datagram(0) == b"\0\4\0\7+"
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        stranger.sendto(Ack(7).to_bytes(), server.getsockname())
        assert exchange(server.fileno(), outbound.address, inbound.address) == mmsg.OTHER
    assert inbound.keys(1) != (peer_key(name),)
    nobody = socket_address(LOOPBACK, 0)
    outbound.put([address_of(nobody)], [address_of(table)])
    failure = exchange(server.fileno(), outbound.address, inbound.address)
    assert failure == -mmsg.NOT_SENT - errno.EINVAL
