"""What an engine is told to send, and to whom."""

import msgspec

from services.tftp.digest import TransferSubject
from services.tftp.options import Negotiated
from services.tftp.source import BlockSource

Peer = tuple[str, int]
"""Address and port: together with our own port the two ends of a transfer (RFC 1350 §4)."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer."""

    subject: TransferSubject
    source: BlockSource
    terms: Negotiated
    interface_index: int

    peer: Peer
    """Where to: the subject's client."""
