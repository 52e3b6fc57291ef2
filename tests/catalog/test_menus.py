"""Entries of the operator's own: what is refused, what is kept, and what machines get of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bootyard.model.errors import RequestRefused
from services.catalog.database import Database
from services.catalog.menus import MAX_ENTRIES, Menus, check_entry
from tests.catalog.http_catalog import NUC, NUC_IP, PI_IP, TOKEN, Running, running_catalog

NETBOOT = "chain --autofree https://boot.example.org"


@pytest.mark.parametrize(
    ("title", "script"),
    [
        ("Netboot", "#!ipxe\nshell"),
        ("Netboot", "shell\n#!ipxe\nexit"),
        ("Netboot", "#! ipxe"),
        ("Netboot", "echo \x1b[2J"),
        ("Netboot", "echo a\0b"),
        ("Netboot", "echo a\rshell"),
        ("Netboot", ""),
        ("Netboot", " \n \n"),
        ("Netboot", "x" * 9000),
        ("Net\nboot", NETBOOT),
        ("Netboot\x07", NETBOOT),
        ("x" * 73, NETBOOT),
        ("", NETBOOT),
        ("!!", NETBOOT),
        ("Something else", NETBOOT),
    ],
)
def test_what_has_no_safe_form_is_refused_with_a_sentence(title: str, script: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        check_entry("netboot", title, script)
    assert refused.value.cure


def test_line_ends_of_other_systems_are_no_control_characters() -> None:
    assert check_entry("netboot", "Netboot", "set x y\r\nshell\r\n").script == "set x y\nshell"


async def test_entries_outlive_a_restart_in_their_order(tmp_path: Path) -> None:
    first = Database.open(tmp_path / "catalog.db")
    for title in ("Zeta", "Alpha"):
        assert (await Menus(first).put(title.lower(), title, "shell"))[1]
    assert not (await Menus(first).put("zeta", "Zeta", "reboot"))[1]
    first.close()
    second = Database.open(tmp_path / "catalog.db")
    kept = await Menus(second).list()
    second.close()
    assert [(entry.id, entry.script) for entry in kept] == [("zeta", "reboot"), ("alpha", "shell")]


async def test_there_are_only_so_many(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "catalog.db")
    menus = Menus(database)
    for number in range(MAX_ENTRIES):
        await menus.put(f"e{number}", f"e{number}", "shell")
    with pytest.raises(RequestRefused):
        await menus.put("more", "more", "shell")
    await menus.put("e0", "e0", "reboot")
    assert await menus.remove("e0")
    await menus.put("more", "more", "shell")
    database.close()


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_catalog(tmp_path) as running:
        yield running


async def ask(catalog: Running, method: str, path: str, body: object = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        catalog.client() as client,
        client.request(method, f"/api/v1{path}", json=body, headers=headers) as got,
    ):
        return got.status, await got.json() if got.content_length else None


async def test_an_entry_is_in_the_very_next_menu_and_its_script_is_served(catalog: Running) -> None:
    body = {"title": "netboot.xyz", "script": NETBOOT}
    entry = {"id": "netboot-xyz", **body}
    assert await ask(catalog, "PUT", "/menus/netboot-xyz", body) == (201, entry)
    assert await ask(catalog, "PUT", "/menus/netboot-xyz", body) == (200, entry)
    assert await ask(catalog, "GET", "/menus") == (200, {"items": [entry], "next": None})
    menu = await catalog.script(NUC_IP, NUC)
    assert "item own:netboot-xyz netboot.xyz\n" in menu
    assert "/tree/menus/netboot-xyz.ipxe ||\ngoto menu_again\n" in menu
    assert await catalog.take(PI_IP, "menus/netboot-xyz.ipxe") == f"#!ipxe\n{NETBOOT}\n".encode()
    assert (await ask(catalog, "DELETE", "/menus/netboot-xyz"))[0] == 204
    assert (await ask(catalog, "DELETE", "/menus/netboot-xyz"))[0] == 404
    assert "own:" not in await catalog.script(NUC_IP, NUC)


async def test_a_refused_entry_tells_why_and_changes_nothing(catalog: Running) -> None:
    bad = {"title": "Bad", "script": "#!ipxe\nshell"}
    status, problem = await ask(catalog, "PUT", "/menus/bad", bad)
    assert status == 409
    assert "#!ipxe" in problem["detail"]
    assert problem["cure"]
    assert await ask(catalog, "GET", "/menus") == (200, {"items": [], "next": None})


async def test_only_who_has_the_token_changes_menus(catalog: Running) -> None:
    async with (
        catalog.client() as client,
        client.put("/api/v1/menus/x", json={"title": "x", "script": "shell"}) as got,
    ):
        assert got.status == 401
