"""DHCP options: codes, the bounds-checked reader, and options of a fixed shape (RFC 2132).

Long options are joined on reading and split on writing (RFC 3396). What PXE and iPXE put inside
options is in `pxe`; the header is in `packet`.
"""

from collections.abc import Mapping
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Self, TypeVar

from bootyard.model.architecture import ClientArchitecture
from bootyard.model.errors import MalformedPacket

E = TypeVar("E", bound=IntEnum)

MAX_OPTION = 255
"""Bytes that one code-length-data triple can hold (RFC 2132 §2)."""


class OptionCode(IntEnum):
    """Options that a boot server reads or writes. Open: an unknown code keeps its number."""

    PAD = 0  # RFC 2132 §3.1
    HOST_NAME = 12  # RFC 2132 §3.14
    VENDOR_SPECIFIC = 43  # RFC 2132 §8.4; PXE 2.1 Table 2-1
    REQUESTED_ADDRESS = 50  # RFC 2132 §9.1
    OVERLOAD = 52  # RFC 2132 §9.3
    MESSAGE_TYPE = 53  # RFC 2132 §9.6
    SERVER_IDENTIFIER = 54  # RFC 2132 §9.7
    PARAMETER_REQUEST_LIST = 55  # RFC 2132 §9.8
    MAX_MESSAGE_SIZE = 57  # RFC 2132 §9.10
    VENDOR_CLASS = 60  # RFC 2132 §9.13
    CLIENT_IDENTIFIER = 61  # RFC 2132 §9.14; echoed by RFC 6842 §3
    TFTP_SERVER_NAME = 66  # RFC 2132 §9.4
    BOOT_FILE_NAME = 67  # RFC 2132 §9.5
    USER_CLASS = 77  # RFC 3004 §4
    RAPID_COMMIT = 80  # RFC 4039 §4
    RELAY_AGENT = 82  # RFC 3046 §2
    CLIENT_ARCHITECTURE = 93  # RFC 4578 §2.1
    NETWORK_INTERFACE = 94  # RFC 4578 §2.2
    CLIENT_MACHINE_ID = 97  # RFC 4578 §2.3
    IPXE = 175  # iPXE's own encapsulation (ipxe/dhcp.h)
    END = 255  # RFC 2132 §3.2

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return _open_member(cls, value, "OPTION")


