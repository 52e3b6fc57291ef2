"""More networks for the lab: a second one of the boot host, and one behind a router that relays.

    router eth1 198.51.100.1  ──┐
    boot   eth1 198.51.100.10 ──┴── br1 ── virtual machines

    relay 192.0.2.2 on br0 ─ forwards and relays ─ 203.0.113.1 on br2 ── virtual machines

And a second boot server on the first network, 192.0.2.66, the way people run one.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.lab.network import BOOT_ADDRESS, ROUTER_ADDRESS, Lab
from tests.lab.processes import Process

SECOND_ROUTER, SECOND_BOOT = "198.51.100.1", "198.51.100.10"
SECOND_BRIDGE, FAR_BRIDGE = "br1", "br2"

RELAY_ADDRESS, FAR_GATEWAY = "192.0.2.2", "203.0.113.1"
FAR_POOL = ("203.0.113.100", "203.0.113.200")
RELAYED_OPTIONS = (
    f"--dhcp-range=set:far,{FAR_POOL[0]},{FAR_POOL[1]},255.255.255.0,1h",
    f"--dhcp-option=tag:far,option:router,{FAR_GATEWAY}",
)
"""For `Lab(router_options=…)`: addresses for what is behind the relay."""

OTHER_ADDRESS = "192.0.2.66"
OTHER_LOADER = "other/boot.efi"

_DNSMASQ = (
    *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-"),
    *("--user=root", "--pid-file=", "--port=0", "--log-dhcp"),
)


def add_second_network(lab: Lab) -> None:
    """Give the boot host another interface, on a network with a DHCP server of its own."""
    lab.add_bridge(SECOND_BRIDGE)
    for host, mac, address in (
        ("router", "52:54:00:fe:01:01", SECOND_ROUTER),
        ("boot", "52:54:00:fe:01:10", SECOND_BOOT),
    ):
        lab.plug(host, "eth1", mac=mac, address=address, bridge=SECOND_BRIDGE)
    _start(
        lab,
        "router",
        [
            *("--interface=eth1", "--bind-interfaces", "--dhcp-authoritative", "--no-ping"),
            "--dhcp-range=198.51.100.100,198.51.100.200,255.255.255.0,1h",
            f"--dhcp-option=option:router,{SECOND_ROUTER}",
            f"--dhcp-leasefile={lab.work / 'second.leases'}",
        ],
        name="router-eth1",
        ready="IP range",
    )


def add_network_behind_relay(lab: Lab) -> None:
    """Join a network whose router relays DHCP to the LAN's server and to the boot host."""
    lab.add_bridge(FAR_BRIDGE)
    lab.add_host("relay", "52:54:00:fe:00:02", RELAY_ADDRESS)
    lab.plug("relay", "eth1", mac="52:54:00:fe:02:01", address=FAR_GATEWAY, bridge=FAR_BRIDGE)
    lab.run("relay", ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    for host in ("router", "boot"):
        lab.ip(host, f"route add 203.0.113.0/24 via {RELAY_ADDRESS}")
    relays = (f"--dhcp-relay={FAR_GATEWAY},{server}" for server in (ROUTER_ADDRESS, BOOT_ADDRESS))
    _start(lab, "relay", [*relays], name="relay", ready="DHCP relay")


def add_other_boot_server(lab: Lab, files: Path) -> Process:
    """Start dnsmasq as a second proxy that offers OTHER_LOADER, from a folder of files."""
    lab.add_host("other", "52:54:00:fe:00:66", OTHER_ADDRESS)
    return _start(
        lab,
        "other",
        [
            *("--interface=eth0", "--bind-interfaces", "--dhcp-range=192.0.2.0,proxy"),
            f"--pxe-service=X86-64_EFI,Other,{OTHER_LOADER}",
            *("--enable-tftp", f"--tftp-root={files}"),
        ],
        name="other",
        ready="TFTP root is",
    )


def _start(lab: Lab, host: str, options: Sequence[str], *, name: str, ready: str) -> Process:
    process = lab.popen(host, [*_DNSMASQ, *options], name=name)
    process.wait_for_output(ready)
    return process
