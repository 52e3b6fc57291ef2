"""Real firmware on two networks at once, behind a relay, and where another boot server answers."""

import shutil
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootyard.model.events import OTHER_SERVER
from services.proxydhcp.options import MessageType
from services.proxydhcp.packet import NOWHERE, DHCPPacket
from tests.lab.capture import Datagram
from tests.lab.debian_installer import make_debian_folder
from tests.lab.host import ARRIVES, INSTALLER, MAC, BootyardHost, choose_second_entry
from tests.lab.machine import Machine
from tests.lab.network import BOOT_ADDRESS, Lab
from tests.lab.segments import (
    FAR_BRIDGE,
    FAR_GATEWAY,
    OTHER_ADDRESS,
    OTHER_LOADER,
    RELAYED_OPTIONS,
    SECOND_BOOT,
    SECOND_BRIDGE,
    add_network_behind_relay,
    add_other_boot_server,
    add_second_network,
)
from tests.lab.test_journeys import dhcp

pytestmark = pytest.mark.timeout(600)

SECOND_MAC = "52:54:00:12:34:57"
MENU = "Local disk"
LOADER = Path(sys.prefix) / "share/bootyard/loaders/uefi-x64/snponly.efi"


def server_addresses(messages: list[tuple[Datagram, DHCPPacket]]) -> set[str]:
    """Where our offers sent a machine: to the address in them, which is the one they came from."""
    offers = [
        (d, p) for d, p in messages if p.message_type is MessageType.OFFER and p.yiaddr == NOWHERE
    ]
    assert offers
    assert all(packet.siaddr == IPv4Address(datagram.source) for datagram, packet in offers)
    return {datagram.source for datagram, _ in offers}


def test_two_networks_at_once_each_machine_by_its_own_address(lab: Lab, host: BootyardHost) -> None:
    add_second_network(lab)
    host.start_services()
    first = lab.capture("first")
    second = lab.capture("second", interface=SECOND_BRIDGE)
    with (
        Machine(lab, "bios", mac=MAC) as near,
        Machine(lab, "uefi-x64", mac=SECOND_MAC, bridge=SECOND_BRIDGE) as far,
    ):
        near.wait_for(MENU, timeout=ARRIVES)
        far.wait_for(MENU, timeout=ARRIVES)
    for capture, mac, address in ((first, MAC, BOOT_ADDRESS), (second, SECOND_MAC, SECOND_BOOT)):
        datagrams = capture.stop()
        assert server_addresses(dhcp(datagrams, mac)) == {address}
        asked = {d.destination for d in datagrams if d.destination_port == 69}
        assert asked <= {address}
    boot = host.wait_for_steps(SECOND_MAC, "offered", "acked", "loader", "script")
    assert boot["firmware"] == "uefi-x64"
    assert host.wait_for_steps(MAC, "offered", "script")["firmware"] == "bios"


@pytest.fixture
def relayed(tmp_path: Path) -> Iterator[tuple[Lab, BootyardHost]]:
    """A LAN whose DHCP server also serves the network behind the relay."""
    with Lab(tmp_path / "lab", router_options=RELAYED_OPTIONS) as lab:
        add_network_behind_relay(lab)
        host = BootyardHost(lab)
        make_debian_folder(host.images)
        host.start_services()
        host.cli("policy", "subnet", "203.0.113.0/24")
        host.wait_snapshot()
        yield lab, host
        print(host.log())


def test_machine_behind_a_relay_boots(relayed: tuple[Lab, BootyardHost]) -> None:
    lab, host = relayed
    capture = lab.capture()
    with Machine(lab, "uefi-x64", mac=MAC, bridge=FAR_BRIDGE) as machine:
        machine.wait_for(MENU, timeout=ARRIVES)
        choose_second_entry(machine)
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    messages = dhcp(capture.stop())
    ours = [(d, p) for d, p in messages if d.source == BOOT_ADDRESS]
    offers = [(d, p) for d, p in ours if p.message_type is MessageType.OFFER]
    assert offers
    for datagram, packet in offers:
        assert (datagram.destination, datagram.destination_port) == (FAR_GATEWAY, 67)
        assert packet.giaddr == IPv4Address(FAR_GATEWAY)
    # The firmware asked port 4011 itself, through the router.
    acked = [(d, p) for d, p in ours if p.message_type is MessageType.ACK]
    assert any(d.destination.startswith("203.0.113.1") and d.source_port == 4011 for d, p in acked)
    boot = host.wait_for_steps(MAC, "discovered", "offered", "acked", "loader")
    assert boot["firmware"] == "uefi-x64"


def test_another_boot_server_answers_too_and_is_reported(lab: Lab, host: BootyardHost) -> None:
    loader = lab.work / "other" / OTHER_LOADER
    loader.parent.mkdir(parents=True)
    shutil.copyfile(LOADER, loader)
    host.start_services()
    add_other_boot_server(lab, lab.work / "other")
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        # It goes to the one that answered first.
        machine.wait_for_any(OTHER_LOADER, MENU, timeout=ARRIVES)
    boot = host.wait_for_steps(MAC, "discovered", "offered", "offered")
    said = [step for step in boot["steps"] if step.get("outcome") == OTHER_SERVER]
    assert said, boot
    assert f"{OTHER_ADDRESS} also offers" in said[0]["note"]
    servers = 'bootyard_proxydhcp_other_servers{kind="pxe"}'
    assert host.metric("proxydhcp", servers) == 1
    assert host.log().count(f"server={OTHER_ADDRESS}") == 1
