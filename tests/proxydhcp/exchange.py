"""Machines that ask and servers that answer, on a host's wires."""

import socket
from contextlib import suppress
from ipaddress import IPv4Address

from bootyard.model.mac import MACAddress
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import DHCPPacket, OpCode
from services.proxydhcp.reply import BOOTPC, BOOTPS
from tests.proxydhcp.host import BROADCAST, Host, Machine, receive
from tests.proxydhcp.packets import request

BOOT_SERVER = 4011
NEAR, FAR = "10.77.0.1", "10.78.0.1"
"""The host's addresses on its two wires."""


def mac(number: int) -> MACAddress:
    return MACAddress.from_bytes(bytes((2, 0, 0, 0, 2, number)))


def offer_to(machine: Machine, number: int) -> tuple[DHCPPacket, tuple[str, int]]:
    """Ask by broadcast, as firmware does, and take the answer."""
    wire = machine.socket(BOOTPC)
    wire.sendto(request(mac=mac(number)).to_bytes(), (BROADCAST, BOOTPS))
    try:
        return receive(wire)
    finally:
        wire.close()


def is_answered(host: Host, machine: Machine, number: int) -> bool:
    """Ask until there is an answer: carrier and addresses take a moment to be there."""

    def ask() -> bool:
        with suppress(TimeoutError):
            return offer_to(machine, number)[0].message_type is MessageType.OFFER
        return False

    host.wait_for(ask)
    return True


def another_server(machine: Machine) -> socket.socket:
    """A server at the far end of a machine's wire."""
    return machine.socket(BOOTPS)


def proxy_offer(to: MACAddress, *, file: bytes = b"pxelinux.0", kind: int = 2) -> bytes:
    server = IPv4Address("10.77.0.66").packed
    options = {53: bytes((kind,)), 54: server, 60: b"PXEClient"}
    packet = DHCPPacket(op=OpCode.BOOTREPLY, xid=9, mac=to, file=file, options=options)
    return packet.to_bytes()


def others(kind: str) -> str:
    return f'bootyard_proxydhcp_other_servers{{kind="{kind}"}}'
