"""What becomes of one request: a transfer, an ERROR, or nothing."""

from collections import Counter
from functools import lru_cache

from bootyard.boot.client import RequestFacts
from bootyard.boot.names import is_normal_miss
from bootyard.boot.tree import Found, Missing, NotFound
from bootyard.model.errors import TFTPErrorCode, TransferRefused
from bootyard.model.mac import PROBE_MAC
from bootyard.runtime.log import get_logger
from bootyard.runtime.snapshots import SnapshotHolder
from services.tftp.admission import Arrival
from services.tftp.content import ContentStore, SourceChanged
from services.tftp.digest import TransferDigest, TransferSubject
from services.tftp.engine import Engine
from services.tftp.loaded import LoadedFirmware
from services.tftp.lookups import Lookups
from services.tftp.macs import NeighbourCache
from services.tftp.metrics import RejectReason, TFTPMetrics
from services.tftp.netascii import NetasciiSource
from services.tftp.options import Limits, negotiate
from services.tftp.order import Order, Peer
from services.tftp.packet import NETASCII, OCTET, ReadRequest, printable
from services.tftp.source import BlockSource

log = get_logger(__name__)

_negotiate = lru_cache(maxsize=1024)(negotiate)

MAX_TRANSFERS = 1000
MAX_TRANSFERS_PER_CLIENT = 64

HEALTH_FILE = ".health"


class Refused(TransferRefused):
    """A request that is answered with an ERROR and counted by `reason` (None: not found).

    `is_normal`: the client only looked whether there is such a file.
    """

    def __init__(
        self,
        code: TFTPErrorCode,
        message: str,
        reason: RejectReason | None,
        *,
        is_normal: bool = False,
    ) -> None:
        super().__init__(code, message)
        self.reason = reason
        self.is_normal = is_normal


class RequestDesk:
    """Knows which request each running transfer came from, and starts new ones."""

    def __init__(
        self,
        snapshots: SnapshotHolder,
        contents: ContentStore,
        engine: Engine,
        metrics: TFTPMetrics,
    ) -> None:
        self._lookups = Lookups(snapshots)
        self._contents = contents
        self._engine = engine
        self._metrics = metrics
        self._running: dict[Peer, ReadRequest] = {}
        self._per_client: Counter[str] = Counter()
        self._loaded = LoadedFirmware()
        self._neighbours = NeighbourCache()

    def read(self, request: ReadRequest, arrival: Arrival, limits: Limits) -> None:
        """Serve an RRQ; raises Refused."""
        peer = (str(arrival.source), arrival.port)
        if self._is_running(request, peer):
            return
        if request.mode not in {OCTET, NETASCII}:
            raise Refused(
                TFTPErrorCode.ILLEGAL_OPERATION, "neither octet nor netascii", RejectReason.MODE
            )
        if self._per_client[peer[0]] >= MAX_TRANSFERS_PER_CLIENT:
            raise _busy()
        facts = RequestFacts(
            client_ip=arrival.source,
            server_address=arrival.local_address,
            transport="tftp",
            mac=self._neighbours.mac_of(arrival.source),
            firmware=self._loaded.of(arrival.source),
        )
        found = self._find(request, facts)
        if found.firmware is not None:
            self._loaded.remember(arrival.source, found.firmware)
        subject = _subject(found, facts, arrival.port)
        if not subject.is_probe_of_ours:
            self._make_room()
        source = self._open(found)
        if request.mode == NETASCII:
            source, size = NetasciiSource(source), None
        else:
            size = source.size
        terms = _negotiate(request.options, limits, size)
        order = Order(
            subject=subject,
            source=source,
            terms=terms,
            interface_index=arrival.interface_index,
            peer=peer,
        )
        self._start(request, order)

    def finished(self, digest: TransferDigest) -> None:
        """Make room for another transfer."""
        self._forget(digest.subject)

    def _is_running(self, request: ReadRequest, peer: Peer) -> bool:
        """Answer an RRQ that came twice from its running transfer: there is never a twin."""
        running = self._running.get(peer)
        if running is None:
            return False
        if running == request and self._engine.repeat_request(peer):
            return True
        self._engine.supersede(peer)
        return False

    def _find(self, request: ReadRequest, facts: RequestFacts) -> Found:
        match self._lookups.resolve(request.filename, facts):
            case NotFound(reason=Missing.FORBIDDEN):
                raise Refused(
                    TFTPErrorCode.ACCESS_VIOLATION, "no such name", RejectReason.FORBIDDEN
                )
            case NotFound(path=path):
                raise Refused(
                    TFTPErrorCode.FILE_NOT_FOUND,
                    "file not found",
                    None,
                    is_normal=is_normal_miss(path.casefold()),
                )
            case found:
                return found

    def _make_room(self) -> None:
        # Forged sources of a whole network can fill the table: they go first.
        if len(self._running) >= MAX_TRANSFERS and not self._engine.evict_unproven():
            raise _busy()

    def _open(self, found: Found) -> BlockSource:
        try:
            return self._contents.open(found.content)
        except FileNotFoundError as error:
            log.warning("file is not on this disk", path=found.path, error=str(error))
            raise Refused(TFTPErrorCode.FILE_NOT_FOUND, "file not found", None) from error
        except SourceChanged as error:
            log.warning("file changed", path=found.path, error=str(error))
            raise Refused(
                TFTPErrorCode.NOT_DEFINED, "file changed, try again", RejectReason.CHANGED
            ) from error
        except OSError as error:
            log.warning("file not readable", path=found.path, error=str(error))
            raise Refused(
                TFTPErrorCode.ACCESS_VIOLATION, "file cannot be read", RejectReason.FORBIDDEN
            ) from error

    def _start(self, request: ReadRequest, order: Order) -> None:
        subject = order.subject
        # Before it starts: a transfer may end while it does.
        self._running[order.peer] = request
        if not subject.is_probe_of_ours:
            self._per_client[order.peer[0]] += 1
            self._metrics.sessions.inc()
        try:
            self._engine.start(order)
        except OSError as error:
            order.source.close()
            self._forget(subject)
            log.warning("no socket for a transfer", error=str(error))
            raise _busy() from error

    def _forget(self, subject: TransferSubject) -> None:
        client = str(subject.client_ip)
        del self._running[client, subject.client_port]
        if not subject.is_probe_of_ours:
            self._metrics.sessions.dec()
            self._per_client[client] -= 1
            if not self._per_client[client]:
                del self._per_client[client]


def _busy() -> Refused:
    return Refused(TFTPErrorCode.NOT_DEFINED, "busy, try again", RejectReason.BUSY)


def _subject(found: Found, facts: RequestFacts, port: int) -> TransferSubject:
    is_health_check = found.path.casefold() == HEALTH_FILE and facts.client_ip.is_loopback
    return TransferSubject(
        path=printable(found.path),
        file_class=found.file_class,
        script=found.script,
        image=found.image,
        firmware=found.firmware,
        client_ip=facts.client_ip,
        client_port=port,
        server_address=facts.server_address,
        mac=facts.mac,
        is_probe_of_ours=is_health_check or facts.mac == PROBE_MAC,
    )
