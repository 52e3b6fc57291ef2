"""The DHCP message: fixed header and options (RFC 2131 §2). Pure bytes, no sockets, no clock."""

import struct
from collections.abc import Mapping
from enum import IntEnum
from ipaddress import IPv4Address

import msgspec

from bootyard.model.errors import MalformedPacket
from bootyard.model.mac import MACAddress
from services.proxydhcp.options import (
    MessageType,
    OptionCode,
    read_message_type,
    read_triples,
    write_triples,
    written_size,
)

NOWHERE = IPv4Address(0)

MAGIC = bytes((99, 130, 83, 99))
"""Says that options follow (RFC 2131 §3)."""

BROADCAST_FLAG = 0x8000
"""RFC 2131 §2, figure 2."""

MIN_SIZE = 300
"""BOOTP's length (RFC 951 §3): relays and old ROMs drop what is shorter."""

FILE_SIZE = 128
SNAME_SIZE = 64

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s6s10x64s128s4s")
OPTIONS_OFFSET = _HEADER.size
_XID_OFFSET = 4
_CHADDR_OFFSET = 28
_SNAME_OFFSET = 44
_FILE_OFFSET = 108
_OVERLOAD = int(OptionCode.OVERLOAD)
_END = bytes((OptionCode.END,))


class OpCode(IntEnum):
    """Who is speaking (RFC 2131 §2)."""

    BOOTREQUEST = 1
    BOOTREPLY = 2


_OPCODES = {int(code): code for code in OpCode}


class Overload(IntEnum):
    """Option 52: header fields that hold options instead (RFC 2132 §9.3)."""

    FILE = 1
    SNAME = 2
    BOTH = 3


class DHCPPacket(msgspec.Struct, frozen=True, kw_only=True):
    """A DHCP message. `options` keeps the order of the wire; values are as they were sent.

    Options that were found in `sname` and `file` are among `options`, and these fields are empty
    then; option 52 itself is not kept, and never written: shim and GRUB read `file` as a name.
    """

    op: OpCode
    xid: int
    mac: MACAddress
    htype: int = 1
    hops: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = NOWHERE
    yiaddr: IPv4Address = NOWHERE
    siaddr: IPv4Address = NOWHERE
    giaddr: IPv4Address = NOWHERE
    sname: bytes = b""
    """Up to the first NUL."""
    file: bytes = b""
    """Up to the first NUL."""
    options: Mapping[int, bytes] = {}

    @property
    def message_type(self) -> MessageType | None:
        """Option 53; None for BOOTP."""
        return read_message_type(self.options)

    @classmethod
    def parse(cls, data: bytes) -> "DHCPPacket":
        """Read a datagram; raises MalformedPacket."""
        if len(data) < _HEADER.size:
            raise MalformedPacket(f"{len(data)} bytes are no DHCP message", len(data))
        fields = _HEADER.unpack_from(data)
        op, htype, hlen, hops, xid, secs, flags = fields[:7]
        ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, magic = fields[7:]
        opcode = _OPCODES.get(op)
        if opcode is None:
            raise MalformedPacket(f"op {op} is neither a request nor a reply", 0)
        if hlen != 6:
            raise MalformedPacket(f"hardware addresses of {hlen} bytes are not Ethernet's", 2)
        if magic != MAGIC:
            raise MalformedPacket("the magic cookie is missing", _HEADER.size - len(MAGIC))
        options, overload = _read_options(data, sname, file)
        return cls(
            op=opcode,
            xid=xid,
            mac=MACAddress.from_bytes(chaddr),
            htype=htype,
            hops=hops,
            secs=secs,
            flags=flags,
            ciaddr=_address(ciaddr),
            yiaddr=_address(yiaddr),
            siaddr=_address(siaddr),
            giaddr=_address(giaddr),
            sname=b"" if overload in (Overload.SNAME, Overload.BOTH) else _text(sname),
            file=b"" if overload in (Overload.FILE, Overload.BOTH) else _text(file),
            options=options,
        )

    @property
    def size(self) -> int:
        """How many bytes `to_bytes` makes."""
        return max(MIN_SIZE, _HEADER.size + written_size(self.options) + 1)

    def to_bytes(self) -> bytes:
        """Write the message, padded to 300 bytes."""
        if _OVERLOAD in self.options:
            raise ValueError("option 52 is never written")
        if len(self.sname) > SNAME_SIZE or len(self.file) > FILE_SIZE:
            raise ValueError("sname holds 64 bytes and file 128")
        header = _HEADER.pack(
            self.op,
            self.htype,
            6,
            self.hops,
            self.xid,
            self.secs,
            self.flags,
            self.ciaddr.packed,
            self.yiaddr.packed,
            self.siaddr.packed,
            self.giaddr.packed,
            self.mac.octets,
            self.sname,
            self.file,
            MAGIC,
        )
        return (header + write_triples(self.options) + _END).ljust(MIN_SIZE, b"\0")


def mac_within(data: bytes) -> str | None:
    """Tell the hardware address of a datagram that was not read yet, for limits on reading them."""
    octets = data[_CHADDR_OFFSET : _CHADDR_OFFSET + 6]
    return octets.hex(":") if len(octets) == 6 else None


def xid_within(data: bytes) -> int:
    """Tell the transaction id of a datagram that was not read yet."""
    return int.from_bytes(data[_XID_OFFSET : _XID_OFFSET + 4])


def _read_options(
    data: bytes, sname: bytes, file: bytes
) -> tuple[dict[int, bytes], Overload | None]:
    """Read all option areas in the order of RFC 3396 §7: options, file, sname."""
    found: dict[int, bytes] = {}
    read_triples(data[_HEADER.size :], found, "the options field", _HEADER.size)
    if _OVERLOAD not in found:
        return found, None
    overload = _overload(found.pop(_OVERLOAD))
    if overload in (Overload.FILE, Overload.BOTH):
        read_triples(file, found, "the overloaded file field", _FILE_OFFSET)
    if overload in (Overload.SNAME, Overload.BOTH):
        read_triples(sname, found, "the overloaded sname field", _SNAME_OFFSET)
    # An option 52 in these fields means nothing: following it could go on for ever.
    found.pop(_OVERLOAD, None)
    return found, overload


def _overload(value: bytes) -> Overload:
    if len(value) != 1 or value[0] not in (Overload.FILE, Overload.SNAME, Overload.BOTH):
        raise MalformedPacket(f"option 52 is {value.hex() or 'empty'}; 1, 2 or 3 was expected")
    return Overload(value[0])


def _address(value: bytes) -> IPv4Address:
    return IPv4Address(value) if any(value) else NOWHERE


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0] if field[0] else b""
