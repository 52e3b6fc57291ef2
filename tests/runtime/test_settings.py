from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootyard.model.errors import SettingsInvalid
from bootyard.runtime.settings import load_settings


def test_everything_has_a_default() -> None:
    settings, warnings = load_settings({"PATH": "/bin", "HOME": "/root"})
    assert warnings == ()
    assert (settings.dhcp_port, settings.pxe_port, settings.tftp_port) == (67, 4011, 69)
    assert settings.interfaces == ()


def test_values_are_typed() -> None:
    settings, _ = load_settings(
        {
            "BOOTYARD_INTERFACES": "eth0, eth1",
            "BOOTYARD_ADDRESS": "192.0.2.10",
            "BOOTYARD_TFTP_PORT": "1069",
            "BOOTYARD_REDIS_URL": "unix:///run/redis/redis.sock",
            "BOOTYARD_IMAGES_DIR": "",
        }
    )
    assert settings.interfaces == ("eth0", "eth1")
    assert settings.address == IPv4Address("192.0.2.10")
    assert settings.tftp_port == 1069
    assert settings.images_dir == Path("images")


def test_all_problems_at_once_each_with_variable_value_and_cure() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(
            {
                "BOOTYARD_HTTP_PORT": "99999",
                "BOOTYARD_ADDRESS": "router",
                "BOOTYARD_REDIS_URL": "localhost",
                "BOOTYARD_LOG_FORMAT": "xml",
                "BOOTYARD_ADMIN_TOKEN": "secret",
                "BOOTYARD_URL_FILE": "/nonexistent/url",
            }
        )
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 6
    for part in (
        "BOOTYARD_HTTP_PORT=99999 does not parse; give a port number from 1 to 65535",
        "BOOTYARD_ADDRESS=router does not parse; give an IPv4 address",
        "BOOTYARD_REDIS_URL=localhost does not parse; write redis://HOST:PORT or unix:///PATH",
        "BOOTYARD_LOG_FORMAT=xml does not parse; choose console or json",
        "BOOTYARD_ADMIN_TOKEN=(hidden) does not parse; give at least 16 characters",
        "BOOTYARD_URL_FILE=/nonexistent/url cannot be read",
    ):
        assert part in problems
    assert "secret" not in problems


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    settings, _ = load_settings({"BOOTYARD_ADMIN_TOKEN_FILE": str(token)})
    assert settings.admin_token == "0123456789abcdef"


def test_an_unknown_name_is_reported_with_the_nearest() -> None:
    _, warnings = load_settings({"BOOTYARD_INTERFACE": "eth0", "BOOTYARD_XYZZY": "1"})
    assert warnings == (
        "BOOTYARD_INTERFACE is not a setting; did you mean BOOTYARD_INTERFACES?",
        "BOOTYARD_XYZZY is not a setting",
    )
