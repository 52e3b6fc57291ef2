"""Usage, and what the commands say when there is no catalog to speak to."""

from pathlib import Path

import pytest

from bootyard.cli import main
from bootyard.cli.api import catalog_url, find_token
from bootyard.cli.failure import CommandFailed
from bootyard.runtime.settings import Settings

CLOSED = "http://127.0.0.1:9"
"""Discard: nothing listens there."""


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BOOTYARD_URL", CLOSED)
    monkeypatch.setenv("BOOTYARD_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("BOOTYARD_ADMIN_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("reboot", "no such command 'reboot'"),
        ("machine", "missing command"),
        ("machine set", "missing argument 'MAC'"),
        ("machine set 52:54:00:12:34", "is not a MAC address; write it as 52:54:00:12:34:56"),
        ("machine set 525400123456 --firmware uefi", "'uefi' is not one of 'bios'"),
        ("machine set 525400123456 --loader lilo", "'lilo' is not one of 'snponly'"),
        ("machine set 525400123456 --offer soon", "'soon' is not one of 'direct'"),
        ("machine set 525400123456 --secure-boot yes", "'yes' is not one of 'on', 'off', 'auto'"),
        ("machine set 525400123456 --var disk", "'disk' is not K=V"),
        ("machine set 525400123456 --var =sda", "'=sda' is not K=V"),
        ("machine set 525400123456 --colour red", "no such option: --colour"),
        ("machine boot-once 525400123456", "missing argument 'ID'"),
        ("machine boot-once 525400123456 debian --expires 0", "'--expires'"),
        ("machine remove nuc", "is not a MAC address"),
        ("policy set", "there is nothing to set"),
        ("policy set --unknown reboot", "'reboot' is not one of 'menu'"),
        ("policy set --secure-boot on", "'on' is not one of 'auto'"),
        ("policy set --deny nuc", "is not a MAC address"),
        ("policy set --no-allow nuc", "is not a MAC address"),
        ("policy subnet", "missing argument 'CIDR'"),
        ("policy subnet 198.51.100.0/24 --tries few", "'--tries'"),
        ("policy subnet 198.51.100.0/24 --tries 3 --remove", "either settings or --remove"),
        ("policy set --timeout soon", "'--timeout'"),
        ("policy set --timeout -1", "'--timeout'"),
        ("boots --limit 0", "'--limit'"),
        ("boots --mac nuc", "is not a MAC address"),
        ("health dhcp", "'dhcp' is not one of 'proxydhcp'"),
        ("image remove", "missing argument 'ID'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("bootyard: ")
    assert said.err.count("\n") == 1
    assert complaint in said.err


def test_nothing_at_all_shows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert "machine" in said.out + said.err


@pytest.mark.parametrize("arguments", ["--help", "--version", "machine set --help"])
def test_asking_for_help_is_done(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 0
    assert capsys.readouterr().err == ""


def test_settings_that_do_not_parse_are_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOOTYARD_URL", "catalog:8080")
    monkeypatch.setenv("BOOTYARD_HTTP_PORT", "no")
    assert main(["image", "list"]) == 2
    said = capsys.readouterr()
    assert "BOOTYARD_URL=catalog:8080 does not parse" in said.err
    assert said.err.count("bootyard: ") == said.err.count("\n") == 2


@pytest.mark.parametrize(
    "arguments",
    ["image list", "machine list --json", "policy show", "boots", "boots --follow"],
)
def test_an_unreachable_catalog_is_named_with_the_cure(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"bootyard: the catalog at {CLOSED} does not answer (connection refused);"
        " start it with `bootyard up`, or set BOOTYARD_URL to where it is\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "machine set 525400123456",
        "machine boot-once 5254.0012.3456 debian-12",
        "machine remove 52-54-00-12-34-56",
        "policy set --default menu",
        "policy set --secure-boot never",
        "image remove debian-12",
    ],
)
def test_a_write_without_a_token_says_where_it_would_be(
    arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 1
    said = capsys.readouterr()
    assert str(tmp_path / "catalog" / "admin-token") in said.err
    assert "BOOTYARD_ADMIN_TOKEN" in said.err


def test_a_variable_that_is_no_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOOTYARD_ULR", "x")
    main(["image", "list"])
    assert "BOOTYARD_ULR is not a setting; did you mean BOOTYARD_URL?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (Settings(), "http://127.0.0.1:8080"),
        (Settings(http_port=8081), "http://127.0.0.1:8081"),
        (Settings(http_port=8081, url="https://boot.lan/"), "https://boot.lan"),
    ],
    ids=["default", "another-port", "another-url"],
)
def test_where_the_catalog_is(settings: Settings, url: str) -> None:
    assert catalog_url(settings) == url


def test_the_token_of_the_settings_wins(tmp_path: Path) -> None:
    _write_token(tmp_path, "from-the-file-000000\n")
    settings = Settings(state_dir=tmp_path, admin_token="from-the-settings-0")
    assert find_token(settings) == "from-the-settings-0"


def test_the_token_is_read_from_the_catalogs_state(tmp_path: Path) -> None:
    _write_token(tmp_path, "from-the-file-000000\n")
    assert find_token(Settings(state_dir=tmp_path)) == "from-the-file-000000"


def test_an_empty_token_file_is_a_failure(tmp_path: Path) -> None:
    _write_token(tmp_path, "\n")
    with pytest.raises(CommandFailed, match="is empty"):
        find_token(Settings(state_dir=tmp_path))


def test_a_token_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "catalog" / "admin-token").mkdir(parents=True)
    with pytest.raises(CommandFailed, match="cannot be read \\(is a directory\\)"):
        find_token(Settings(state_dir=tmp_path))


@pytest.mark.parametrize(
    ("service", "where"),
    [("proxydhcp", "UDP 127.0.0.1:9"), ("tftp", "UDP 127.0.0.1:9"), ("catalog", "127.0.0.1:9")],
)
def test_health_of_a_service_that_does_not_run(
    service: str,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for port in ("PXE_PORT", "TFTP_PORT", "HTTP_PORT"):
        monkeypatch.setenv(f"BOOTYARD_{port}", "9")
    assert main(["health", service]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"bootyard: {service} does not answer on ")
    assert where in said.err
    assert "(connection refused)" in said.err


def _write_token(state: Path, text: str) -> None:
    (state / "catalog").mkdir()
    (state / "catalog" / "admin-token").write_text(text)
