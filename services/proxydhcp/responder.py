"""One packet from arrival to answer: read, identify, choose, reply, and tell about it.

The sockets are elsewhere: they call `handle` with what they heard and a way to send.
"""

import logging
import time
from collections.abc import Callable
from ipaddress import IPv4Address

import msgspec

from bootyard.boot.choice import BootOffer, Silence, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot
from bootyard.model.errors import MalformedPacket
from bootyard.model.events import IgnoreReason, OfferStage
from bootyard.model.loaders import OfferStrategy
from bootyard.model.mac import PROBE_MAC, MACAddress
from bootyard.model.snapshot import Snapshot
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.log import get_logger
from bootyard.runtime.snapshots import SnapshotHolder
from bootyard.runtime.telemetry import Telemetry
from services.proxydhcp.identify import Listener, asks_to_boot, identify, unasked
from services.proxydhcp.limits import KnownMachines, RateLimiter
from services.proxydhcp.metrics import SERVER_KINDS, Metrics
from services.proxydhcp.offers_made import Answer, OffersMade
from services.proxydhcp.options import MessageType, OptionCode, read_address
from services.proxydhcp.others import OtherServers
from services.proxydhcp.packet import NOWHERE, DHCPPacket, mac_within, xid_within
from services.proxydhcp.recent import RecentBoots
from services.proxydhcp.reply import Endpoint, build_reply, destination, is_acknowledged
from services.proxydhcp.teller import Teller

log = get_logger(__name__)
_level = logging.getLogger(__name__)
"""Tells which lines are written."""

PLACES = {Listener.DHCP: "dhcp", Listener.BOOT_SERVER: "boot_server"}
"""Labels of `bootyard_internal_errors_total`."""

PROBE_OFFER = BootOffer(
    boot_file=".health", strategy=OfferStrategy.COMPATIBLE, stage=OfferStage.ROM
)
"""What a health probe gets when its MAC would get nothing: policies are not about it."""

Send = Callable[[bytes, Endpoint], None]


class Heard(msgspec.Struct, frozen=True):
    """A datagram, where it came from and where it was heard."""

    data: bytes
    source: Endpoint
    listener: Listener
    interface: str
    server: IPv4Address
    """Our address there: what the machine is told to use."""
    at: float
    """`time.monotonic()` of its arrival."""


EFI_WANTS = b"\x01\x03\x06"
"""Netmask, router, DNS: what EDK2's IP driver asks for, and in this order (`Ip4Config2Impl.c`).

Programs of EFI that use its UDP, such as syslinux.efi, make it ask before any system runs.
"""


def _is_system(packet: DHCPPacket) -> bool:
    """Tell whether an operating system asks, and not the firmware for a program of EFI."""
    return packet.options.get(OptionCode.PARAMETER_REQUEST_LIST) != EFI_WANTS


def _has_address(packet: DHCPPacket, kind: MessageType) -> bool:
    """Tell whether a system that sends this is about to use an address.

    A DISCOVER is followed by a REQUEST, unless it asks for a lease in two messages (RFC 4039).
    """
    return kind is MessageType.REQUEST or OptionCode.RAPID_COMMIT in packet.options


