"""TFTP settings of subnets: what is taken, and what is refused with which cure."""

import pytest

from bootyard.model.errors import RequestRefused
from bootyard.model.snapshot import Policy, SubnetRule
from services.catalog.policy import PolicyChange, changed_policy
from services.catalog.subnets import check_subnets

NETWORK = "198.51.100.0/24"


def test_overlapping_networks_are_fine_and_come_back_in_order() -> None:
    narrow = SubnetRule(network="198.51.100.128/25", tries=3)
    wide = SubnetRule(network="198.51.0.0/16", max_block_size=1300)
    host = SubnetRule(network="192.0.2.9/32", retry_seconds=2)
    assert check_subnets((narrow, host, wide)) == (host, wide, narrow)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("198.51.100.0/24", "198.51.100.0/24"),
        ("198.51.100.0/255.255.255.0", "198.51.100.0/24"),
        ("198.51.100.7", "198.51.100.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_spellings_of_networks(text: str, network: str) -> None:
    assert check_subnets((SubnetRule(network=text, tries=3),))[0].network == network


@pytest.mark.parametrize(
    "text",
    [
        *("", "lan", "198.51.100.0/33", "198.51.100.0/-1", "198.51.100/24", "256.1.1.0/24"),
        *("198.51.100.0/24/8", " 198.51.100.0/24", "0198.51.100.0/24", "2001:db8::/32"),
    ],
)
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(RequestRefused, match="is not an IPv4 network; write it as"):
        check_subnets((SubnetRule(network=text, tries=3),))


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (
            [SubnetRule(network="198.51.100.7/24", tries=3)],
            "198.51.100.7/24 is an address within .* write 198.51.100.0/24, or 198.51.100.7/32",
        ),
        (
            [
                SubnetRule(network=NETWORK, tries=3),
                SubnetRule(network="198.51.100.0/255.255.255.0", tries=4),
            ],
            "198.51.100.0/24 is there twice",
        ),
        (
            [SubnetRule(network=f"198.51.{n}.0/24", tries=3) for n in range(65)],
            "65 subnets are too many",
        ),
        ([SubnetRule(network=NETWORK, max_block_size=511)], "max_block_size 511 .* 512 to 65464"),
        ([SubnetRule(network=NETWORK, max_block_size=65465)], "65465"),
        ([SubnetRule(network=NETWORK, max_window_size=0)], "max_window_size 0 .* 1 to 65535"),
        ([SubnetRule(network=NETWORK, max_window_size=65536)], "65536"),
        ([SubnetRule(network=NETWORK, retry_seconds=0)], "retry_seconds 0 .* 0.1 to 30"),
        ([SubnetRule(network=NETWORK, retry_seconds=float("nan"))], "retry_seconds nan"),
        ([SubnetRule(network=NETWORK, retry_seconds=float("inf"))], "retry_seconds inf"),
        ([SubnetRule(network=NETWORK, tries=0)], "tries 0 .* 1 to 30"),
        ([SubnetRule(network=NETWORK, tries=31)], "tries 31"),
        ([SubnetRule(network=NETWORK, tries=-(10**400))], "tries"),
    ],
)
def test_refusals(rules: list[SubnetRule], problem: str) -> None:
    with pytest.raises(RequestRefused, match=problem):
        check_subnets(rules)


def test_other_changes_of_the_policy_leave_the_subnets() -> None:
    rule = SubnetRule(network=NETWORK, tries=3)
    before = changed_policy(Policy(), PolicyChange(subnets=(rule,)), {})
    after = changed_policy(before, PolicyChange(secure_boot="never"), {})
    assert after == Policy(secure_boot="never", subnets=(rule,))
