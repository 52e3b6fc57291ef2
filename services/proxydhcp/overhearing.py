"""Tells about other servers whose answers were overheard: events, log lines, readiness."""

import asyncio
import time
from ipaddress import IPv4Address

from bootyard.model.errors import MalformedPacket
from bootyard.model.events import OTHER_SERVER, BootEvent, Step
from bootyard.runtime.interfaces import Interface
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.log import get_logger
from bootyard.runtime.telemetry import Telemetry
from services.proxydhcp.offer_listener import OfferListener
from services.proxydhcp.others import OtherServers, Overheard
from services.proxydhcp.packet import DHCPPacket

log = get_logger(__name__)

PLACE = "offer_listener"
"""Label of `bootyard_internal_errors_total`."""

SETTLE_SECONDS = 0.2
"""An answer is looked at this much later: our own offer to the machine may not be made yet."""
MAX_WAITING = 1024

READINESS = "other servers"


class Overhearing:
    """The listeners of all interfaces, and what becomes of what they hear."""

    def __init__(self, others: OtherServers, events: EventSender, telemetry: Telemetry) -> None:
        self._others = others
        self._events = events
        self._telemetry = telemetry
        self._listeners: dict[Interface, OfferListener] = {}
        self._waiting = 0
        self._may_listen = True
        telemetry.declare_places(PLACE)
        events.listener = self.note_event

    def note_event(self, event: BootEvent) -> None:
        """Learn from our own events who is booting."""
        if event.step is Step.OFFERED and event.mac is not None and event.outcome == "":
            self._others.note_booting(event.mac, time.monotonic())

    def listen_on(self, interfaces: tuple[Interface, ...]) -> None:
        """Listen on these interfaces and no others."""
        for interface in [each for each in self._listeners if each not in interfaces]:
            self._listeners.pop(interface).close()
        for interface in interfaces:
            if interface not in self._listeners and self._may_listen:
                self._open(interface)

    def close(self) -> None:
        """Stop listening."""
        self.listen_on(())

    def hear(self, data: bytes, source: IPv4Address, interface: str, at: float) -> None:
        """Look at an answer in a moment, or not at all when too many wait."""
        if self._waiting < MAX_WAITING:
            self._waiting += 1
            loop = asyncio.get_running_loop()
            loop.call_later(SETTLE_SECONDS, self._look, data, source, interface, at)

    def _open(self, interface: Interface) -> None:
        listener = OfferListener(interface, self.hear)
        try:
            listener.open()
        except PermissionError:
            self._may_listen = False
            reason = (
                "offers of other servers cannot be overheard without CAP_NET_RAW; machines boot"
                " all the same"
            )
            log.info("other servers not noticed", reason=reason)
            self._telemetry.degraded(READINESS, reason)
        except OSError as error:
            # It went away, or the next scan tries again.
            log.debug("offers not overheard", interface=interface.name, error=str(error))
        else:
            self._listeners[interface] = listener

    def _look(self, data: bytes, source: IPv4Address, interface: str, at: float) -> None:
        self._waiting -= 1
        try:
            packet = DHCPPacket.parse(data)
            overheard = self._others.overhear(packet, source, at)
        except MalformedPacket as error:
            log.debug("answer not read", interface=interface, client=str(source), error=str(error))
        except Exception:
            self._telemetry.internal_error(PLACE)
            log.exception("answer not handled", interface=interface, packet=data[:600].hex())
        else:
            if overheard is not None:
                self._tell(overheard, interface)

    def _tell(self, overheard: Overheard, interface: str) -> None:
        offer = overheard.offer
        self._events.send(
            Step.ACKED if offer.acked else Step.OFFERED,
            mac=offer.mac,
            xid=offer.xid,
            outcome=OTHER_SERVER,
            transport="dhcp",
            detail=offer.detail,
            ago=SETTLE_SECONDS,
        )
        if overheard.is_new_server:
            log.warning(
                "another server answers machines",
                kind=offer.kind,
                server=str(offer.server),
                boot_file=offer.boot_file,
                mac=offer.mac,
                interface=interface,
                cure=offer.cure,
            )