class MessageType(IntEnum):
    """Option 53 (RFC 2132 §9.6). Open: later types keep their number."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return _open_member(cls, value, "MESSAGE")


def _open_member(cls: type[E], value: object, name: str) -> E | None:
    if not isinstance(value, int) or not 0 <= value <= 0xFF:
        return None
    member = int.__new__(cls, value)
    member._name_ = f"{name}_{value}"
    member._value_ = value
    return member


_PAD, _END = int(OptionCode.PAD), int(OptionCode.END)


class Reader:
    """A cursor that cannot leave its bytes: short input raises MalformedPacket.

    `start` is where the bytes begin in the datagram, so that errors name a place in it.
    """

    __slots__ = ("_data", "_position", "_start", "_what")

    def __init__(self, data: bytes, what: str, start: int = 0) -> None:
        self._data = data
        self._what = what
        self._start = start
        self._position = 0

    @property
    def remaining(self) -> int:
        """Bytes that are left."""
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        """Read `count` bytes."""
        end = self._position + count
        if end > len(self._data):
            raise MalformedPacket(
                f"{self._what} is truncated: {count} bytes wanted, {self.remaining} left",
                self._start + self._position,
            )
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def u8(self) -> int:
        """Read one byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Read two bytes, the first one the highest."""
        return int.from_bytes(self.take(2))

    def address(self) -> IPv4Address:
        """Read an IPv4 address."""
        return IPv4Address(self.take(4))


def read_triples(data: bytes, into: dict[int, bytes], what: str, start: int = 0) -> None:
    """Read code-length-data triples up to END (RFC 2132 §2), joining repeated codes (RFC 3396 §5).

    An area that ends without END is accepted: some ROMs fill the last byte with data. `what` and
    `start` name a place in the datagram for errors; what was read before one is in `into`.
    """
    # Not with a Reader: this runs for every option of every packet on the network.
    position, end = 0, len(data)
    while position < end:
        code = data[position]
        if code == _PAD:
            position += 1
            continue
        if code == _END:
            return
        begin = position + 2
        if begin > end:
            raise MalformedPacket(f"{what} is truncated: a length is missing", start + begin - 1)
        position = begin + data[begin - 1]
        if position > end:
            raise MalformedPacket(
                f"{what} is truncated: {position - begin} bytes wanted, {end - begin} left",
                start + begin,
            )
        part = data[begin:position]
        into[code] = into[code] + part if code in into else part


def write_triples(options: Mapping[int, bytes]) -> bytes:
    """Write options in the order given, without END; long ones in parts (RFC 3396 §5)."""
    out = bytearray()
    for code, value in options.items():
        if not _PAD < code < _END:
            raise ValueError(f"option code {code} cannot carry data")
        part, rest = value[:MAX_OPTION], value[MAX_OPTION:]
        while True:
            out.append(code)
            out.append(len(part))
            out += part
            if not rest:
                break
            part, rest = rest[:MAX_OPTION], rest[MAX_OPTION:]
    return bytes(out)


def written_size(options: Mapping[int, bytes]) -> int:
    """Tell how many bytes `write_triples` makes."""
    size = 0
    for value in options.values():
        parts = max(1, -(-len(value) // MAX_OPTION))
        size += 2 * parts + len(value)
    return size


_MESSAGE_TYPE = int(OptionCode.MESSAGE_TYPE)
_MESSAGE_TYPES = tuple(MessageType(value) for value in range(256))


def read_message_type(options: Mapping[int, bytes]) -> MessageType | None:
    """Option 53 (RFC 2132 §9.6); None for BOOTP."""
    value = options.get(_MESSAGE_TYPE)
    if value is None:
        return None
    if len(value) != 1:
        raise _wrong_size(_MESSAGE_TYPE, value, 1)
    return _MESSAGE_TYPES[value[0]]


def read_address(options: Mapping[int, bytes], code: OptionCode) -> IPv4Address | None:
    """Option 50 or 54 (RFC 2132 §9.1, §9.7)."""
    value = _exact(options, code, 4)
    return None if value is None else IPv4Address(value)


def read_max_message_size(options: Mapping[int, bytes]) -> int | None:
    """Option 57: the longest message the client takes (RFC 2132 §9.10)."""
    value = _exact(options, OptionCode.MAX_MESSAGE_SIZE, 2)
    return None if value is None else int.from_bytes(value)


def read_vendor_class(options: Mapping[int, bytes]) -> str | None:
    """Option 60 as text (RFC 2132 §9.13); bytes that are not ASCII are shown escaped."""
    value = options.get(OptionCode.VENDOR_CLASS)
    return None if value is None else value.rstrip(b"\0").decode("ascii", "backslashreplace")


def read_architectures(options: Mapping[int, bytes]) -> tuple[ClientArchitecture, ...]:
    """Option 93: what the client can run, best first (RFC 4578 §2.1); empty when absent."""
    value = options.get(OptionCode.CLIENT_ARCHITECTURE)
    if value is None:
        return ()
    if not value or len(value) % 2:
        raise MalformedPacket(
            f"option 93 has {len(value)} bytes; a list of 2-byte architectures was expected"
        )
    return tuple(
        ClientArchitecture(int.from_bytes(value[i : i + 2])) for i in range(0, len(value), 2)
    )


def _exact(options: Mapping[int, bytes], code: OptionCode, size: int) -> bytes | None:
    value = options.get(code)
    if value is not None and len(value) != size:
        raise _wrong_size(code, value, size)
    return value


def _wrong_size(code: int, value: bytes, size: int) -> MalformedPacket:
    return MalformedPacket(f"option {code} has {len(value)} bytes; {size} were expected")
