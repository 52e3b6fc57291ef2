"""Real firmware, switched on, arrives in the Debian installer.

Each journey is seen from three sides: the machine's console, the wire, and the boot's timeline.
"""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from services.proxydhcp.options import MessageType, OptionCode
from services.proxydhcp.packet import DHCPPacket, OpCode
from tests.lab.capture import Datagram
from tests.lab.host import ARRIVES, INSTALLER, MAC, SERVICES, BootyardHost, choose_second_entry
from tests.lab.local_disk import GREETING, make_local_disk
from tests.lab.machine import Machine
from tests.lab.network import BOOT_ADDRESS, ROUTER_ADDRESS, Lab

pytestmark = pytest.mark.timeout(600)


def dhcp(datagrams: list[Datagram], mac: str = MAC) -> list[tuple[Datagram, DHCPPacket]]:
    """The DHCP messages from and to a machine."""
    ports = {67, 68, 4011}
    parsed = [
        (datagram, DHCPPacket.parse(datagram.payload))
        for datagram in datagrams
        if datagram.destination_port in ports and datagram.source_port in ports
    ]
    return [(datagram, packet) for datagram, packet in parsed if packet.mac == mac]


def ours(messages: list[tuple[Datagram, DHCPPacket]]) -> list[tuple[Datagram, DHCPPacket]]:
    return [(d, p) for d, p in messages if d.source == BOOT_ADDRESS]


def check_proxy(messages: list[tuple[Datagram, DHCPPacket]]) -> None:
    """The LAN's server gave the address; we gave none, and answered only who asked to boot."""
    leases = [p for d, p in messages if d.source == ROUTER_ADDRESS and p.op is OpCode.BOOTREPLY]
    assert any(packet.yiaddr != IPv4Address(0) for packet in leases)
    assert ours(messages)
    for _, packet in ours(messages):
        assert packet.yiaddr == IPv4Address(0)
        assert packet.siaddr == IPv4Address(BOOT_ADDRESS)
        assert packet.options[OptionCode.VENDOR_CLASS] == b"PXEClient"


def step(boot: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in boot["steps"] if s["step"] == name)
    return found


def test_uefi_boots_as_a_new_user_sees_it(lab: Lab, host: BootyardHost) -> None:
    capture = lab.capture()
    host.run_make()
    host.wait_for_image("debian-12")
    host.arm()
    follow = lab.popen(
        "boot", host.command("boots", "--follow"), name="follow", env=host.environment
    )
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    boot = host.wait_for_steps(
        MAC, "discovered", "offered", "acked", "loader", "script", "kernel", "initrd"
    )
    assert (boot["firmware"], boot["image"], boot["outcome"]) == (
        "uefi-x64",
        "debian-12",
        "running",
    )
    assert step(boot, "loader")["path"] == "loaders/uefi-x64/snponly.efi"
    assert step(boot, "loader")["transport"] == "tftp"
    assert step(boot, "kernel")["transport"] == "http"

    messages = dhcp(capture.stop())
    check_proxy(messages)
    assert any(d.source_port == 4011 for d, _ in ours(messages))
    # No second DHCP: iPXE went on with the lease that the firmware had.
    assert not any(OptionCode.USER_CLASS in packet.options for _, packet in messages)

    follow.wait_for_output("initrd 41 MB")
    for part in (MAC, "uefi-x64", "discovered 0.00 → offered", "→ loader 285 kB", "→ script"):
        assert part in follow.output()
    counted = 'bootyard_boots_total{firmware="uefi-x64",outcome="running"}'
    assert host.metric("catalog", counted) == 1.0
    offered = 'bootyard_proxydhcp_offers_total{firmware="uefi-x64",stage="rom"}'
    assert host.metric("proxydhcp", offered) >= 1.0
    sent = 'bootyard_tftp_sent_bytes_total{file_class="loader"}'
    assert host.metric("tftp", sent) >= 284_672.0

    assert host.interrupt() in {0, -2, 130}  # make ends by the signal, when all has stopped
    assert not lab.run("boot", ["ss", "-Hlnu"]).stdout.strip()


def test_bios_boots_as_a_new_user_sees_it(lab: Lab, host: BootyardHost) -> None:
    host.run_make()
    host.wait_for_image("debian-12")
    host.arm()
    capture = lab.capture()
    with Machine(lab, "bios", mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "discovered", "offered", "script", "kernel", "initrd")
    assert (boot["firmware"], boot["outcome"]) == ("bios", "running")
    messages = dhcp(capture.stop())
    check_proxy(messages)
    offers = [p for _, p in ours(messages) if p.message_type is MessageType.OFFER]
    assert all(packet.file.rstrip(b"\0") == b"boot.ipxe" for packet in offers)
    counted = 'bootyard_boots_total{firmware="bios",outcome="running"}'
    assert host.metric("catalog", counted) == 1.0


def test_redis_is_killed_mid_way(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    host.arm()
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for("Start PXE over IPv4", timeout=ARRIVES)
        host.kill("redis")
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    assert not host.is_running("redis")
    for name in SERVICES:
        ready = host.readiness(name)
        assert ready["ready"] is True
        assert ready["redis"] is False
    # What proxydhcp and tftp saw meanwhile waits in their buffers.
    host.start("redis")
    host.wait_for_steps(MAC, "offered", "loader", "script", "kernel", "initrd")
    assert len(host.boots(MAC)) == 1


def test_the_catalog_is_dead_before_power_on(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    host.kill("catalog")
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for("the catalog is away", timeout=ARRIVES)
        choose_second_entry(machine)
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    assert not host.is_running("catalog")
    host.start("catalog")
    boot = host.wait_for_steps(
        MAC, "discovered", "offered", "loader", "script", "menu", "kernel", "initrd"
    )
    assert step(boot, "initrd")["transport"] == "tftp"


def test_the_catalog_is_killed_in_the_middle_of_the_initrd(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    host.arm()
    lab.limit_rate("50mbit")
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        machine.wait_for("/initrd.gz...", timeout=ARRIVES)
        host.kill("catalog")
        machine.wait_for("did not load, trying again", timeout=ARRIVES)
        host.start("catalog")
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "kernel", "initrd")
    assert boot["outcome"] == "running"
    assert len(host.boots(MAC)) == 1


def test_boot_once_fires_once_and_then_the_local_disk_starts(
    lab: Lab, host: BootyardHost, tmp_path: Path
) -> None:
    host.start_services()
    host.cli("policy", "set", "--timeout", "3")
    host.arm()
    disk = make_local_disk(tmp_path / "disk.img")
    with Machine(lab, "uefi-x64", mac=MAC, disk=disk) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
        assert GREETING not in machine.console.text()
        host.wait_for_steps(MAC, "kernel", "initrd")
        machine.reset()
        machine.wait_for(GREETING, timeout=ARRIVES)
        assert INSTALLER not in machine.console.text()
    # Between the network and the disk, OVMF also tries HTTP Boot: a boot of its own.
    first, second = host.boots(MAC)[:-3:-1]
    assert (second["outcome"], first["outcome"]) == ("local_disk", "running")


def test_a_machine_that_does_not_ask_gets_nothing_from_us(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    capture = lab.capture()
    client = lab.plain_client()
    assert client.address.startswith("192.0.2.1")
    messages = dhcp(capture.stop(), client.mac)
    assert any(d.source == ROUTER_ADDRESS for d, _ in messages)
    assert not ours(messages)
    assert host.boots(client.mac) == []
    ignored = 'bootyard_proxydhcp_packets_ignored_total{reason="not_pxe"}'
    assert host.metric("proxydhcp", ignored) >= 2.0
