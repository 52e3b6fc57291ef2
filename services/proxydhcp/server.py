"""Keeps ports 67 and 4011 open on every served interface, as interfaces come and go."""

import asyncio
import errno
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from bootyard.runtime.interfaces import (
    Interface,
    explain_bind_error,
    host_addresses,
    served_interfaces,
    unused_address,
)
from bootyard.runtime.lifecycle import Service
from bootyard.runtime.log import get_logger
from services.proxydhcp.boot_server import BootServer
from services.proxydhcp.dhcp_socket import DHCPSocket, shared_port
from services.proxydhcp.identify import Listener
from services.proxydhcp.overhearing import Overhearing
from services.proxydhcp.relays import Relays, explain_unserved
from services.proxydhcp.reply import BROADCAST
from services.proxydhcp.responder import Responder

log = get_logger(__name__)

SCAN_SECONDS = 2.0
FREE_SECONDS = 10.0
"""A DHCP server that held port 67 alone is being restarted, perhaps: taking the port in between
would leave the network without it."""
LOOPBACK = IPv4Address("127.0.0.1")
"""Port 4011 is served here too, for health probes."""

CURES = {
    Listener.DHCP: (
        "machines ask on this port only: let it share the port (dnsmasq: bind-interfaces or"
        " bind-dynamic), stop it, or run Bootyard on another host"
    ),
    Listener.BOOT_SERVER: "machines ask on this port only: stop it, or run Bootyard elsewhere",
}
"""What to do about another program that holds a port alone."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a socket is wanted; when its interface changes it is another place."""

    listener: Listener
    port: int
    interface: Interface | None
    """None: loopback."""
    bound_to: IPv4Address

    @property
    def interface_name(self) -> str:
        return "lo" if self.interface is None else self.interface.name

    @property
    def name(self) -> str:
        """How readiness and logs name it."""
        return f"{self.interface_name} port {self.port}"