class Responder:
    """Answers machines that ask to boot, and hears what else they say."""

    def __init__(
        self, snapshots: SnapshotHolder, events: EventSender, telemetry: Telemetry
    ) -> None:
        self._snapshots = snapshots
        self._telemetry = telemetry
        self._metrics = Metrics(telemetry.registry)
        self._known = KnownMachines()
        snapshots.on_adopt(self._adopt)
        self._limiter = RateLimiter()
        self._teller = Teller(events, telemetry, self._known)
        self._boots = RecentBoots(self._known.keeps)
        self._offers = OffersMade()
        self._others = OtherServers()
        telemetry.declare_places(*PLACES.values())

    def _adopt(self, snapshot: Snapshot) -> None:
        self._known.registered = snapshot.machines

    def handle(self, heard: Heard, send: Send) -> None:
        """Answer a datagram, or not. Never raises: a packet may be lost, the service goes on."""
        try:
            self._handle(heard, send)
        except Exception:
            self._telemetry.internal_error(PLACES[heard.listener])
            log.exception(
                "packet not handled", interface=heard.interface, packet=heard.data[:600].hex()
            )

    @property
    def others(self) -> OtherServers:
        """Other servers that were heard of."""
        return self._others

    def refresh(self, now: float) -> None:
        """Bring gauges up to date."""
        for kind in SERVER_KINDS:
            self._metrics.other_servers(kind, self._others.count(kind, now))
        self._teller.summarise(now)

    def _handle(self, heard: Heard, send: Send) -> None:
        mac = mac_within(heard.data)
        refusal = self._refusal(mac, heard)
        if refusal is not None:
            self._metrics.received(heard.listener, None)
            self._ignore(heard, mac, IgnoreReason.RATE_LIMITED, refusal)
            return
        if heard.listener is Listener.DHCP and mac not in (None, PROBE_MAC):
            answer = self._made_before(mac, heard)
            if answer is not None:
                self._metrics.received(heard.listener, MessageType.DISCOVER)
                self._give(answer, heard, send)
                return
        try:
            packet = DHCPPacket.parse(heard.data)
            kind = packet.message_type
        except MalformedPacket as error:
            self._metrics.received(heard.listener, None)
            self._ignore(heard, mac, IgnoreReason.MALFORMED, str(error))
            return
        if packet.mac == PROBE_MAC:
            self._answer_probe(packet, heard, send)
            return
        self._metrics.received(heard.listener, kind)
        try:
            self._others.notice(packet, heard.server, heard.at)
            if heard.listener is Listener.DHCP:
                self._listen(packet, kind, heard)
        except MalformedPacket as error:
            self._ignore(heard, mac, IgnoreReason.MALFORMED, str(error))
            return
        client = identify(packet, heard.interface)
        silence = client if isinstance(client, Silence) else unasked(packet, heard.listener)
        if silence is not None:
            self._ignore(heard, mac, silence.reason, silence.detail)
        elif isinstance(client, BootClient):
            self._answer(packet, client, heard, send)

    def _refusal(self, mac: str | None, heard: Heard) -> str | None:
        """Tell whose limit keeps a datagram from being looked into, if one does."""
        if mac == PROBE_MAC and heard.source[0].is_loopback:
            return None  # a health check must not fail because of others' floods
        if mac is None or mac == PROBE_MAC:
            is_admitted = self._limiter.admits_unread(heard.at)
            return None if is_admitted else "all other machines together"
        known = self._known.knows(mac, heard.at)
        return self._limiter.refusal(mac, heard.at, known=known)

    def _made_before(self, mac: str, heard: Heard) -> Answer | None:
        """Find the answer to a DISCOVER like one before."""
        snapshot = self._snapshots.snapshot
        recent = self._boots.recall(MACAddress(mac), xid_within(heard.data), heard.at)
        return self._offers.find(heard.data, recent, heard.server, snapshot)

    def _answer(self, packet: DHCPPacket, client: BootClient, heard: Heard, send: Send) -> None:
        """Answer a machine as the snapshot says."""
        snapshot = self._snapshots.snapshot
        confirms = is_acknowledged(packet)
        if confirms:
            self._boots.took_offer(client.mac)
        recent = self._boots.recall(client.mac, None if confirms else packet.xid, heard.at)
        decision = choose(client, recent, snapshot)
        if isinstance(decision, Silence):
            self._teller.silent(client, packet.xid, decision, heard.at)
            self._ignore(heard, client.mac, decision.reason, decision.detail)
            return
        reply = build_reply(
            packet, client, decision, server=heard.server, http_port=snapshot.http_port
        )
        answer = Answer(
            client=client,
            offer=decision,
            xid=packet.xid,
            reply=reply.to_bytes(),
            target=destination(packet, heard.source),
            confirms=confirms,
        )
        if not confirms:
            self._offers.keep(heard.data, recent, heard.server, snapshot, answer)
        self._give(answer, heard, send, self._address(packet) if confirms else None)

    def _give(
        self, answer: Answer, heard: Heard, send: Send, ip: IPv4Address | None = None
    ) -> None:
        """Send an answer, and tell of it."""
        client = answer.client
        if not answer.confirms:
            self._boots.note_offer(client, answer.offer, answer.xid, heard.at)
        if answer.confirms or client.kind is ClientKind.IPXE:
            self._known.note_step(client.mac, heard.at)
        try:
            send(answer.reply, answer.target)
        except OSError as error:
            self._teller.not_sent(answer, error, interface=heard.interface, now=heard.at)
            return
        self._metrics.answered(time.monotonic() - heard.at)
        if not answer.confirms:
            self._metrics.offered(client.firmware, answer.offer.stage)
        self._teller.answered(
            answer, ip, interface=heard.interface, server=heard.server, now=heard.at
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
                self._tell_address(packet, address, heard)
        elif (
            _is_system(packet)
            and _has_address(packet, kind)
            and self._boots.system_came_up(packet.mac)
        ):
            self._teller.system_up(packet.mac, packet.xid, address, heard.at)

    def _tell_address(self, packet: DHCPPacket, address: IPv4Address | None, heard: Heard) -> None:
        client = identify(packet, heard.interface)
        known = client if isinstance(client, BootClient) else None
        if known is not None and known.kind is ClientKind.ROM:
            self._boots.took_lease(packet.mac)
        self._known.note_step(packet.mac, heard.at)
        self._teller.addressed(packet.mac, packet.xid, address, known, heard.at)

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
        )
        try:
            send(reply.to_bytes(), destination(packet, heard.source))
        except OSError as error:
            log.debug("probe not answered", error=str(error))

    def _ignore(self, heard: Heard, mac: str | None, reason: IgnoreReason, detail: str) -> None:
        self._metrics.ignored(reason)
        if not _level.isEnabledFor(logging.DEBUG):
            return  # making a line that nobody reads costs more than all the rest
        log.debug(
            "packet ignored",
            mac=mac,
            reason=reason,
            detail=detail,
            client=str(heard.source[0]),
            interface=heard.interface,
            port=heard.listener,
        )
