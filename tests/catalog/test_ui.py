"""The page: what it shows, what it escapes, and what it tells browsers."""

import time
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bootyard.model.events import OTHER_SERVER, BootEvent, Step
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Learned, SubnetRule
from services.catalog.http.ui import ENVIRONMENT, SHOWN_MACHINES
from services.catalog.machines import MachineChange
from services.catalog.policy import PolicyChange
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

EVIL = "<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Text and tags of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._is_script = False
        self.code = ""
        """Of scripts within the page: nothing, or a browser would refuse it."""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.elements.append((tag, dict(attrs)))
        self._is_script = tag == "script"
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        self._is_script = self._is_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._is_script:
            self.code += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


async def page(running: Running) -> Page:
    async with running.client() as client, client.get("/") as got:
        assert got.status == 200
        assert got.content_type == "text/html"
        policy = got.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        return Page(await got.text())


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_catalog(tmp_path) as running:
        yield running


async def test_a_new_server_says_what_to_do_first(empty: Running) -> None:
    shown = await page(empty)
    assert str(empty.images_dir.absolute()) in shown.text
    assert "network boot" in shown.text
    assert "admin token" in shown.text
    assert TOKEN not in shown.text


async def test_images_machines_and_boots(tmp_path: Path) -> None:
    write_image(tmp_path / "images", "debian-12")
    (tmp_path / "images" / "broken").mkdir()
    (tmp_path / "images" / "broken" / "readme.txt").write_text("nothing to boot")
    async with running_catalog(tmp_path) as running:
        await running.arm(NUC, "debian-12")
        armed = await page(running)
        assert "debian-12 (until 2" in armed.text
        await running.script(NUC_IP, NUC)
        await running.take(NUC_IP, "images/debian-12/linux")
        await running.script(PI_IP)
        shown = await page(running)
    assert "Debian 12" in shown.text
    assert NUC in shown.text
    assert PI in shown.text, "a machine that nobody registered"
    assert "b-1" in shown.text
    assert "under way" in shown.text
    assert "images/debian-12/linux" in shown.text
    assert not shown.tags & {"iframe", "style"}
    assert "ready, revision 1" in shown.text
    assert "debian-12 installer" in shown.text


async def test_the_page_has_no_code_of_its_own(empty: Running) -> None:
    shown = await page(empty)
    assert [script["src"] for script in shown.all("script")] == ["/static/bootyard.js"]
    assert shown.code == ""
    assert "style" not in shown.attributes
    assert not any(name.startswith("on") for name in shown.attributes)


async def test_every_field_has_a_label(tmp_path: Path) -> None:
    async with running_catalog(tmp_path) as running:
        await running.catalog.machines.set(NUC, MachineChange(name="nuc"))
        async with running.client() as client, client.get("/?find=nuc") as got:
            shown = Page(await got.text())
    labelled = {label["for"] for label in shown.all("label")}
    fields = [*shown.all("input"), *shown.all("select")]
    assert (
        {field["id"] for field in fields}
        == labelled
        == {
            "token",
            "mac",
            "target",
            "minutes",
            "find",
        }
    )
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    (button,) = [b for b in shown.all("button") if b.get("data-mac")]
    assert button["aria-label"] == "Choose nuc"
    assert button["data-mac"] == NUC


async def test_targets_to_choose_from(tmp_path: Path) -> None:
    write_image(tmp_path / "images", "debian-12", title=EVIL)
    write_image(tmp_path / "images", "auto", cmdline="auto=true")
    async with running_catalog(tmp_path) as running:
        shown = await page(running)
    offered = {option["value"]: option["data-kind"] for option in shown.all("option")}
    assert offered == {
        "auto": "unattended",
        "debian-12": "installer",
        "menu": "standing",
        "local-disk": "standing",
        "": "standing",
    }
    assert "erases without asking" in shown.text