class ProxyDHCPServer:
    """The sockets of the service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings = service.settings
        self._responder = Responder(service.snapshots, service.events, service.telemetry)
        self._overhearing = Overhearing(self._responder.others, service.events, service.telemetry)
        self._relays = Relays()
        self._unserved: tuple[IPv4Address, ...] = ()
        """Relays whose machines get no files."""
        self._served: dict[int, str] = {}
        """Names of the interfaces that are answered on, by index."""
        self._open: dict[_Place, DHCPSocket | BootServer] = {}
        self._failed: dict[_Place, str] = {}
        self._absent: frozenset[str] = frozenset()
        self._unused_address: str | None = None
        self._shares_port = False
        self._dhcp_port_busy_at = -FREE_SECONDS

    async def run(self) -> None:
        """Serve until the service is stopped."""
        loop = asyncio.get_running_loop()
        try:
            while not self._service.stopping.is_set():
                try:
                    await self.scan()
                except OSError as error:
                    # Interfaces come and go while they are listed.
                    log.warning("interfaces not scanned", error=str(error))
                self._responder.refresh(loop.time())
                try:
                    async with asyncio.timeout(SCAN_SECONDS):
                        await self._service.stopping.wait()
                except TimeoutError:
                    continue
        finally:
            self._overhearing.close()
            for place in list(self._open):
                await self._close(place)

    async def scan(self) -> None:
        """Open what is missing and close what is gone."""
        # Off the loop: with hundreds of interfaces this takes a while.
        interfaces = await asyncio.to_thread(served_interfaces, self._settings)
        own = await asyncio.to_thread(host_addresses)
        self._responder.others.own = frozenset(each.ip for each in own)
        self._served.clear()
        self._served.update({interface.index: interface.name for interface in interfaces})
        self._leave_unicast_to_another()
        wanted = self._places(interfaces)
        for place in [place for place in self._open if place not in wanted]:
            await self._close(place)
            log.info("port closed", where=place.name)
        for place in [place for place in self._failed if place not in wanted]:
            self._report(place, None)
        for place in wanted:
            if place not in self._open:
                await self._try_open(place)
        self._overhearing.listen_on(interfaces)
        self._tell(interfaces)
        self._tell_relays([each.network for each in own])

    def _places(self, interfaces: tuple[Interface, ...]) -> tuple[_Place, ...]:
        settings = self._settings
        dhcp, boot_server = Listener.DHCP, Listener.BOOT_SERVER
        places = [_Place(boot_server, settings.pxe_port, None, LOOPBACK)]
        for interface in interfaces:
            places.append(_Place(dhcp, settings.dhcp_port, interface, BROADCAST))
            if not self._shares_port:
                places.append(_Place(dhcp, settings.dhcp_port, interface, interface.address))
            if interface.address != LOOPBACK:
                places.append(_Place(boot_server, settings.pxe_port, interface, interface.address))
        return tuple(places)

    def _leave_unicast_to_another(self) -> None:
        """Leave unicast on port 67 to a DHCP server on this host, for good once one was seen.

        A server without SO_REUSEADDR (Kea) could not be started again beside our relay socket.
        """
        if self._shares_port:
            return
        self._shares_port = self._is_shared()
        if self._shares_port:
            log.info(
                "port shared",
                port=self._settings.dhcp_port,
                reason="another DHCP server runs on this host; relays are left to it",
            )

    def _is_shared(self) -> bool:
        """Tell whether another program is on port 67."""
        own = frozenset(p.inode for p in self._open.values() if isinstance(p, DHCPSocket))
        return shared_port(self._settings.dhcp_port, own)

    def _may_be_restarting(self, place: _Place) -> bool:
        """Tell whether the program that held port 67 alone is gone for a moment only."""
        if place not in self._failed or place.listener is not Listener.DHCP:
            return False
        passed = asyncio.get_running_loop().time() - self._dhcp_port_busy_at
        return passed < FREE_SECONDS and not self._is_shared()

    async def _try_open(self, place: _Place) -> None:
        if self._may_be_restarting(place):
            return
        try:
            port = self._make(place)
            await port.open()
        except OSError as error:
            if error.errno == errno.EADDRINUSE and place.listener is Listener.DHCP:
                self._dhcp_port_busy_at = asyncio.get_running_loop().time()
            if place not in self._failed:
                reason = await asyncio.to_thread(
                    explain_bind_error, error, place.port, "udp", CURES[place.listener]
                )
                self._report(place, reason)
            return
        self._open[place] = port
        self._report(place, None)
        log.info("port open", where=place.name, address=str(place.bound_to))

    def _make(self, place: _Place) -> DHCPSocket | BootServer:
        if place.interface is not None and place.listener is Listener.DHCP:
            return DHCPSocket(
                place.interface,
                place.bound_to,
                place.port,
                self._responder,
                served=self._served,
                relays=self._relays,
            )
        return BootServer(place.interface_name, place.bound_to, place.port, self._responder)

    async def _close(self, place: _Place) -> None:
        await self._open.pop(place).close()

    def _report(self, place: _Place, reason: str | None) -> None:
        """Note that a place is open or no longer wanted (None), or why it cannot be opened."""
        if reason is None:
            self._failed.pop(place, None)
        else:
            self._failed[place] = reason
            log.error("port not served", where=place.name, reason=reason)
        same_name = (r for p, r in self._failed.items() if p.name == place.name)
        self._service.telemetry.degraded(place.name, next(same_name, None))

    def _tell(self, interfaces: tuple[Interface, ...]) -> None:
        """Say whether machines can be answered at all, and which interfaces are not there."""
        telemetry = self._service.telemetry
        served = {place.listener for place in self._open if place.interface is not None}
        reason = None
        if not interfaces:
            reason = "no interface to serve has an IPv4 address; see BOOTYARD_INTERFACES"
        elif len(served) < len(Listener):
            reasons = (r for p, r in self._failed.items() if p.listener not in served)
            reason = next(reasons, "a port is open on no interface")
        telemetry.ready("sockets", reason)
        names = {interface.name for interface in interfaces}
        absent = frozenset(self._settings.interfaces) - names
        for name in absent - self._absent:
            log.warning("interface not served", interface=name, reason="absent or down")
            telemetry.degraded(f"interface {name}", "absent, down or without an IPv4 address")
        for name in self._absent - absent:
            telemetry.degraded(f"interface {name}", None)
        self._absent = absent
        unused = unused_address(self._settings, interfaces)
        if unused != self._unused_address:
            self._unused_address = unused
            telemetry.degraded("address", unused)
            if unused is not None:
                log.warning("address not used", reason=unused)

    def _tell_relays(self, near: list[IPv4Network]) -> None:
        """Say which machines are offered a loader that they cannot get."""
        rules = self._service.snapshots.snapshot.policy.subnets
        unserved = self._relays.unserved(near, rules, asyncio.get_running_loop().time())
        for relay in set(self._unserved) - set(unserved):
            self._service.telemetry.degraded(f"relay {relay}", None)
        for relay in set(unserved) - set(self._unserved):
            reason = explain_unserved(relay)
            self._service.telemetry.degraded(f"relay {relay}", reason)
            log.warning("machines not served", reason=reason)
        self._unserved = unserved
