"""What was on the wire: tcpdump writes a pcap file, `read_datagrams` reads UDP out of it."""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.lab.processes import Process

_MAGIC = {  # first four bytes: byte order and fractions of a second
    b"\xd4\xc3\xb2\xa1": ("<", 1e6),
    b"\xa1\xb2\xc3\xd4": (">", 1e6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e9),
    b"\xa1\xb2\x3c\x4d": (">", 1e9),
}
_LINKTYPE_ETHERNET = 1
_ETHERTYPE_IPV4 = 0x0800
_PROTOCOL_UDP = 17


@dataclass(frozen=True)
class Datagram:
    """One UDP datagram; `time` in seconds since the epoch."""

    time: float
    source_mac: str
    source: str
    source_port: int
    destination: str
    destination_port: int
    payload: bytes


class Capture:
    """A running tcpdump and the file that it writes."""

    def __init__(self, path: Path, process: Process) -> None:
        self.path = path
        self._process = process

    def datagrams(self) -> list[Datagram]:
        """What has been recorded so far; the capture goes on."""
        return list(read_datagrams(self.path))

    def stop(self) -> list[Datagram]:
        time.sleep(0.2)  # what has just been sent is on its way to tcpdump
        self._process.stop()
        return self.datagrams()


def read_datagrams(path: Path) -> Iterator[Datagram]:
    """The UDP datagrams over IPv4 and Ethernet of a classic pcap file.

    A record that is still being written ends the reading; fragments are left out.
    """
    data = memoryview(path.read_bytes())
    if len(data) < 24:
        return
    order, fraction = _MAGIC[bytes(data[:4])]
    (link_type,) = struct.unpack_from(f"{order}I", data, 20)
    if link_type != _LINKTYPE_ETHERNET:
        raise ValueError(f"link type {link_type} is not Ethernet")
    position = 24
    while position + 16 <= len(data):
        seconds, part, length = struct.unpack_from(f"{order}3I", data, position)
        position += 16
        if position + length > len(data):
            return
        datagram = _parse(seconds + part / fraction, data[position : position + length])
        if datagram is not None:
            yield datagram
        position += length


def _parse(moment: float, frame: memoryview) -> Datagram | None:
    if len(frame) < 14 + 20 or int.from_bytes(frame[12:14]) != _ETHERTYPE_IPV4:
        return None
    ip = frame[14:]
    header = (ip[0] & 0x0F) * 4
    fragmented = int.from_bytes(ip[6:8]) & 0x3FFF
    if ip[9] != _PROTOCOL_UDP or fragmented or len(ip) < header + 8:
        return None
    source_port, destination_port, length = struct.unpack_from(">3H", ip, header)
    return Datagram(
        time=moment,
        source_mac=bytes(frame[6:12]).hex(":"),
        source=str(IPv4Address(bytes(ip[12:16]))),
        source_port=source_port,
        destination=str(IPv4Address(bytes(ip[16:20]))),
        destination_port=destination_port,
        payload=bytes(ip[header + 8 : header + length]),
    )
