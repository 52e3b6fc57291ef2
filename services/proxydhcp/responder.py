"""One packet from arrival to answer: read, identify, choose, reply, and tell about it.

The sockets are elsewhere: they call `handle` with what they heard and a way to send.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from bootyard.boot.choice import BootOffer, Silence, choose
from bootyard.boot.client import BootClient, RecentBoot
from bootyard.model.errors import MalformedPacket
from bootyard.model.events import IgnoreReason, OfferStage, Step
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import PROBE_MAC
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.log import get_logger
from bootyard.runtime.snapshots import SnapshotHolder
from bootyard.runtime.telemetry import Telemetry
from services.proxydhcp.identify import Listener, asks_to_boot, identify, stage_of, unasked
from services.proxydhcp.limits import RateLimiter
from services.proxydhcp.metrics import SERVER_KINDS, Metrics
from services.proxydhcp.options import MessageType, OptionCode, read_address
from services.proxydhcp.others import OtherServers
from services.proxydhcp.packet import NOWHERE, DHCPPacket
from services.proxydhcp.recent import RecentBoots
from services.proxydhcp.reply import Endpoint, build_reply, destination

log = get_logger(__name__)

PLACES = {Listener.DHCP: "dhcp", Listener.BOOT_SERVER: "boot_server"}
"""Labels of `bootyard_internal_errors_total`."""

PROBE_OFFER = BootOffer(
    boot_file=".health", strategy=OfferStrategy.COMPATIBLE, stage=OfferStage.ROM
)
"""What a health probe gets when its MAC would get nothing: policies are not about it."""

Send = Callable[[bytes, Endpoint], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """A datagram, where it came from and where it was heard."""

    data: bytes
    source: Endpoint
    listener: Listener
    interface: str
    server: IPv4Address
    """Our address there: what the machine is told to use."""
    at: float
    """`time.monotonic()` of its arrival."""


class Responder:
    """Answers machines that ask to boot, and hears what else they say."""

    def __init__(
        self, snapshots: SnapshotHolder, events: EventSender, telemetry: Telemetry
    ) -> None:
        self._snapshots = snapshots
        self._events = events
        self._telemetry = telemetry
        self._metrics = Metrics(telemetry.registry)
        self._limiter = RateLimiter()
        self._boots = RecentBoots()
        self._others = OtherServers()
        telemetry.declare_places(*PLACES.values())

    def handle(self, heard: Heard, send: Send) -> None:
        """Answer a datagram, or not. Never raises: a packet may be lost, the service goes on."""
        try:
            self._handle(heard, send)
        except Exception:
            self._telemetry.internal_error(PLACES[heard.listener])
            log.exception(
                "packet not handled", interface=heard.interface, packet=heard.data[:600].hex()
            )

    def refresh(self, now: float) -> None:
        """Bring gauges up to date."""
        for kind in SERVER_KINDS:
            self._metrics.other_servers(kind, self._others.count(kind, now))

    def _handle(self, heard: Heard, send: Send) -> None:
        # The health probe comes over loopback and must not fail because of others' floods.
        if not heard.source[0].is_loopback and not self._limiter.admits(heard.at):
            self._metrics.received(heard.listener, None)
            self._ignore(heard, None, IgnoreReason.RATE_LIMITED, "all machines together")
            return
        try:
            packet = DHCPPacket.parse(heard.data)
            kind = packet.message_type
        except MalformedPacket as error:
            self._metrics.received(heard.listener, None)
            self._ignore(heard, None, IgnoreReason.MALFORMED, str(error))
            return
        if packet.mac == PROBE_MAC:
            self._answer_probe(packet, heard, send)
            return
        self._metrics.received(heard.listener, kind)
        if not self._limiter.admits_machine(packet.mac, heard.at):
            self._ignore(heard, packet, IgnoreReason.RATE_LIMITED, "this machine")
            return
        try:
            self._others.notice(packet, heard.server, heard.at)
            if heard.listener is Listener.DHCP:
                self._listen(packet, kind, heard)
        except MalformedPacket as error:
            self._ignore(heard, packet, IgnoreReason.MALFORMED, str(error))
            return
        client = identify(packet, heard.interface)
        silence = client if isinstance(client, Silence) else unasked(packet, heard.listener)
        if silence is not None:
            self._ignore(heard, packet, silence.reason, silence.detail)
        elif isinstance(client, BootClient):
            self._answer(packet, client, heard, send)

    def _answer(self, packet: DHCPPacket, client: BootClient, heard: Heard, send: Send) -> None:
        """Answer a machine as the snapshot says."""
        snapshot = self._snapshots.snapshot
        stage = stage_of(client)
        decision = choose(client, self._boots.recall(client.mac, heard.at), snapshot)
        if heard.listener is Listener.DHCP:
            self._events.send(
                Step.DISCOVERED,
                mac=client.mac,
                xid=packet.xid,
                firmware=client.firmware,
                stage=stage,
                outcome=decision.reason if isinstance(decision, Silence) else "",
                transport="dhcp",
                detail=decision.detail if isinstance(decision, Silence) else "",
            )
        if isinstance(decision, Silence):
            self._ignore(heard, packet, decision.reason, decision.detail)
            return
        if heard.listener is Listener.DHCP:
            self._boots.note_offer(client, decision, heard.at)
        else:
            self._boots.took_offer(client.mac)
        reply = build_reply(
            packet,
            client,
            decision,
            server=heard.server,
            http_port=snapshot.http_port,
            listener=heard.listener,
        )
        target = destination(packet, heard.source, heard.listener)
        try:
            send(reply.to_bytes(), target)
        except OSError as error:
            log.warning(
                "answer not sent",
                mac=client.mac,
                interface=heard.interface,
                client=str(target[0]),
                error=str(error),
            )
            return
        self._metrics.answered(time.monotonic() - heard.at)
        offers = heard.listener is Listener.DHCP
        if offers:
            self._metrics.offered(client.firmware, decision.stage)
        self._events.send(
            Step.OFFERED if offers else Step.ACKED,
            mac=client.mac,
            ip=None if offers else self._address(packet),
            xid=packet.xid,
            firmware=client.firmware,
            stage=decision.stage,
            strategy=decision.strategy,
            transport="dhcp",
            detail=decision.boot_file,
        )
        log.info(
            "offer sent" if offers else "offer confirmed",
            mac=client.mac,
            xid=f"{packet.xid:08x}",
            firmware=client.firmware,
            stage=decision.stage,
            boot_file=decision.boot_file,
            strategy=decision.strategy,
            interface=heard.interface,
            server=str(heard.server),
            client=str(target[0]),
        )

    def _address(self, packet: DHCPPacket) -> IPv4Address | None:
        return self._boots.address_of(packet.mac) if packet.ciaddr == NOWHERE else packet.ciaddr

    def _listen(self, packet: DHCPPacket, kind: MessageType | None, heard: Heard) -> None:
        """Hear what machines say to their DHCP server."""
        if kind not in (MessageType.DISCOVER, MessageType.REQUEST):
            return
        address = None
        if kind is MessageType.REQUEST:
            address = read_address(packet.options, OptionCode.REQUESTED_ADDRESS)
            if address is None and packet.ciaddr != NOWHERE:
                address = packet.ciaddr
        news = address is not None and self._boots.learn_address(packet.mac, address, packet.xid)
        if asks_to_boot(packet):
            if news:
                client = identify(packet, heard.interface)
                known = client if isinstance(client, BootClient) else None
                self._events.send(
                    Step.ADDRESSED,
                    mac=packet.mac,
                    ip=address,
                    xid=packet.xid,
                    firmware=None if known is None else known.firmware,
                    stage=None if known is None else stage_of(known),
                    transport="dhcp",
                )
        elif self._boots.system_came_up(packet.mac):
            self._events.send(
                Step.SYSTEM_UP, mac=packet.mac, ip=address, xid=packet.xid, transport="dhcp"
            )
            log.info("system up", mac=packet.mac, client=None if address is None else str(address))

    def _answer_probe(self, packet: DHCPPacket, heard: Heard, send: Send) -> None:
        """Answer a health probe as any machine, leaving no trace."""
        client = identify(packet, heard.interface)
        if isinstance(client, Silence) or unasked(packet, heard.listener) is not None:
            return
        snapshot = self._snapshots.snapshot
        decision = choose(client, RecentBoot(), snapshot)
        reply = build_reply(
            packet,
            client,
            PROBE_OFFER if isinstance(decision, Silence) else decision,
            server=heard.server,
            http_port=snapshot.http_port,
            listener=heard.listener,
        )
        try:
            send(reply.to_bytes(), destination(packet, heard.source, heard.listener))
        except OSError as error:
            log.debug("probe not answered", error=str(error))

    def _ignore(
        self, heard: Heard, packet: DHCPPacket | None, reason: IgnoreReason, detail: str
    ) -> None:
        self._metrics.ignored(reason)
        log.debug(
            "packet ignored",
            mac=None if packet is None else packet.mac,
            reason=reason,
            detail=detail,
            client=str(heard.source[0]),
            interface=heard.interface,
            port=heard.listener,
        )
