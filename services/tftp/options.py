"""TFTP option negotiation: which options are accepted, and with which values. Pure.

blksize (RFC 2348), timeout and tsize (RFC 2349), windowsize (RFC 7440 §3). An OACK holds only what
the client asked for, in its order: EDK2 ends the transfer with ERROR 4 over anything else, and
GRUB compares names byte by byte in lower case.
"""

import msgspec

from services.tftp.packet import Options

MAX_BLOCK = 65464
"""RFC 2348: "valid values range between 8 and 65464 octets"."""

HEADERS = 32
"""IPv4, UDP and TFTP in front of a block: 20 + 8 + 4 bytes."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How far a client may raise the costs of its transfer."""

    block_size: int = 1468
    window_size: int = 64
    """As many packets the kernel cuts a message into; 64 blocks of 1468 fit the receive buffer of a
    stock Linux client."""
    retry_s: float | None = None
    """Set for a subnet: what is not acknowledged is sent again after this long at the soonest."""
    tries: int | None = None
    """Set for a subnet: how often the same blocks are sent before the transfer ends."""

    @classmethod
    def for_mtu(cls, mtu: int) -> "Limits":
        """Blocks that are not fragmented: many ROMs cannot put fragments together again."""
        return cls(block_size=max(8, min(mtu - HEADERS, MAX_BLOCK)))


class Negotiated(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of one transfer. `accepted` is the OACK; empty: there is none."""

    block_size: int = 512
    window_size: int = 1
    timeout_s: int | None = None
    retry_s: float | None = None
    tries: int | None = None
    accepted: Options = ()


def negotiate(requested: Options, limits: Limits, size: int | None) -> Negotiated:
    """Settle the terms for content of `size` bytes; None: netascii, whose size is not known.

    An option that is unknown, malformed or out of range is left out of the OACK, never refused
    with ERROR 8: the client then goes on with the default (RFC 2347).
    """
    accepted: dict[str, int] = {}
    for name, text in requested:
        if name in accepted or not (text.isascii() and text.isdigit()):
            continue
        value = _accept(name, int(text), limits, size)
        if value is not None:
            accepted[name] = value
    return Negotiated(
        block_size=accepted.get("blksize", 512),
        window_size=accepted.get("windowsize", 1),
        timeout_s=accepted.get("timeout"),
        retry_s=limits.retry_s,
        tries=limits.tries,
        accepted=tuple((name, str(value)) for name, value in accepted.items()),
    )


def _accept(name: str, value: int, limits: Limits, size: int | None) -> int | None:
    match name:
        case "blksize" if 8 <= value <= MAX_BLOCK:
            return min(value, limits.block_size)
        case "tsize":
            return size
        case "timeout" if 1 <= value <= 255:
            # U-Boot and EDK2 stop on any other value than the one they sent.
            return value
        case "windowsize" if 1 <= value <= 65535 and size is not None:
            return min(value, limits.window_size)
        case _:
            return None
