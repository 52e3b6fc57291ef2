"""The one DHCP exchange of the health probe: a PXE boot server request and its ACK. No I/O.

RFC 2131 §2 (the fixed header), RFC 4578 (PXE's options), PXE 2.1 §2.4 (the boot server's port).
"""

import struct

from bootyard.model.mac import PROBE_MAC

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_MAGIC = bytes((99, 130, 83, 99))
_LOOPBACK = bytes((127, 0, 0, 1))
_NOWHERE = bytes(4)
_REQUEST, _REPLY = 1, 2
_DHCP_REQUEST, _DHCP_ACK = 3, 5
_MESSAGE_TYPE, _PAD, _END = 53, 0, 255

_OPTIONS = (
    (_MESSAGE_TYPE, bytes((_DHCP_REQUEST,))),
    (57, (1472).to_bytes(2, "big")),  # the longest message taken
    (55, bytes((1, 3, 43, 54, 60, 66, 67, 97))),  # what is asked for
    (60, b"PXEClient:Arch:00007:UNDI:003016"),
    (93, bytes((0, 7))),  # x64 UEFI
    (94, bytes((1, 3, 16))),
    (97, bytes(17)),
)


def build_request(xid: int) -> bytes:
    """Make the request of the probe machine: x64 UEFI that has the address 127.0.0.1."""
    header = _HEADER.pack(
        _REQUEST,
        1,  # Ethernet
        len(PROBE_MAC.octets),
        0,
        xid,
        0,
        0,
        _LOOPBACK,
        _NOWHERE,
        _NOWHERE,
        _NOWHERE,
        PROBE_MAC.octets,
        b"",
        b"",
        _MAGIC,
    )
    options = b"".join(bytes((code, len(value))) + value for code, value in _OPTIONS)
    return (header + options + bytes((_END,))).ljust(300, bytes((_PAD,)))


def is_acknowledgement(datagram: bytes, xid: int) -> bool:
    """Whether these bytes are a DHCP ACK to the request `xid`."""
    if len(datagram) < _HEADER.size:
        return False
    operation, _, _, _, their_xid, *_, magic = _HEADER.unpack_from(datagram)
    return (operation, their_xid, magic) == (_REPLY, xid, _MAGIC) and _message_type(
        datagram[_HEADER.size :]
    ) == _DHCP_ACK


def _message_type(options: bytes) -> int | None:
    at = 0
    while at < len(options) and options[at] != _END:
        if options[at] == _PAD:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        value = options[at + 2 : at + 2 + length]
        if options[at] == _MESSAGE_TYPE:
            return value[0] if length == len(value) == 1 else None
        at += 2 + length
    return None
