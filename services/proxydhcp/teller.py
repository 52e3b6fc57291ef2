"""What the service tells about machines: boot events and log lines, each within its budget."""

from ipaddress import IPv4Address

from bootyard.boot.choice import Silence
from bootyard.boot.client import BootClient
from bootyard.model.events import Step
from bootyard.model.mac import MACAddress
from bootyard.runtime.lifecycle import EventSender
from bootyard.runtime.log import get_logger
from bootyard.runtime.telemetry import Telemetry
from services.proxydhcp.identify import stage_of
from services.proxydhcp.limits import EventBudget, KnownMachines, LineBudget
from services.proxydhcp.offers_made import Answer

log = get_logger(__name__)


class Teller:
    """Tells of packets and answers; what is over a budget is counted instead."""

    def __init__(self, events: EventSender, telemetry: Telemetry, known: KnownMachines) -> None:
        self._events = events
        self._telemetry = telemetry
        self._known = known
        self._event_budget = EventBudget()
        self._lines = LineBudget()

    def silent(self, client: BootClient, xid: int, silence: Silence, now: float) -> None:
        """Tell of a machine that gets no answer."""
        if self._may_tell(client.mac, now):
            self._discovered(client, xid, silence)

    def answered(
        self,
        answer: Answer,
        ip: IPv4Address | None,
        *,
        interface: str,
        server: IPv4Address,
        now: float,
    ) -> None:
        """Tell of a DISCOVER and its OFFER, or of an ACK."""
        client, offer, confirms = answer.client, answer.offer, answer.confirms
        if self._may_tell(client.mac, now, events=1 if confirms else 2):
            if not confirms:
                self._discovered(client, answer.xid)
            self._events.send(
                Step.ACKED if confirms else Step.OFFERED,
                mac=client.mac,
                ip=ip,
                xid=answer.xid,
                firmware=client.firmware,
                stage=offer.stage,
                strategy=offer.strategy,
                transport="dhcp",
                detail=offer.boot_file,
            )
        self.summarise(now)
        if not self._lines.admits(now):
            return
        log.info(
            "offer confirmed" if confirms else "offer sent",
            mac=client.mac,
            xid=f"{answer.xid:08x}",
            firmware=client.firmware,
            stage=offer.stage,
            boot_file=offer.boot_file,
            strategy=offer.strategy,
            interface=interface,
            server=str(server),
            client=str(answer.target[0]),
        )

    def not_sent(self, answer: Answer, error: OSError, *, interface: str, now: float) -> None:
        """Tell of an answer that did not leave."""
        client = answer.client
        if not answer.confirms and self._may_tell(client.mac, now):
            self._discovered(client, answer.xid)
        if self._lines.admits(now):
            log.warning(
                "answer not sent",
                mac=client.mac,
                interface=interface,
                client=str(answer.target[0]),
                error=str(error),
            )

    def addressed(
        self,
        mac: MACAddress,
        xid: int,
        ip: IPv4Address | None,
        client: BootClient | None,
        now: float,
    ) -> None:
        """Tell of the address that firmware or a loader asks for."""
        if self._may_tell(mac, now):
            self._events.send(
                Step.ADDRESSED,
                mac=mac,
                ip=ip,
                xid=xid,
                firmware=None if client is None else client.firmware,
                stage=None if client is None else stage_of(client),
                transport="dhcp",
            )

    def system_up(self, mac: MACAddress, xid: int, ip: IPv4Address | None, now: float) -> None:
        """Tell of an operating system's first DHCP."""
        if self._may_tell(mac, now):
            self._events.send(Step.SYSTEM_UP, mac=mac, ip=ip, xid=xid, transport="dhcp")
            log.info("system up", mac=mac, client=None if ip is None else str(ip))

    def summarise(self, now: float) -> None:
        """Say how many offers had no log line of their own."""
        left_out = self._lines.left_out(now)
        if left_out:
            log.info("more offers sent", count=left_out)

    def _may_tell(self, mac: MACAddress, now: float, events: int = 1) -> bool:
        """Ask before events are made; those that are not count as dropped."""
        if self._event_budget.admits(mac, now, known=self._known.knows(mac, now)):
            return True
        self._telemetry.events_dropped(events)
        return False

    def _discovered(self, client: BootClient, xid: int, silence: Silence | None = None) -> None:
        self._events.send(
            Step.DISCOVERED,
            mac=client.mac,
            xid=xid,
            firmware=client.firmware,
            stage=stage_of(client),
            outcome="" if silence is None else silence.reason,
            transport="dhcp",
            detail="" if silence is None else silence.detail,
        )
