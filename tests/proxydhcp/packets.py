"""Requests as firmware sends them, for tests."""

from ipaddress import IPv4Address
from uuid import UUID

from bootyard.model.mac import MACAddress
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import NOWHERE, DHCPPacket, OpCode

MAC = MACAddress.parse("02:00:00:00:00:01")
SERVER = IPv4Address("192.168.1.2")
CLIENT = IPv4Address("192.168.1.50")
XID = 0x12345678
MACHINE_ID = b"\0" + bytes(range(16))
UUID_OF_MACHINE_ID = UUID("03020100-0504-0706-0809-0a0b0c0d0e0f")


def request(
    kind: int | None = MessageType.DISCOVER,
    *,
    mac: MACAddress = MAC,
    xid: int = XID,
    arch: bytes | None = b"\x00\x07",
    vendor_class: bytes | None = b"PXEClient:Arch:00007:UNDI:003016",
    machine_id: bytes | None = MACHINE_ID,
    ciaddr: IPv4Address = NOWHERE,
    giaddr: IPv4Address = NOWHERE,
    op: OpCode = OpCode.BOOTREQUEST,
    more: dict[int, bytes] | None = None,
) -> DHCPPacket:
    """Make a request; None leaves an option out."""
    first = None if kind is None else bytes((kind,))
    values = {53: first, 93: arch, 60: vendor_class, 97: machine_id}
    options = {code: value for code, value in values.items() if value is not None}
    return DHCPPacket(
        op=op,
        xid=xid,
        mac=mac,
        ciaddr=ciaddr,
        giaddr=giaddr,
        options=options | (more or {}),
    )


def plain(kind: int = MessageType.DISCOVER, **more: object) -> DHCPPacket:
    """Make a request of an operating system."""
    return request(kind, arch=None, vendor_class=None, machine_id=None, **more)  # type: ignore[arg-type]
