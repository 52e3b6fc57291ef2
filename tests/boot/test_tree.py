from ipaddress import IPv4Address
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.boot.client import RequestFacts
from bootyard.boot.names import normalise
from bootyard.boot.tree import BootTree, Found, Missing, NotFound
from bootyard.model.events import FileClass
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Machine, Text
from tests.samples import LOADERS, MAC, snapshot


def facts(
    transport: Literal["tftp", "http"] = "tftp", mac: MACAddress | None = None
) -> RequestFacts:
    return RequestFacts(
        client_ip=IPv4Address("192.0.2.100"),
        server_address=IPv4Address("192.0.2.10"),
        transport=transport,
        mac=mac,
    )


TREE = BootTree(snapshot(Machine(mac=MAC, target="debian", kernel_args="quiet")))


@pytest.mark.parametrize(
    ("path", "file_class", "image"),
    [
        ("loaders/uefi-x64/snponly.efi", FileClass.LOADER, None),
        ("/loaders/uefi-x64/snponly.efi", FileClass.LOADER, None),
        ("\\Loaders\\UEFI-x64\\SNPONLY.EFI", FileClass.LOADER, None),
        ("loaders/uefi-x64/snponly.efi\xff", FileClass.LOADER, None),
        ("images/debian@4/linux", FileClass.KERNEL, "debian"),
        ("images/debian/linux", FileClass.KERNEL, "debian"),
        ("images/debian/./INITRD.gz", FileClass.INITRD, "debian"),
        ("boot.ipxe", FileClass.MENU, None),
        ("autoexec.ipxe", FileClass.MENU, None),
        ("loaders/uefi-x64/autoexec.ipxe", FileClass.MENU, None),
        ("menu.ipxe", FileClass.MENU, None),
        (".health", FileClass.OTHER, None),
    ],
)
def test_names(path: str, file_class: FileClass, image: str | None) -> None:
    found = TREE.resolve(path, facts())
    assert isinstance(found, Found), found
    assert (found.file_class, found.image) == (file_class, image)
    assert found.content.size > 0


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("images/debian@3/linux", Missing.NO_SUCH_FILE),
        ("images/debian@4", Missing.NO_SUCH_FILE),
        ("images/nothing/linux", Missing.NO_SUCH_FILE),
        ("loaders/uefi-x64/other.efi", Missing.NO_SUCH_FILE),
        ("images/debian/autoexec.ipxe", Missing.NO_SUCH_FILE),
        ("linux", Missing.NO_SUCH_FILE),
        ("", Missing.FORBIDDEN),
        ("///", Missing.FORBIDDEN),
        ("../../etc/passwd", Missing.FORBIDDEN),
        ("loaders/../../../etc/passwd", Missing.FORBIDDEN),
        ("..\\..\\etc\\passwd", Missing.FORBIDDEN),
        ("loaders/uefi-x64/snponly.efi\0.txt", Missing.FORBIDDEN),
        ("loaders/\x1b[2J", Missing.FORBIDDEN),
        ("a" * 256, Missing.FORBIDDEN),
    ],
)
def test_names_that_lead_nowhere(path: str, reason: Missing) -> None:
    found = TREE.resolve(path, facts())
    assert isinstance(found, NotFound), found
    assert found.reason is reason


@given(st.text(max_size=300))
def test_any_name_leads_to_something_of_the_snapshot_or_nowhere(path: str) -> None:
    found = TREE.resolve(path, facts())
    if isinstance(found, Found) and not isinstance(found.content, Text):
        slices = [s for i in TREE.snapshot.images.values() for s in i.files.values()]
        assert found.content in [*slices, *LOADERS.values()]


@given(st.text(max_size=60))
def test_a_normal_name_stays_as_it_is(path: str) -> None:
    name = normalise(path)
    if name is not None:
        assert normalise(name) == name


def test_the_first_script_asks_the_catalog_then_tftp() -> None:
    found = TREE.resolve("autoexec.ipxe", facts())
    assert isinstance(found, Found)
    assert isinstance(found.content, Text)
    script = found.content.data.decode()
    assert script.index("http://192.0.2.10:8080/boot.ipxe") < script.index(
        "tftp://192.0.2.10/menu.ipxe"
    )
    assert found.script == "first"


def test_the_menu_over_tftp_is_this_machines_and_names_no_other_transport() -> None:
    found = TREE.resolve("menu.ipxe", facts(mac=MAC))
    assert isinstance(found, Found)
    assert isinstance(found.content, Text)
    script = found.content.data.decode()
    assert "http://" not in script
    assert "choose --default debian" in script
    assert "console=ttyS0 quiet" in script
    assert found.script == "menu"
