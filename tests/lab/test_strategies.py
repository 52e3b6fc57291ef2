"""The boot file is offered another way when the first one leads nowhere, or by the owner's word."""

from ipaddress import IPv4Address

import pytest

from services.proxydhcp.options import MessageType, OptionCode
from services.proxydhcp.packet import DHCPPacket
from services.proxydhcp.pxe import OUR_TYPE, BootItem, find_boot_item
from tests.lab.host import ARRIVES, INSTALLER, MAC, BootyardHost
from tests.lab.machine import Kind, Machine
from tests.lab.network import BOOT_ADDRESS, Lab
from tests.lab.processes import wait_until
from tests.lab.test_journeys import dhcp, ours, step

pytestmark = pytest.mark.timeout(900)

BY_4011 = ("-p", "udp", "--dport", "4011", "-j", "DROP")


def boot_item(packet: DHCPPacket) -> BootItem | None:
    return find_boot_item(packet.options.get(OptionCode.VENDOR_SPECIFIC, b""))


def learned_offer(host: BootyardHost) -> str | None:
    machine = host.get(f"/api/v1/machines/{MAC}") or {}
    offer: str | None = machine.get("learned", {}).get("offer")
    return offer


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "loader", "boot_file"),
    [
        ("uefi-x64", "auto", b"loaders/uefi-x64/snponly.efi"),
        # QEMU's ROM is an iPXE that shows PXE menus; it loads another one by this one.
        ("bios", "undionly", b"loaders/bios/undionly.kpxe"),
    ],
)
def test_a_menu_of_one_is_discovered_and_taken(
    lab: Lab, host: BootyardHost, kind: Kind, loader: str, boot_file: bytes
) -> None:
    host.start_services()
    host.cli("machine", "set", MAC, "--offer", "menu", "--loader", loader)
    host.arm()
    capture = lab.capture()
    with Machine(lab, kind, mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    messages = dhcp(capture.stop())
    offer = next(p for _, p in ours(messages) if p.message_type is MessageType.OFFER)
    assert offer.options[OptionCode.VENDOR_SPECIFIC].startswith(b"\x06\x01\x07")
    asked, answered = (
        [(d, p) for d, p in messages if boot_item(p) is not None and p.op == op] for op in (1, 2)
    )
    item = boot_item(asked[0][1])
    assert item is not None
    assert item.type == OUR_TYPE
    assert asked[0][0].destination == BOOT_ADDRESS
    assert boot_item(answered[0][1]) == item
    assert answered[0][1].file == boot_file
    assert answered[0][0].source_port == asked[0][0].destination_port == 4011
    boot = host.wait_for_steps(MAC, "offered", "acked", "loader", "script", "kernel", "initrd")
    assert step(boot, "loader")["path"] == boot_file.decode()


def test_a_machine_that_cannot_reach_4011_arrives_and_is_remembered(
    lab: Lab, host: BootyardHost
) -> None:
    host.start_services()
    lab.run("boot", ["iptables", "-A", "INPUT", *BY_4011])
    capture = lab.capture()
    with Machine(lab, "uefi-x64", mac=MAC) as machine:
        # PXE-E16 after four tries; the next option of this firmware is HTTP Boot.
        boot = host.wait_for_steps(MAC, "discovered", "offered", "script", timeout=ARRIVES)
        assert step(boot, "loader")["transport"] == "http"
        host.arm()
        machine.reset()
        machine.wait_for(INSTALLER, timeout=ARRIVES)
        messages = dhcp(capture.stop())
        host.wait_for_steps(MAC, "offered", "loader", "script", "kernel", "initrd")
        strategies = [
            "compatible" if OptionCode.VENDOR_SPECIFIC not in p.options else "direct"
            for _, p in ours(messages)
            if p.message_type is MessageType.OFFER
            and p.options[OptionCode.VENDOR_CLASS] == b"PXEClient"
        ]
        assert strategies[0] == "compatible"
        assert strategies[-1] == "direct"
        assert all(p.siaddr == IPv4Address(BOOT_ADDRESS) for _, p in ours(messages))
        wait_until(
            lambda: learned_offer(host) == "direct" or None,
            timeout=30,
            failure=lambda: f"{host.get(f'/api/v1/machines/{MAC}')}",
        )

        # What was learned outlives the service that saw it, and is the first offer now.
        host.kill("proxydhcp")
        host.start("proxydhcp")
        host.wait_snapshot()
        before = host.boots(MAC)[0]["id"]
        capture = lab.capture("again")
        machine.reset()
        wait_until(
            lambda: host.boots(MAC)[0]["id"] != before or None, timeout=ARRIVES, failure=host.log
        )
        boot = host.wait_for_steps(
            MAC, "discovered", "offered", "loader", "script", timeout=ARRIVES
        )
    first = ours(dhcp(capture.stop()))[0][1]
    assert first.options[OptionCode.VENDOR_SPECIFIC].hex() == "060108ff"
    assert step(boot, "loader")["transport"] == "tftp"
    assert not any(s["step"] == "acked" for s in boot["steps"])
