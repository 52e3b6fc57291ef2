"""Pages that tell what the code does say what it does."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from bootyard.model.architecture import Firmware
from bootyard.model.loaders import LOADER_FILES, LoaderName, OfferStrategy

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/firmware.md"
GENERATOR = "docs/generate_firmware_table.py"


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / GENERATOR))


def test_the_firmware_table_is_what_the_code_decides(generator: dict[str, Any]) -> None:
    """After a change: .venv/bin/python docs/generate_firmware_table.py"""
    assert generator["page"]() == PAGE.read_text()


def test_every_firmware_has_a_row(generator: dict[str, Any]) -> None:
    shown = set(re.findall(r"^\|[^|]*\|[^|]*\| `([a-z0-9-]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert shown == set(Firmware)
    silent = [row.firmware for row in generator["rows"]() if row.loaders.startswith("no answer")]
    assert silent == ["`other`"]


def test_what_a_row_is_verified_by_exists(generator: dict[str, Any]) -> None:
    verified = [
        *generator["VERIFIED"].values(),
        *generator["VERIFIED_SECURE"].values(),
        *(generator[name] for name in generator if name.startswith("VERIFIED_IPXE")),
        generator["VERIFIED_OLD_IPXE"],
        generator["by_documented_bytes"](),
    ]
    for how, test in verified:
        file, _, function = test.partition("::")
        assert f"def {function or 'test_'}" in (ROOT / file).read_text(), test
        assert (how == "on firmware") == file.startswith("tests/lab/"), test


def test_words_on_the_page_are_those_of_the_code() -> None:
    text = PAGE.read_text()
    for word in (*LoaderName, *OfferStrategy, *LOADER_FILES):
        assert re.search(rf"\b{re.escape(word)}\b", text), word


def test_no_address_of_a_real_network_is_an_example() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for address in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", page.read_text()):
            assert address.startswith(("192.0.2.", "198.51.100.", "203.0.113.")), (page, address)
