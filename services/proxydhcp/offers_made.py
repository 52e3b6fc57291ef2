"""Offers that were made before, for DISCOVERs that differ only by the machine that sends them.

In a flood, and when power comes back to a whole site, thousands of them come within seconds. An
offer is kept with the places in it that are a machine's own, and given again with these exchanged.
Machines that the snapshot tells apart, and Raspberry Pis, which are known by what is exchanged
here, are never answered from memory. Pure bytes, no sockets, no clock.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address

import msgspec

from bootyard.boot.choice import BootOffer
from bootyard.boot.client import BootClient, RecentBoot
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Snapshot
from services.proxydhcp.identify import RASPBERRY_PI_MACHINE_ID, RASPBERRY_PI_OUIS
from services.proxydhcp.options import OptionCode
from services.proxydhcp.packet import OPTIONS_OFFSET
from services.proxydhcp.pxe import read_machine_id
from services.proxydhcp.reply import Endpoint

REMEMBERED = 256
SHAPES_OF_A_LENGTH = 4

_XID = slice(4, 8)
_CHADDR = slice(28, 34)
_OWN = (int(OptionCode.CLIENT_IDENTIFIER), int(OptionCode.CLIENT_MACHINE_ID))
"""Options that hold a machine's own number; an answer repeats them, and depends on them no more."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine is sent."""

    client: BootClient
    offer: BootOffer
    xid: int
    reply: bytes
    target: Endpoint
    confirms: bool = False
    """It is an ACK."""


class _Shape(msgspec.Struct, frozen=True):
    """Where DISCOVERs of a make of firmware have a machine's own options: start and end."""

    identifier: tuple[int, int] | None
    machine_id: tuple[int, int] | None

    def without_own(self, data: bytes) -> bytes:
        """Take out what is a machine's own, or one packet's: xid, secs, chaddr and options."""
        parts = [data[:4], data[10:28]]
        at = _CHADDR.stop
        for place in sorted(place for place in (self.identifier, self.machine_id) if place):
            parts.append(data[at : place[0]])
            at = place[1]
        parts.append(data[at:])
        return b"".join(parts)


class _Kept(msgspec.Struct, frozen=True):
    answer: Answer
    server: IPv4Address
    moves: tuple[tuple[int, int, int, int], ...]
    """Start and end in a DISCOVER, start and end in the offer."""


class OffersMade:
    """Keeps offers of one snapshot."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._shapes: dict[int, list[_Shape]] = {}
        self._kept: dict[tuple[object, ...], _Kept] = {}

    def find(
        self, data: bytes, recent: RecentBoot, server: IPv4Address, snapshot: Snapshot
    ) -> Answer | None:
        """Answer a datagram like one before; None when it has to be read."""
        shapes = self._shapes.get(len(data))
        if shapes is None or snapshot is not self._snapshot:
            return None
        mac = MACAddress.from_bytes(data[_CHADDR])
        if mac.startswith(RASPBERRY_PI_OUIS) or tells_apart(snapshot, mac):
            return None
        for shape in shapes:
            kept = self._kept.get(_question(shape.without_own(data), recent))
            if kept is None or kept.server != server:
                continue
            machine_id = b""
            if shape.machine_id is not None:
                machine_id = data[shape.machine_id[0] : shape.machine_id[1]]
                if machine_id.startswith(RASPBERRY_PI_MACHINE_ID):
                    return None
            return _again(kept, data, mac, machine_id)
        return None

    def keep(
        self,
        data: bytes,
        recent: RecentBoot,
        server: IPv4Address,
        snapshot: Snapshot,
        answer: Answer,
    ) -> None:
        """Remember how a DISCOVER was answered."""
        shape = _shape(data)
        client = answer.client
        if shape is None or tells_apart(snapshot, client.mac) or _may_be_a_pi(data, shape, client):
            return
        if snapshot is not self._snapshot or len(self._kept) >= REMEMBERED:
            self._snapshot = snapshot
            self._shapes.clear()
            self._kept.clear()
        shapes = self._shapes.setdefault(len(data), [])
        if shape not in shapes:
            if len(shapes) >= SHAPES_OF_A_LENGTH:
                return
            shapes.append(shape)
        echoed = dict(_places(answer.reply))
        moves = [(_XID.start, _XID.stop) * 2, (_CHADDR.start, _CHADDR.stop) * 2]
        for code, place in zip(_OWN, (shape.identifier, shape.machine_id), strict=True):
            if place is not None and code in echoed:
                moves.append((*place, *echoed[code]))
        question = _question(shape.without_own(data), recent)
        self._kept[question] = _Kept(answer, server, tuple(moves))


def tells_apart(snapshot: Snapshot, mac: MACAddress) -> bool:
    """Tell whether a snapshot says anything about single machines that may be this one."""
    policy = snapshot.policy
    return bool(
        mac in snapshot.machines
        or mac in snapshot.learned
        or mac in snapshot.armed
        or policy.allow
        or policy.deny
    )


def _question(data: bytes, recent: RecentBoot) -> tuple[object, ...]:
    return data, recent.strategy, recent.ignored, recent.given


def _again(kept: _Kept, data: bytes, mac: MACAddress, machine_id: bytes) -> Answer:
    reply = bytearray(kept.answer.reply)
    for start, end, to, to_end in kept.moves:
        reply[to:to_end] = data[start:end]
    client = kept.answer.client
    return Answer(
        client=BootClient(
            mac=mac,
            firmware=client.firmware,
            kind=client.kind,
            architecture=client.architecture,
            uuid=read_machine_id(machine_id),
            vendor_class=client.vendor_class,
            user_class=client.user_class,
            ipxe_features=client.ipxe_features,
            interface=client.interface,
            relay=client.relay,
            max_message_size=client.max_message_size,
        ),
        offer=kept.answer.offer,
        xid=int.from_bytes(data[_XID]),
        reply=bytes(reply),
        target=kept.answer.target,
    )


def _may_be_a_pi(data: bytes, shape: _Shape, client: BootClient) -> bool:
    is_named_so = shape.machine_id is not None and data.startswith(
        RASPBERRY_PI_MACHINE_ID, shape.machine_id[0]
    )
    return client.mac.startswith(RASPBERRY_PI_OUIS) or is_named_so


def _shape(data: bytes) -> _Shape | None:
    """Find a machine's own options; None where options are repeated or in other fields.

    Whatever equals this datagram outside of these places has them at the same ones: all lengths
    that lead there are equal.
    """
    places = list(_places(data))
    found = dict(places)
    if len(found) != len(places) or OptionCode.OVERLOAD in found:
        return None
    return _Shape(*(found.get(code) for code in _OWN))


def _places(data: bytes) -> Iterator[tuple[int, tuple[int, int]]]:
    """Walk the options of a message that was read before, or was made here."""
    at = OPTIONS_OFFSET
    while at < len(data) and data[at] != OptionCode.END:
        if data[at] == OptionCode.PAD:
            at += 1
            continue
        start = at + 2
        end = start + data[at + 1]
        yield data[at], (start, end)
        at = end
