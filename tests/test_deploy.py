"""What containers are made of names only what exists: settings, metrics, files, ports."""

import fnmatch
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from bootyard.model.events import MachineState
from bootyard.model.snapshot import builtin_snapshot
from bootyard.runtime.settings import PREFIX, Settings
from bootyard.runtime.snapshots import SnapshotHolder
from bootyard.runtime.telemetry import Telemetry
from services.catalog.metrics import BootMetrics, HTTPMetrics, LibraryMetrics
from services.proxydhcp.metrics import Metrics as ProxyDHCPMetrics
from services.tftp.metrics import TFTPMetrics, missing_files

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = (ROOT / "compose.yaml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/bootyard.json").read_bytes())
PROMETHEUS = (DEPLOY / "prometheus/prometheus.yml").read_text()
ALERTS = (DEPLOY / "prometheus/alerts.yml").read_text()

SETTINGS = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
OF_COMPOSE = {"BOOTYARD_IMAGE"}
"""Begins as settings do, but names the image."""


def settings_in(text: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", text)) - OF_COMPOSE


@pytest.mark.parametrize("name", ["compose.yaml", ".env.example", "deploy/Dockerfile"])
def test_only_settings_that_exist_are_named(name: str) -> None:
    named = settings_in((ROOT / name).read_text())
    assert {each.removesuffix("_FILE") for each in named} <= SETTINGS


def test_every_setting_can_be_passed_and_is_described() -> None:
    fixed = {"BOOTYARD_STATE_DIR"}  # volumes are mounted in it
    assert settings_in(COMPOSE) >= SETTINGS - fixed
    assert settings_in(EXAMPLE) >= SETTINGS - fixed


def test_the_example_says_what_compose_does_without_it() -> None:
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^${}]+)\}", COMPOSE))
    examples = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert "PUID" in defaults
    internal = {"BUILD_BASE_IMAGE", "BOOTYARD_REDIS_URL", "BOOTYARD_URL"}
    for name in defaults.keys() - internal:
        assert examples[name] == defaults[name]
    for name in SETTINGS:
        default = Settings.model_fields[name.removeprefix(PREFIX).lower()].default
        if isinstance(default, int) or name.startswith("BOOTYARD_LOG_"):
            assert examples[name] == str(default)


def test_the_compose_file_holds_what_a_user_asks_for() -> None:
    assert re.findall(r"^  (\w+):$", COMPOSE.partition("\nservices:\n")[2], re.MULTILINE)[:6] == [
        *("redis", "proxydhcp", "tftp", "catalog", "prometheus", "grafana")
    ]
    assert len(re.findall(r"profiles: \[monitoring\]", COMPOSE)) == 2
    assert "privileged" not in COMPOSE
    for service in ("proxydhcp", "tftp", "catalog"):
        assert f"command: [python, -m, services.{service}]" in COMPOSE
        assert f"test: [CMD, bootyard, health, {service}]" in COMPOSE


def test_the_image_is_made_of_named_bases_and_no_address() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases == ["${BUILD_BASE}", "${BASE}", "scratch"]
    assert "ARG BASE=debian:trixie-slim" in DOCKERFILE
    for text in (DOCKERFILE, COMPOSE, (DEPLOY / "docker-entrypoint.sh").read_text()):
        addresses = re.findall(r"https?://([^/\s:]+)", text)
        assert set(addresses) <= {"127.0.0.1"}
        assert not re.search(r"debian\.org|pypi|pythonhosted", text)
        assert "trusted-host" not in text


def copied_into_the_image() -> Iterator[str]:
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        yield from line.split()[:-1]


def test_what_is_copied_into_the_image_is_not_ignored() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line]
    allowed = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    sources = set(copied_into_the_image())
    assert {"bootyard", "services", "requirements.txt"} <= sources
    for source in sources:
        assert any(
            fnmatch.fnmatch(rule, source) or source.startswith(f"{rule}/") for rule in allowed
        )
        assert "*" in source or (ROOT / source).exists()


def test_the_entry_point_passes_shellcheck() -> None:
    script = str(DEPLOY / "docker-entrypoint.sh")
    done = subprocess.run(["shellcheck", script], check=False, capture_output=True, text=True)
    assert done.stdout == ""


def exported() -> dict[str, set[str]]:
    """The names of all samples that the services export, with their labels."""
    registry = CollectorRegistry()
    telemetry = Telemetry("any", SnapshotHolder(builtin_snapshot(8080, {})))
    ProxyDHCPMetrics(registry)
    TFTPMetrics(registry)
    missing_files(registry)
    HTTPMetrics(registry)
    boots = BootMetrics(registry)
    library = LibraryMetrics(registry)
    # Children that come into being with what they are about.
    boots.declare_images(["debian-13"])
    boots.machines_are({}, {"nuc-3": MachineState.IDLE})
    library.images_are({"debian-13": 1})
    telemetry.declare_places("somewhere")
    names: dict[str, set[str]] = {"up": {"job"}}
    for each in (registry, telemetry.registry):
        for family in each.collect():
            for sample in family.samples:
                names.setdefault(sample.name, set()).update(sample.labels, {"job", "instance"})
    return names


def expressions() -> list[str]:
    panels = DASHBOARD["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    found += [each["definition"] for each in DASHBOARD["templating"]["list"]]
    found += re.findall(r"^ +expr: (?!\|)(.+)$", ALERTS, re.MULTILINE)
    found += re.findall(r"^ +expr: \|\n((?: {10,}.+\n)+)", ALERTS, re.MULTILINE)
    return found


def test_every_metric_that_is_asked_for_exists() -> None:
    known = exported()
    asked = 0
    for expression in expressions():
        selectors = re.findall(r"\b((?:bootyard|process)_\w+|up)(?!\w)(?:\{([^}]*)\})?", expression)
        assert selectors, expression
        for name, matchers in selectors:
            asked += 1
            assert name in known, f"{name} in {expression}"
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            assert labels <= known[name], f"{labels} of {name}"
        for grouping in re.findall(r"\bby \(([^)]*)\)", expression):
            (first, _), *_ = selectors
            assert set(re.findall(r"\w+", grouping)) <= known[first], expression
    assert asked > 50


def test_the_dashboard_is_one_that_grafana_provisions() -> None:
    source = (DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text()
    uid = re.search(r"uid: (\S+)", source)
    assert uid is not None
    assert uid[1] == "bootyard-prom"
    panels = DASHBOARD["panels"]
    assert DASHBOARD["uid"] == "bootyard"
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + row)
            for column in range(place["w"])
            for row in range(place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": uid[1]}
    assert "/var/lib/bootyard-dashboards" in COMPOSE
    provider = (DEPLOY / "grafana/provisioning/dashboards/bootyard.yml").read_text()
    assert "path: /var/lib/bootyard-dashboards" in provider


def test_prometheus_looks_where_the_services_are() -> None:
    found = dict(
        re.findall(
            r"job_name: (\w+)\n +static_configs: \[\{targets: \[\"127\.0\.0\.1:(\d+)\"\]\}\]",
            PROMETHEUS,
        )
    )
    settings = Settings()
    assert found == {
        "proxydhcp": str(settings.proxydhcp_metrics_port),
        "tftp": str(settings.tftp_metrics_port),
        "catalog": str(settings.http_port),
    }


def test_every_alert_says_what_to_do() -> None:
    alerts = ALERTS.split("- alert:")[1:]
    assert len(alerts) >= 5
    for alert in alerts:
        assert re.search(r"^ +summary: \S", alert, re.MULTILINE)
        assert re.search(r"^ +cure: \S", alert, re.MULTILINE)
