from ipaddress import IPv4Address

import pytest

from bootyard.runtime.neighbours import find_mac

TABLE = """\
192.0.2.100      0x1         0x2         52:54:00:12:34:56     *        eth0
192.0.2.101      0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.10       0x1         0x2         52:54:00:00:00:10     *        eth1
short line
""".splitlines()


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ("192.0.2.100", "52:54:00:12:34:56"),
        ("192.0.2.10", "52:54:00:00:00:10"),
        ("192.0.2.101", None),  # asked for, never answered
        ("192.0.2.1", None),
    ],
)
def test_find_mac(address: str, mac: str | None) -> None:
    assert find_mac(TABLE, IPv4Address(address)) == mac
