"""The table of machines: what is pinned, what was learned, and that the latter is an inference."""

import pytest

from bootyard.cli.documents import MachineDocument, read
from bootyard.cli.machines import INFERENCE, print_machines

MAC = "52:54:00:12:34:56"


def shown(capsys: pytest.CaptureFixture[str], fields: str) -> str:
    machine = read(f'{{"mac":"{MAC}",{fields}}}'.encode(), MachineDocument)
    print_machines([machine], none="")
    return capsys.readouterr().out


def test_what_is_pinned_goes_before_what_was_learned(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(
        capsys,
        '"loader":"grub","offer":"direct","secure_boot":false,'
        '"learned":{"offer":"menu","secure_boot":"probable","dead_ends":[]}',
    )
    assert text.splitlines()[-1].split() == [MAC, "grub", "direct", "off"]


def test_what_was_learned_is_said_to_be_an_inference(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(
        capsys,
        '"loader":null,"offer":null,"secure_boot":null,"learned":'
        '{"offer":"menu","secure_boot":"probable","dead_ends":["snponly","ipxe"]}',
    )
    assert "menu (learned)" in text
    assert "probable (learned)" in text
    assert "not snponly, ipxe (learned)" in text
    assert text.endswith(f"{INFERENCE}\n")


def test_nothing_learned_is_nothing_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, '"name":"nuc","learned":{"offer":null,"secure_boot":null}')
    assert text.splitlines()[0].split() == ["MAC", "NAME"]
    assert INFERENCE not in text
