"""Errors that cross a room.

BootyardError
├── MalformedPacket      a peer sent bytes that are not the protocol (its fault: drop and count)
├── TransferRefused      a TFTP request that gets an ERROR packet; carries the error code
├── ImageRejected        a file or folder in the library that cannot be booted; carries the cure
├── SnapshotUnreadable   a snapshot of another schema, or no snapshot at all
├── SettingsInvalid      settings that do not parse; carries every problem at once
├── StoreUnavailable     Redis did not answer in time
└── RequestRefused       an API request that breaks a rule; carries the cure
"""

from enum import IntEnum


class BootyardError(Exception):
    """Base of everything a caller may want to catch."""


class MalformedPacket(BootyardError):
    """Bytes from the network that do not follow their protocol.

    ``offset`` is where reading stopped, counted from the start of the datagram.
    """

    def __init__(self, problem: str, offset: int | None = None) -> None:
        super().__init__(problem if offset is None else f"{problem} (at byte {offset})")
        self.problem = problem
        self.offset = offset


class TFTPErrorCode(IntEnum):
    """RFC 1350 §5 and RFC 2347."""

    NOT_DEFINED = 0
    FILE_NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    DISK_FULL = 3
    ILLEGAL_OPERATION = 4
    UNKNOWN_TRANSFER_ID = 5
    FILE_EXISTS = 6
    NO_SUCH_USER = 7
    OPTION_NEGOTIATION = 8


class TransferRefused(BootyardError):
    """A TFTP request that is answered with an ERROR packet (RFC 1350 §5)."""

    def __init__(self, code: TFTPErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ImageRejected(BootyardError):
    """Something in the library that cannot be booted: what is wrong, and what to do about it."""

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(f"{problem}; {cure}")
        self.problem = problem
        self.cure = cure


class SnapshotUnreadable(BootyardError):
    """A document that is not a snapshot this version can read."""


class SettingsInvalid(BootyardError):
    """Every setting that does not parse, each line naming variable, value and cure."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreUnavailable(BootyardError):
    """Redis did not answer within the time a command is given."""


class RequestRefused(BootyardError):
    """A request for a change that a rule forbids: what is wrong, and what to do instead."""

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(f"{problem}; {cure}")
        self.problem = problem
        self.cure = cure
