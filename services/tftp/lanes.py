"""Which lane carries a transfer, and how long a lane is kept."""

import socket
from ipaddress import IPv4Address

from services.tftp.lane import Lane

TRANSFERS_A_LANE = 256
"""One lane makes the largest batches, but its receive buffer must hold an ACK of everyone."""

LANES = 16
"""At most, of one address."""

IDLE_SECONDS = 30.0


class Lanes:
    """The lanes of each address and interface that machines ask."""

    def __init__(self) -> None:
        self.listener: socket.socket | None = None
        """Set in single-port mode: what everything is sent from."""
        self._lanes: dict[tuple[IPv4Address, int], list[Lane]] = {}

    def all(self) -> list[Lane]:
        """List them."""
        return [lane for lanes in self._lanes.values() for lane in lanes]

    def choose(
        self, address: IPv4Address, interface_index: int, avoided: Lane | None
    ) -> tuple[Lane, bool]:
        """Choose a lane, or open one; tells whether it is new. Raises OSError.

        A machine that was reset and asks from the port it had gets another port of ours, not the
        `avoided` one: what it still receives of the transfer before is not taken for this one.
        """
        lanes = self._lanes.setdefault((address, interface_index), [])
        usable = [lane for lane in lanes if lane is not avoided or self.listener is not None]
        lane = next((lane for lane in usable if len(lane.runs) < TRANSFERS_A_LANE), None)
        if lane is None and len(lanes) >= LANES:
            lane = min(usable, key=lambda lane: len(lane.runs))
        if lane is not None:
            return lane, False
        lane = Lane(address, interface_index, self.listener)
        lanes.append(lane)
        return lane, True

    def take_idle(self, now: float) -> list[Lane]:
        """Take the lanes that carried nothing for a while."""
        idle = [
            lane
            for lane in self.all()
            if not lane.runs and not lane.backlog and now - lane.idle_since > IDLE_SECONDS
        ]
        for place, lanes in list(self._lanes.items()):
            self._lanes[place] = kept = [lane for lane in lanes if lane not in idle]
            if not kept:
                del self._lanes[place]
        return idle
