"""TFTP packets (RFC 1350 §5, OACK in RFC 2347): bytes to values and back. No sockets, no clock."""

from enum import IntEnum

import msgspec

from bootyard.model.errors import MalformedPacket, TFTPErrorCode

MAX_REQUEST = 512
"""RFC 2347: "the maximum size of a request packet is 512 octets"."""

OCTET = "octet"
NETASCII = "netascii"


class Opcode(IntEnum):
    """RFC 1350 §5; OACK in RFC 2347."""

    RRQ = 1
    WRQ = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OACK = 6


Options = tuple[tuple[str, str], ...]
"""(name, value) in the order of the packet, names in lower case."""


class ReadRequest(msgspec.Struct, frozen=True):
    """RRQ. `filename` holds any bytes: what is not UTF-8 is kept as lone surrogates."""

    filename: str
    mode: str = OCTET
    options: Options = ()

    def to_bytes(self) -> bytes:
        """Encode."""
        return _request(Opcode.RRQ, self.filename, self.mode, self.options)


class WriteRequest(msgspec.Struct, frozen=True):
    """WRQ: parsed so that it can be refused by name."""

    filename: str
    mode: str = OCTET
    options: Options = ()

    def to_bytes(self) -> bytes:
        """Encode."""
        return _request(Opcode.WRQ, self.filename, self.mode, self.options)


class Data(msgspec.Struct, frozen=True):
    """DATA. `block` is the 16-bit number on the wire."""

    block: int
    payload: bytes

    def to_bytes(self) -> bytes:
        """Encode."""
        return _header(Opcode.DATA, self.block) + self.payload


class Ack(msgspec.Struct, frozen=True):
    """ACK. Block 0 acknowledges an OACK."""

    block: int

    def to_bytes(self) -> bytes:
        """Encode."""
        return _header(Opcode.ACK, self.block)


class Error(msgspec.Struct, frozen=True):
    """ERROR: ends the transfer and is never acknowledged. Codes are open."""

    code: int
    message: str = ""

    def to_bytes(self) -> bytes:
        """Encode."""
        return _header(Opcode.ERROR, self.code) + _terminated(self.message)


class OptionAck(msgspec.Struct, frozen=True):
    """OACK: the options that the server accepted."""

    options: Options

    def to_bytes(self) -> bytes:
        """Encode."""
        return Opcode.OACK.to_bytes(2, "big") + _strings(self.options)


Packet = ReadRequest | WriteRequest | Data | Ack | Error | OptionAck


def parse(datagram: bytes) -> Packet:
    """Read a datagram; raises MalformedPacket for anything that is not TFTP."""
    if len(datagram) < 2:
        raise MalformedPacket("a TFTP packet starts with a 2-byte opcode", len(datagram))
    match int.from_bytes(datagram[:2], "big"):
        case Opcode.RRQ:
            return ReadRequest(*_parse_request(datagram))
        case Opcode.WRQ:
            return WriteRequest(*_parse_request(datagram))
        case Opcode.DATA:
            return Data(_number(datagram), datagram[4:])
        case Opcode.ACK:
            # Bytes behind the number are padding that no server in use objects to.
            return Ack(_number(datagram))
        case Opcode.ERROR:
            # Some stacks leave the text, or the NUL behind it, out: the code is what counts.
            return Error(_number(datagram), _text(datagram[4:].partition(b"\0")[0]))
        case Opcode.OACK:
            strings = _split(datagram, 2) if len(datagram) > 2 else []
            return OptionAck(_pairs(strings, len(datagram)))
        case unknown:
            raise MalformedPacket(f"TFTP has no opcode {unknown}", 0)


def error(code: TFTPErrorCode, message: str) -> bytes:
    """Make an ERROR datagram."""
    return Error(code, message).to_bytes()


def printable(name: str) -> str:
    """Make a name fit for logs and JSON: bytes that are not UTF-8 become U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _parse_request(datagram: bytes) -> tuple[str, str, Options]:
    if len(datagram) > MAX_REQUEST:
        raise MalformedPacket(f"a request has at most {MAX_REQUEST} bytes", MAX_REQUEST)
    filename, *rest = _split(datagram, 2)
    if not rest:
        raise MalformedPacket("a request names a file and a mode", len(datagram))
    mode, *strings = rest
    return filename, mode.lower(), _pairs(strings, len(datagram))


def _split(datagram: bytes, start: int) -> list[str]:
    """Read NUL-terminated strings up to the end."""
    if not datagram.endswith(b"\0") or len(datagram) <= start:
        raise MalformedPacket("the last string has no NUL behind it", len(datagram))
    return [_text(part) for part in datagram[start:-1].split(b"\0")]


def _pairs(strings: list[str], end: int) -> Options:
    """Pair names and values; an empty name is padding, nothing is read behind it."""
    names, values = strings[::2], strings[1::2]
    if "" in names:
        names = names[: names.index("")]
    if len(values) < len(names):
        raise MalformedPacket(f"option {names[-1]!r} has no value", end)
    return tuple((name.lower(), value) for name, value in zip(names, values, strict=False))


def _number(datagram: bytes) -> int:
    if len(datagram) < 4:
        raise MalformedPacket("a 2-byte number follows this opcode", len(datagram))
    return int.from_bytes(datagram[2:4], "big")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _terminated(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"


def _header(opcode: Opcode, number: int) -> bytes:
    return opcode.to_bytes(2, "big") + number.to_bytes(2, "big")


def _strings(options: Options) -> bytes:
    return b"".join(_terminated(name) + _terminated(value) for name, value in options)


def _request(opcode: Opcode, filename: str, mode: str, options: Options) -> bytes:
    return opcode.to_bytes(2, "big") + _terminated(filename) + _terminated(mode) + _strings(options)
