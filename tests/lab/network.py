"""A LAN in network namespaces: a switch, a router with plain DHCP, the host that boots the rest.

    router 192.0.2.1 ──┐
    boot  192.0.2.10 ──┼── br0 in `sw` ──┬── tap0, tap1 … virtual machines
    client1 (DHCP) ────┘                 └── captures

Nothing is made in the root network namespace.
"""

import itertools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.capture import Capture
from tests.lab.processes import LabError, Process, in_namespace
from tests.namespaces import End, Namespaces, ip, lay_wire

SUBNET = "192.0.2.0"
ROUTER_ADDRESS = "192.0.2.1"
BOOT_ADDRESS = "192.0.2.10"
POOL = ("192.0.2.100", "192.0.2.200")


@dataclass(frozen=True)
class PlainClient:
    """A host on the LAN that has an address and never asked to boot."""

    namespace: str
    mac: str
    address: str
    output: str


class Lab:
    """The LAN, as a context manager. Namespaces go by their short name: sw, router, boot."""

    def __init__(self, work: Path, *, router_options: Sequence[str] = ()) -> None:
        """`work` takes logs and captures; `router_options` are given to the router's dnsmasq."""
        self.work = work
        self.router: Process | None = None
        self._router_options = router_options
        self._namespaces = Namespaces()
        self._processes: list[Process] = []
        self._sockets: Path | None = None
        self._clients = itertools.count(1)
        self._taps = itertools.count()

    def __enter__(self) -> Self:
        self.work.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undo:
            undo.callback(self._remove)
            self._sockets = Path(tempfile.mkdtemp(prefix="lab-"))
            self._build()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    @property
    def sockets(self) -> Path:
        """A directory with a short path: the path of a unix socket has at most 107 bytes."""
        if self._sockets is None:
            raise LabError("the lab is not open")
        return self._sockets

    def namespace(self, short: str) -> str:
        """The full name of a namespace, as `ip netns` knows it."""
        return self._namespaces.name(short)

    def run(
        self,
        namespace: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = 30,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; without `check`, the caller looks at the exit code."""
        done = subprocess.run(
            in_namespace(self.namespace(namespace), argv, env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode != 0:
            command = " ".join(argv)
            raise LabError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def popen(
        self,
        namespace: str,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Process:
        """Start a program; its output goes to `<name>.log`. It ends with the lab at the latest."""
        process = Process(
            in_namespace(self.namespace(namespace), argv, env or {}),
            name=name,
            log=self.work / f"{name}.log",
            cwd=cwd,
        )
        self._processes.append(process)
        return process

    def capture(
        self,
        name: str = "lan",
        *,
        namespace: str = "sw",
        interface: str | None = None,
        expression: str = "udp",
    ) -> Capture:
        """Record what passes the switch (`sw`) or reaches a host, from now on."""
        pcap = self.work / f"{name}.pcap"
        interface = interface or ("br0" if namespace == "sw" else "eth0")
        listen = ["tcpdump", "-n", "-U", "-Z", "root", "--immediate-mode", "-s", "0"]
        process = self.popen(
            namespace,
            [*listen, "-i", interface, "-w", str(pcap), *expression.split()],
            name=f"tcpdump-{name}",
        )
        process.wait_for_output("listening on")
        return Capture(pcap, process)

    def limit_rate(self, rate: str) -> None:
        """Slow down what the boot host sends, for example to `50mbit`."""
        shaper = ["tbf", "rate", rate, "burst", "64kb", "latency", "50ms"]
        self.run("boot", ["tc", "qdisc", "replace", "dev", "eth0", "root", *shaper])

    def unlimit(self) -> None:
        self.run("boot", ["tc", "qdisc", "del", "dev", "eth0", "root"], check=False)

    def tap(self, bridge: str = "br0") -> str:
        """A new switch port for a virtual machine."""
        name = f"tap{next(self._taps)}"
        self.ip("sw", f"tuntap add dev {name} mode tap")
        self.ip("sw", f"link set {name} master {bridge} up")
        return name

    def plain_client(self, *, mac: str | None = None) -> PlainClient:
        """Join a host to the LAN that gets its address like any other, with udhcpc."""
        number = next(self._clients)
        name = f"client{number}"
        mac = mac or f"52:54:00:c1:00:{number:02x}"
        self.add_host(name, mac)
        ask = ["udhcpc", "--interface", "eth0", "--foreground", "--quit", "--now"]
        # The packaged script would write the resolv.conf of the machine that runs the lab.
        done = self.run(name, [*ask, "--script", "/bin/true"])
        output = done.stdout + done.stderr
        lease = re.search(r"lease of ([0-9.]+) obtained", output)
        if lease is None:
            raise LabError(f"no lease: {output}")
        self.ip(name, f"address add {lease[1]}/24 dev eth0")
        return PlainClient(name, mac, lease[1], output)

    def add_bridge(self, name: str) -> None:
        """Add a network to the switch; no host is on it yet."""
        # The forward delay of a bridge that does not speak STP; 15 s would eat the first DISCOVERs.
        self.ip("sw", f"link add {name} type bridge forward_delay 0 mcast_snooping 0")
        self.ip("sw", f"link set {name} up")

    def add_host(self, short: str, mac: str, address: str | None = None) -> None:
        """Add a host to the LAN, with its `eth0`."""
        self._namespaces.add(short)
        self.plug(short, mac=mac, address=address)

    def plug(
        self,
        short: str,
        device: str = "eth0",
        *,
        mac: str,
        address: str | None = None,
        bridge: str = "br0",
    ) -> None:
        """Lay a wire from a host to the switch."""
        port = short if device == "eth0" else f"{short}-{device}"
        addresses = () if address is None else (f"{address}/24",)
        host = End(self.namespace(short), device, addresses, mac)
        lay_wire(End(self.namespace("sw"), port), host)
        self.ip("sw", f"link set {port} master {bridge}")

    def _build(self) -> None:
        self._namespaces.add("sw")
        self.add_bridge("br0")
        self.add_host("router", "52:54:00:fe:00:01", ROUTER_ADDRESS)
        self.add_host("boot", "52:54:00:fe:00:10", BOOT_ADDRESS)
        self.ip("boot", f"route add default via {ROUTER_ADDRESS}")
        self.router = self.popen(
            "router",
            [
                *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-"),
                *("--user=root", "--pid-file=", "--port=0", "--interface=eth0"),
                *("--bind-interfaces", "--dhcp-authoritative", "--no-ping", "--log-dhcp"),
                f"--dhcp-range={POOL[0]},{POOL[1]},255.255.255.0,1h",
                f"--dhcp-option=option:router,{ROUTER_ADDRESS}",
                f"--dhcp-leasefile={self.work / 'router.leases'}",
                *self._router_options,
            ],
            name="router",
        )
        self.router.wait_for_output("IP range")

    def ip(self, short: str, arguments: str) -> None:
        """Run ip(8) on what is in a namespace."""
        ip("-n", self.namespace(short), *arguments.split())

    def _remove(self) -> None:
        for process in reversed(self._processes):
            process.stop(timeout=2)
        self._processes.clear()
        self._namespaces.close()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
