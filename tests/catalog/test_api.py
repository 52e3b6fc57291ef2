"""The API: shapes, changes, refusals, and who may ask."""

import io
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from bootyard.model.architecture import Firmware
from bootyard.model.events import OTHER_SERVER, BootEvent, OfferStage, Step
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.snapshot import Learned
from services.catalog.http.guard import host_name, load_admin_token
from tests.catalog.http_catalog import (
    NUC,
    NUC_IP,
    PI,
    PI_IP,
    TOKEN,
    Running,
    running_catalog,
    write_image,
)

V1 = "/api/v1"
JSON: TypeAlias = Any


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Running]:
    write_image(tmp_path / "images", "debian-12")
    write_image(tmp_path / "images", "auto", title="Unattended", cmdline="auto=true priority=high")
    (tmp_path / "images" / "broken.iso").write_bytes(b"not an image")
    async with running_catalog(tmp_path) as running:
        yield running


async def ask(
    running: Running,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = TOKEN,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> JSON:
    """Send a request; what comes back must be JSON (or nothing) with this status."""
    fields = {"Authorization": f"Bearer {token}"} if token is not None else {}
    data = json.dumps(body) if body is not None and not isinstance(body, str) else body
    async with (
        running.client() as client,
        client.request(method, path, data=data, headers={**fields, **(headers or {})}) as got,
    ):
        text = await got.text()
        assert got.status == status, text
        kind = "application/json" if status < 400 else "application/problem+json"
        if status != 204:
            assert got.content_type == kind
        return json.loads(text) if text else None


async def refused(
    running: Running,
    method: str,
    path: str,
    body: object = None,
    *,
    status: int,
    token: str | None = TOKEN,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Send a request that must be refused with a problem and its cure."""
    problem: dict[str, Any] = await ask(
        running, method, path, body, status=status, token=token, headers=headers
    )
    assert problem.keys() == {"title", "status", "detail", "cure"}
    assert problem["status"] == status
    assert all(problem.values())
    return problem


async def test_images(catalog: Running) -> None:
    got = await ask(catalog, "GET", f"{V1}/images", token=None)
    assert got["next"] is None
    images = {image["id"]: image for image in got["items"]}
    size = images["debian-12"].pop("size_bytes")
    assert size > 1_000_000
    assert images["debian-12"] == {
        "id": "debian-12",
        "title": "Debian 12",
        "family": "debian",
        "version": "12",
        "kind": "installer",
        "architectures": [],
        "sha256": None,
        "verified_by": None,
        "state": "ready",
        "problem": None,
        "cure": None,
        "recipe": images["debian-12"]["recipe"],
        "status": images["debian-12"]["status"],
        "evidence": [],
        "notes": [],
        "revision": 1,
        "targets": ["debian-12"],
    }
    assert await ask(catalog, "GET", f"{V1}/images/debian-12") == {
        **images["debian-12"],
        "size_bytes": size,
    }
    await refused(catalog, "GET", f"{V1}/images/nothing", status=404)


async def test_targets(catalog: Running) -> None:
    got = await ask(catalog, "GET", f"{V1}/targets")
    assert [(t["id"], t["kind"]) for t in got["items"]] == [
        ("auto", "unattended"),
        ("debian-12", "installer"),
    ]


async def test_removing_an_image_moves_it_aside(catalog: Running) -> None:
    got = await ask(catalog, "DELETE", f"{V1}/images/debian-12")
    moved = Path(got["moved_to"])
    assert (moved / "linux").is_file()
    assert catalog.images_dir / ".removed" in moved.parents
    await refused(catalog, "GET", f"{V1}/images/debian-12", status=404)
    assert "debian-12" not in catalog.service.snapshots.snapshot.images


async def test_a_machine_from_first_word_to_last(catalog: Running) -> None:
    made = await ask(
        catalog,
        "PUT",
        f"{V1}/machines/52-54-00-12-34-56",
        {"name": "nuc-3", "target": "debian-12", "variables": {"disk": "/dev/sda"}},
        status=201,
    )
    assert made == {
        "mac": NUC,
        "name": "nuc-3",
        "tags": [],
        "target": "debian-12",
        "firmware": None,
        "kernel_args": "",
        "loader": None,
        "offer": None,
        "secure_boot": None,
        "boot_once": None,
        "learned": {"offer": None, "secure_boot": None, "dead_ends": []},
        "state": "idle",
        "last_boot": None,
        "variables": {"disk": "/dev/sda"},
    }
    assert NUC in catalog.service.snapshots.snapshot.machines
    patched = await ask(
        catalog, "PATCH", f"{V1}/machines/525400123456", {"kernel_args": "quiet", "target": None}
    )
    assert (patched["name"], patched["target"], patched["kernel_args"]) == ("nuc-3", None, "quiet")
    replaced = await ask(catalog, "PUT", f"{V1}/machines/{NUC}", {"firmware": "bios"})
    assert (replaced["name"], replaced["kernel_args"], replaced["variables"]) == (None, "", {})
    assert replaced["firmware"] == "bios"
    assert (await ask(catalog, "GET", f"{V1}/machines"))["items"] == [replaced]
    await ask(catalog, "DELETE", f"{V1}/machines/{NUC}", status=204)
    await refused(catalog, "GET", f"{V1}/machines/{NUC}", status=404)
    await refused(catalog, "DELETE", f"{V1}/machines/{NUC}", status=404)


async def test_how_a_machine_boots_is_pinned(catalog: Running) -> None:
    path = f"{V1}/machines/{NUC}"
    pinned = await ask(
        catalog, "PATCH", path, {"loader": "pxelinux", "offer": "compatible", "secure_boot": True}
    )
    how = ("loader", "offer", "secure_boot")
    assert [pinned[key] for key in how] == ["pxelinux", "compatible", True]
    published = catalog.service.snapshots.snapshot.machine(NUC)
    assert published is not None
    assert (published.loader, published.offer, published.secure_boot) == (
        LoaderName.PXELINUX,
        OfferStrategy.COMPATIBLE,
        True,
    )
    patched = await ask(catalog, "PATCH", path, {"loader": None})
    assert [patched[key] for key in how] == [None, "compatible", True]
    replaced = await ask(catalog, "PUT", path, {"loader": "grub"})
    assert [replaced[key] for key in how] == ["grub", None, None]


async def test_a_loader_must_fit_what_the_machine_was_seen_with(catalog: Running) -> None:
    await catalog.script(NUC_IP, NUC)
    problem = await refused(
        catalog, "PATCH", f"{V1}/machines/{NUC}", {"loader": "undionly"}, status=409
    )
    assert "firmware uefi-x64 cannot run undionly" in problem["detail"]


async def test_what_was_learned_of_a_machine(catalog: Running) -> None:
    path = f"{V1}/machines/{NUC}"
    await ask(catalog, "PUT", path, {"name": "nuc-3"}, status=201)
    learned = Learned(
        offer=OfferStrategy.MENU, secure_boot="probable", dead_ends=(LoaderName.SNPONLY,)
    )
    catalog.learn({NUC: learned, PI: learned})
    assert (await ask(catalog, "GET", path))["learned"] == {
        "offer": "menu",
        "secure_boot": "probable",
        "dead_ends": ["snponly"],
    }
    known = (await ask(catalog, "GET", f"{V1}/machines"))["items"]
    assert [machine["mac"] for machine in known] == [NUC], "nobody registered the other"


async def test_variables_may_be_secrets(catalog: Running) -> None:
    await ask(catalog, "PATCH", f"{V1}/machines/{NUC}", {"variables": {"password": "hunter2"}})
    for path in (f"{V1}/machines", f"{V1}/machines/{NUC}"):
        assert "hunter2" not in json.dumps(await ask(catalog, "GET", path, token=None))
        assert "hunter2" in json.dumps(await ask(catalog, "GET", path))


async def test_boot_once(catalog: Running) -> None:
    body = {"target": "auto", "expires_minutes": 5}
    armed = await ask(catalog, "PUT", f"{V1}/machines/{NUC}/boot-once", body)
    assert armed["boot_once"].keys() == {"target", "expires_at", "state"}
    assert (armed["boot_once"]["target"], armed["boot_once"]["state"]) == ("auto", "armed")
    assert armed["boot_once"]["expires_at"].endswith("Z")
    await catalog.script(NUC_IP, NUC)
    bound = await ask(catalog, "GET", f"{V1}/machines/{NUC}")
    assert bound["boot_once"]["state"] == "bound"
    assert (bound["state"], bound["last_boot"], bound["firmware"]) == ("booting", "b-1", "uefi-x64")
    await ask(catalog, "DELETE", f"{V1}/machines/{NUC}/boot-once", status=204)
    await refused(catalog, "DELETE", f"{V1}/machines/{NUC}/boot-once", status=404)
    assert (await ask(catalog, "GET", f"{V1}/machines/{NUC}"))["boot_once"] is None


async def test_policy(catalog: Running) -> None:
    before = await ask(catalog, "GET", f"{V1}/policy", token=None)
    assert before == {
        "default": "menu",
        "timeout_seconds": 10,
        "unknown": "menu",
        "local_disk_method": "exit",
        "allow": [],
        "deny": [],
        "secure_boot": "auto",
        "subnets": [],
    }
    changed = await ask(
        catalog, "PATCH", f"{V1}/policy", {"timeout_seconds": 3, "deny": ["5254.0012.3456"]}
    )
    assert changed == {**before, "timeout_seconds": 3, "deny": [NUC]}
    assert catalog.service.snapshots.snapshot.policy.timeout_seconds == 3
    assert await ask(catalog, "PUT", f"{V1}/policy", {}) == before


async def test_the_policy_of_secure_boot_and_subnets(catalog: Running) -> None:
    rules = [
        {"network": "198.51.100.0/24", "max_block_size": 1300, "max_window_size": 4},
        {"network": "198.51.100.0/25", "retry_seconds": 2.5, "tries": 8},
    ]
    changed = await ask(
        catalog, "PATCH", f"{V1}/policy", {"secure_boot": "always", "subnets": rules[::-1]}
    )
    assert (changed["secure_boot"], changed["subnets"]) == ("always", rules)
    published = catalog.service.snapshots.snapshot.policy
    assert [rule.network for rule in published.subnets] == ["198.51.100.0/24", "198.51.100.0/25"]
    patched = await ask(catalog, "PATCH", f"{V1}/policy", {"timeout_seconds": 3})
    assert patched == {**changed, "timeout_seconds": 3}
    replaced = await ask(catalog, "PUT", f"{V1}/policy", {"subnets": rules[:1]})
    assert (replaced["secure_boot"], replaced["subnets"]) == ("auto", rules[:1])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/machines/{mac}", {"target": "nothing"}, 409),
        ("PUT", "/machines/{mac}", {"target": "auto"}, 409),
        ("PUT", "/machines/{mac}", {"kernel_args": "a && b"}, 409),
        ("PUT", "/machines/{mac}", {"name": "<img src=x onerror=alert(1)>"}, 409),
        ("PUT", "/machines/ff:ff:ff:ff:ff:ff", {}, 409),
        ("PUT", "/machines/nonsense", {}, 400),
        ("GET", "/machines/nonsense", None, 400),
        ("PUT", "/machines/{mac}", {"colour": "red"}, 400),
        ("PUT", "/machines/{mac}", {"tags": None}, 400),
        ("PUT", "/machines/{mac}", {"firmware": "toaster"}, 400),
        ("PUT", "/machines/{mac}", {"loader": "lilo"}, 400),
        ("PUT", "/machines/{mac}", {"firmware": "bios", "loader": "shim"}, 409),
        ("PATCH", "/machines/{mac}", {"offer": "auto"}, 400),
        ("PATCH", "/machines/{mac}", {"secure_boot": "on"}, 400),
        ("PUT", "/machines/{mac}", "{not json", 400),
        ("PUT", "/machines/{mac}", "", 400),
        ("PUT", "/machines/{mac}", [], 400),
        ("PATCH", "/machines/{mac}", {"mac": "52:54:00:00:00:01"}, 400),
        ("PUT", "/machines/{mac}/boot-once", {"target": "nothing"}, 409),
        ("PUT", "/machines/{mac}/boot-once", {"target": "debian-12", "expires_minutes": 0}, 409),
        ("PUT", "/machines/{mac}/boot-once", {}, 400),
        ("PUT", "/policy", {"default": "auto"}, 409),
        ("PATCH", "/policy", {"timeout_seconds": -1}, 409),
        ("PATCH", "/policy", {"unknown": "dance"}, 400),
        ("PATCH", "/policy", {"allow": ["nonsense"]}, 409),
        ("PATCH", "/policy", {"secure_boot": "on"}, 400),
        ("PATCH", "/policy", {"subnets": [{"network": "198.51.100.7/24", "tries": 3}]}, 409),
        ("PUT", "/policy", {"subnets": [{"network": "198.51.100.0/24", "block": 3}]}, 400),
        ("PUT", "/policy", {"subnets": [{"network": "198.51.100.0/24", "tries": "3"}]}, 400),
        ("PUT", "/policy", {"subnets": [{"tries": 3}]}, 400),
        ("DELETE", "/images/nothing", None, 404),
        ("GET", "/boots/b-999", None, 404),
        ("GET", "/boots/nonsense", None, 404),
        ("GET", "/boots?cursor=nonsense", None, 400),
        ("GET", "/boots?limit=0", None, 400),
        ("GET", "/boots?limit=9999999999999", None, 400),
        ("GET", "/boots?open=perhaps", None, 400),
        ("GET", "/boots?mac=x", None, 400),
        ("GET", "/nothing", None, 404),
        ("POST", "/images", {}, 405),
    ],
)
async def test_refusals(
    catalog: Running, method: str, path: str, body: object, status: int
) -> None:
    await refused(catalog, method, V1 + path.format(mac=NUC), body, status=status)


async def test_refusals_change_nothing(catalog: Running) -> None:
    body = {"name": "nuc-3", "target": "auto"}
    await refused(catalog, "PUT", f"{V1}/machines/{NUC}", body, status=409)
    assert (await ask(catalog, "GET", f"{V1}/machines"))["items"] == []


async def test_a_body_has_a_limit(catalog: Running) -> None:
    async with (
        catalog.admin() as admin,
        admin.put(f"{V1}/policy", data=io.BytesIO(b"x" * 1_100_000)) as got,
    ):
        assert got.status == 413
        assert (await got.json(content_type="application/problem+json"))["cure"]


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "\xff"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/policy"),
        ("PATCH", "/policy"),
        ("PUT", f"/machines/{NUC}"),
        ("PATCH", f"/machines/{NUC}"),
        ("DELETE", f"/machines/{NUC}"),
        ("PUT", f"/machines/{NUC}/boot-once"),
        ("DELETE", f"/machines/{NUC}/boot-once"),
        ("DELETE", "/images/debian-12"),
    ],
)
async def test_changes_need_the_token(
    catalog: Running, method: str, path: str, token: str | None
) -> None:
    await refused(catalog, method, V1 + path, {}, status=401, token=token)
    assert "debian-12" in catalog.service.snapshots.snapshot.images


async def test_the_scheme_must_be_bearer(catalog: Running) -> None:
    headers = {"Authorization": f"Basic {TOKEN}"}
    await refused(catalog, "PUT", f"{V1}/policy", {}, status=401, token=None, headers=headers)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("[::1]:8080", 200),
        ("boot.lan", 200),
        ("nas.local:8080", 200),
        ("boot.home.arpa.", 200),
        ("boot.example.org", 200),
        ("evil.test", 421),
        ("evil.test:8080", 421),
        ("boot.lan.evil.test", 421),
        ("127.0.0.1.evil.test", 421),
        ("192.0.2.77", 421),
        ("", 421),
    ],
)
async def test_names_of_the_server(catalog: Running, host: str, status: int) -> None:
    await ask(catalog, "GET", f"{V1}/policy", status=status, headers={"Host": host})


@pytest.mark.parametrize(
    "path", ["/boot.ipxe", "/tree/.health", "/metrics", "/healthz", "/tree/menu.ipxe"]
)
async def test_machines_may_use_any_name(catalog: Running, path: str) -> None:
    async with catalog.client() as client, client.get(path, headers={"Host": "evil.test"}) as got:
        assert got.status == 200


async def test_boots(catalog: Running) -> None:
    await catalog.script(NUC_IP, NUC)
    await catalog.take(NUC_IP, "images/debian-12/linux")
    await catalog.script(PI_IP)
    await catalog.script(NUC_IP, NUC)
    got = await ask(catalog, "GET", f"{V1}/boots", token=None)
    assert [boot["id"] for boot in got["items"]] == ["b-3", "b-2", "b-1"]
    assert got["next"] is None
    first = got["items"][-1]
    assert first.keys() == {
        *("id", "mac", "firmware", "image", "started", "outcome", "steps", "verdict")
    }
    assert (first["mac"], first["firmware"], first["image"]) == (NUC, "uefi-x64", "debian-12")
    assert first["steps"][0] == {
        "step": "script",
        "at": 0.0,
        "path": "boot.ipxe",
        "transport": "http",
    }
    kernel = first["steps"][-1]
    assert kernel.keys() == {"step", "at", "seconds", "bytes", "path", "transport"}
    assert (kernel["step"], kernel["bytes"]) == ("kernel", 300_000)
    assert await ask(catalog, "GET", f"{V1}/boots/b-1") == first


def offered(
    sequence: int,
    strategy: OfferStrategy | None = None,
    *,
    outcome: str = "",
    detail: str = "",
) -> BootEvent:
    return BootEvent(
        service="proxydhcp",
        run="r",
        sequence=sequence,
        time=time.time(),
        step=Step.OFFERED,
        mac=NUC,
        firmware=Firmware.UEFI_X64,
        stage=OfferStage.ROM if strategy else None,
        strategy=strategy,
        outcome=outcome,
        detail=detail,
    )


async def test_offers_of_us_and_of_others(catalog: Running) -> None:
    detail = "192.0.2.66 also offers pxelinux.0 to this machine"
    for event in (
        offered(1, OfferStrategy.COMPATIBLE),
        offered(2, outcome=OTHER_SERVER, detail=detail),
        offered(3, OfferStrategy.DIRECT),
    ):
        catalog.catalog.journal.observe(event)
    boot = (await ask(catalog, "GET", f"{V1}/boots"))["items"][0]
    steps = {step.get("strategy"): step for step in boot["steps"]}
    assert steps["compatible"].keys() == {"step", "at", "strategy"}
    assert "not the usual way for uefi-x64" in steps["direct"]["note"]
    assert (steps[None]["outcome"], steps[None]["note"]) == ("other_server", detail)


async def test_boots_in_pages(catalog: Running) -> None:
    for _ in range(2):
        await catalog.script(NUC_IP, NUC)
        await catalog.script(NUC_IP, NUC, "&selected=local-disk")
        await catalog.script(PI_IP)
        await catalog.script(PI_IP, None, "&selected=local-disk")
    await catalog.script(NUC_IP, NUC)
    seen, cursor = [], ""
    while True:
        page = await ask(catalog, "GET", f"{V1}/boots?limit=2{cursor}")
        seen += [boot["id"] for boot in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["b-5", "b-4", "b-3", "b-2", "b-1"]
    mine = await ask(catalog, "GET", f"{V1}/boots?mac=525400123456")
    assert [boot["id"] for boot in mine["items"]] == ["b-5", "b-3", "b-1"]
    still = await ask(catalog, "GET", f"{V1}/boots?open=true")
    assert [boot["id"] for boot in still["items"]] == ["b-5"]
    assert mine["items"][1]["outcome"] == "local_disk"


async def test_a_database_that_hangs_is_said(
    catalog: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(catalog.catalog.machines, "policy", slow)
    await refused(catalog, "GET", f"{V1}/policy", status=503)


async def test_a_fault_of_ours_is_counted(
    catalog: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(catalog.catalog.machines, "policy", broken)
    problem = await refused(catalog, "GET", f"{V1}/policy", status=500)
    assert "ZeroDivisionError" not in json.dumps(problem)
    assert catalog.metric("bootyard_internal_errors_total", where="http") == 1
    assert catalog.metric("bootyard_http_requests_total", handler="api", code="500") == 1


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Boot.LAN:8080", "boot.lan"),
        ("[fe80::1]:8080", "fe80::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("a:b:c", "a:b:c"),
        ("", ""),
    ],
)
def test_host_names(host: str, name: str) -> None:
    assert host_name(host) == name


def test_the_token_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "admin-token"
    token = load_admin_token(path, None)
    assert len(token) >= 32
    assert load_admin_token(path, None) == token
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_admin_token(path, "given by the settings") == "given by the settings"
    path.write_text("")
    assert load_admin_token(path, None) != ""
