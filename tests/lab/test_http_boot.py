"""UEFI HTTP Boot: the loader comes by the URL of the offer, and TFTP is not needed at all."""

import pytest

from services.proxydhcp.options import MessageType, OptionCode
from tests.lab.host import ARRIVES, INSTALLER, MAC, BootyardHost
from tests.lab.machine import Machine
from tests.lab.network import BOOT_ADDRESS, Lab
from tests.lab.test_journeys import dhcp, ours, step

pytestmark = pytest.mark.timeout(600)

URL = f"http://{BOOT_ADDRESS}:8080/tree/loaders/uefi-x64/snponly.efi".encode()


def test_http_boot_reaches_the_installer(lab: Lab, host: BootyardHost) -> None:
    host.start_services()
    host.arm()
    capture = lab.capture()
    with Machine(lab, "http-x64", mac=MAC) as machine:
        machine.wait_for(INSTALLER, timeout=ARRIVES)
    datagrams = capture.stop()
    offers = [p for _, p in ours(dhcp(datagrams)) if p.message_type is MessageType.OFFER]
    assert offers
    for offer in offers[:1]:
        assert offer.options[OptionCode.VENDOR_CLASS] == b"HTTPClient"
        assert (offer.file, offer.options[OptionCode.BOOT_FILE_NAME]) == (URL, URL)
        assert OptionCode.VENDOR_SPECIFIC not in offer.options
    assert not any(d.destination_port == 69 for d in datagrams)
    boot = host.wait_for_steps(MAC, "discovered", "offered", "loader", "script", "kernel", "initrd")
    assert boot["firmware"] == "http-x64"
    assert step(boot, "loader")["transport"] == "http"
    assert step(boot, "loader")["path"] == "loaders/uefi-x64/snponly.efi"
    counted = 'bootyard_proxydhcp_offers_total{firmware="http-x64",stage="http"}'
    assert host.metric("proxydhcp", counted) >= 1.0