async def test_of_thousands_of_machines_those_that_matter_are_shown(tmp_path: Path) -> None:
    write_image(tmp_path / "images", "debian-12")
    many = SHOWN_MACHINES + 20
    async with running_catalog(tmp_path) as running:
        for number in range(many):
            mac = MACAddress.from_bytes(bytes([2, 0, 0, 0, 1, number]))
            await running.catalog.machines.set(mac, MachineChange(name=f"node-{number}"))
        last = MACAddress.from_bytes(bytes([2, 0, 0, 0, 1, many - 1]))
        await running.arm(last, "debian-12")
        await running.script(NUC_IP, NUC)
        shown = await page(running)
        async with running.client() as client, client.get("/?find=NODE-77") as got:
            found = Page(await got.text())
    choices = [button["data-mac"] for button in shown.all("button") if button.get("data-mac")]
    assert len(choices) == SHOWN_MACHINES
    assert {last, NUC} <= set(choices)
    assert f"{many + 1 - SHOWN_MACHINES} more are not shown" in shown.text
    assert [b["aria-label"] for b in found.all("button") if b.get("data-mac")] == ["Choose node-77"]


async def test_how_machines_boot_and_the_policy(tmp_path: Path) -> None:
    async with running_catalog(tmp_path) as running:
        await running.catalog.machines.set(NUC, MachineChange(loader=LoaderName.GRUB))
        await running.catalog.machines.set_policy(
            PolicyChange(
                secure_boot="always",
                deny=("52:54:00:00:00:09",),
                subnets=(SubnetRule(network="198.51.100.0/24", max_block_size=1300, tries=8),),
            )
        )
        await running.script(PI_IP)
        running.learn({PI: Learned(secure_boot="probable", offer=OfferStrategy.MENU)})
        shown = await page(running)
    assert "loader grub: pinned" in shown.text
    assert "Secure Boot probably refuses unsigned loaders" in shown.text
    assert "concluded from its boots" in shown.text
    assert f"bootyard machine set {PI} --secure-boot on|off" in shown.text
    assert "`" not in shown.text
    assert "offer menu: it took one before" in shown.text
    assert "for every machine" in shown.text
    assert "52:54:00:00:00:09" in shown.text
    assert "blocks of at most 1300 bytes, 8 tries" in shown.text


async def test_another_servers_offer_is_a_note(tmp_path: Path) -> None:
    async with running_catalog(tmp_path) as running:
        await running.script(NUC_IP, NUC)
        running.catalog.journal.observe(
            BootEvent(
                service="proxydhcp",
                run="r",
                sequence=1,
                time=time.time(),
                step=Step.OFFERED,
                mac=NUC,
                outcome=OTHER_SERVER,
                detail=f"192.0.2.66 also offers {EVIL} to this machine",
            )
        )
        shown = await page(running)
    assert f"192.0.2.66 also offers {EVIL} to this machine" in shown.text
    assert "· other_server" not in shown.text
    assert "img" not in shown.tags


async def test_text_of_others_is_text(tmp_path: Path) -> None:
    write_image(tmp_path / "images", "debian-12", title=EVIL)
    (tmp_path / "images" / f"{EVIL}.iso").write_bytes(b"x")
    async with running_catalog(tmp_path) as running:
        running.catalog.journal.observe(
            BootEvent(
                service="tftp",
                run="r",
                sequence=1,
                time=1.0,
                step=Step.LOADER,
                mac=NUC,
                path=EVIL,
                outcome=EVIL,
                image=EVIL,
            )
        )
        shown = await page(running)
    assert shown.text.count(EVIL) >= 3
    assert "img" not in shown.tags
    assert "onerror" not in shown.attributes


async def test_the_page_loads_only_its_own_files(empty: Running) -> None:
    async with empty.client() as client:
        for name, kind in (
            ("bootyard.css", "text/css"),
            ("bootyard.js", "text/javascript"),
            ("icon.svg", "image/svg+xml"),
        ):
            async with client.get(f"/static/{name}") as got:
                assert got.status == 200
                assert got.content_type == kind
        for name in ("..%2fui.py", "nothing.css", "%2e%2e%2f__init__.py"):
            async with client.get(f"/static/{name}") as got:
                assert got.status == 404


async def test_the_page_is_not_for_other_names(empty: Running) -> None:
    async with empty.client() as client, client.get("/", headers={"Host": "evil.test"}) as got:
        assert got.status == 421


def test_code_in_a_sentence_is_set_as_code() -> None:
    shown = ENVIRONMENT.from_string("{{ text|marked }}").render(text="see `a <b>` & `c`")
    assert shown == "see <code>a &lt;b&gt;</code> &amp; <code>c</code>"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (2_500, "2.5 kB"), (48_000_000, "48 MB"), (5e12, "5.0 TB")],
)
def test_sizes(count: float, text: str) -> None:
    assert ENVIRONMENT.from_string("{{ n|size }}").render(n=count) == text
