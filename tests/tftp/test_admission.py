"""Who is answered at all."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from bootyard.model.snapshot import SubnetRule
from services.tftp.admission import LOOPBACK_INDEX, Admission, Arrival, ServedNetwork
from services.tftp.metrics import RejectReason
from services.tftp.options import Limits
from services.tftp.subnets import SubnetLimits

LAN = ServedNetwork(
    index=2,
    networks=(IPv4Network("192.0.2.0/24"), IPv4Network("10.1.0.0/16")),
    limits=Limits.for_mtu(1500),
)
JUMBO = ServedNetwork(
    index=3, networks=(IPv4Network("198.51.100.0/24"),), limits=Limits.for_mtu(9000)
)


def arrival(
    source: str, index: int = 2, local: str = "192.0.2.10", destination: str = "", port: int = 2070
) -> Arrival:
    return Arrival(
        IPv4Address(source), port, index, IPv4Address(local), IPv4Address(destination or local)
    )


@pytest.mark.parametrize(
    ("request_", "verdict"),
    [
        pytest.param(arrival("192.0.2.50"), LAN.limits, id="lan"),
        pytest.param(arrival("10.1.2.3", local="10.1.0.1"), LAN.limits, id="second-address"),
        pytest.param(arrival("198.51.100.9", 3), JUMBO.limits, id="jumbo-frames"),
        pytest.param(arrival("198.51.100.9"), RejectReason.FOREIGN, id="network-of-another"),
        pytest.param(arrival("203.0.113.7"), RejectReason.FOREIGN, id="forged"),
        pytest.param(arrival("192.0.2.50", 9), RejectReason.INTERFACE, id="not-served"),
        pytest.param(
            arrival("192.0.2.50", destination="192.0.2.255"), RejectReason.INTERFACE, id="broadcast"
        ),
        pytest.param(
            arrival("192.0.2.50", destination="255.255.255.255"),
            RejectReason.INTERFACE,
            id="limited-broadcast",
        ),
        pytest.param(arrival("192.0.2.50", port=0), RejectReason.INTERFACE, id="port-0"),
    ],
)
def test_admits(request_: Arrival, verdict: Limits | RejectReason) -> None:
    assert Admission((LAN, JUMBO)).admit(request_, SubnetLimits()) == verdict


@pytest.mark.parametrize(
    ("request_", "verdict"),
    [
        pytest.param(arrival("203.0.113.7"), Limits(block_size=1300), id="behind-a-router"),
        pytest.param(arrival("203.0.114.7"), RejectReason.FOREIGN, id="beside-it"),
        pytest.param(arrival("203.0.113.7", 9), RejectReason.INTERFACE, id="not-served"),
        pytest.param(arrival("192.0.2.50"), Limits(block_size=512), id="near"),
        pytest.param(arrival("64.1.2.3"), RejectReason.FOREIGN, id="too-wide-to-be-ours"),
    ],
)
def test_networks_that_the_policy_names(request_: Arrival, verdict: Limits | RejectReason) -> None:
    rules = (
        SubnetRule(network="203.0.113.0/24", max_block_size=1300),
        SubnetRule(network="0.0.0.0/0", max_block_size=512),
        SubnetRule(network="64.0.0.0/7", max_block_size=512),
    )
    assert Admission((LAN, JUMBO)).admit(request_, SubnetLimits(rules)) == verdict


def test_this_host_may_always_ask_itself() -> None:
    for source in ("127.0.0.1", "192.0.2.10"):
        verdict = Admission().admit(arrival(source, LOOPBACK_INDEX, local=source), SubnetLimits())
        assert isinstance(verdict, Limits)
