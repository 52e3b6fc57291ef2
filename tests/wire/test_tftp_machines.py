"""What machines without iPXE ask port 69 for, packet by packet, in network namespaces.

Raspberry Pi: names and options by raspberrypi documentation `boot-net.adoc` and the reports
rpi-eeprom#74, #375, #720 and firmware#1041.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bootyard.model.snapshot import Image, Snapshot
from services.tftp.packet import Data, Error, OptionAck, Options
from tests.tftp.lan import Lan, Talk

pytestmark = pytest.mark.needs("ip")

SERIAL = "9ffefdef"
PI_FILES = {
    "bootcode.bin": random.Random(1).randbytes(52_480),
    "start.elf": random.Random(2).randbytes(30_000),
    "start4.elf": random.Random(3).randbytes(40_960),
    "config.txt": b"arm_64bit=1\n",
    "kernel8.img": random.Random(4).randbytes(300_001),
    "initramfs8": random.Random(5).randbytes(200_000),
}
LOADERS = {
    "bios/pxelinux.0": b"pxelinux",
    "bios/ldlinux.c32": b"core of bios",
    "bios/menu.c32": b"menu of bios",
    "bios/libutil.c32": b"library of bios",
    "uefi-x64/syslinux.efi": b"syslinux of x64",
    "uefi-x64/ldlinux.e64": b"core of x64",
    "uefi-x64/menu.c32": b"menu of x64",
    "uefi-ia32/ldlinux.e32": b"core of ia32",
    "uefi-ia32/menu.c32": b"menu of ia32",
}
PI3_SIZE: Options = (("tsize", "0"),)
PI4: Options = (("tsize", "0"), ("blksize", "1024"))
PI5: Options = (("tsize", "0"), ("blksize", "1468"))
SYSLINUX: Options = (("tsize", "0"), ("blksize", "1408"))


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    folder = tmp_path_factory.mktemp("machines")
    lan = Lan(folder)
    for name, content in LOADERS.items():
        lan.add_loader(name, content)
    for name, content in PI_FILES.items():
        (folder / "images" / name).write_bytes(content)
    (folder / "images/linux").write_bytes(b"kernel")
    lan.publish({name: folder / "images" / name for name in (*PI_FILES, "linux")})
    add_pi(folder / "state/tftp/snapshot.json")
    with lan.serving():
        yield lan
        lan.check_faults()


def add_pi(path: Path) -> None:
    """Make a Raspberry Pi's image of the files, beside the other one."""
    snapshot = Snapshot.from_json(path.read_bytes())
    image, target = snapshot.images["test"], snapshot.targets["test"]
    pi: Image = msgspec.structs.replace(image, id="pi", title="Pi", architectures=("aarch64",))
    kernel = msgspec.structs.replace(
        target, id="pi", image="pi", loader="pi", kernel="kernel8.img", initrds=("initramfs8",)
    )
    snapshot = msgspec.structs.replace(
        snapshot,
        images={**snapshot.images, "pi": pi},
        targets={**snapshot.targets, "pi": kernel},
    )
    path.write_bytes(snapshot.to_json())


def accepted(talk: Talk, path: str, options: Options) -> OptionAck:
    talk.ask(path, options)
    answer = talk.receive()
    assert isinstance(answer, OptionAck), answer
    return answer


def download(lan: Lan, path: str, options: Options = ()) -> bytes:
    """Fetch a file in lockstep, as all of these loaders do."""
    talk = lan.talk()
    size = 512
    if options:
        size = int(dict(accepted(talk, path, options).options).get("blksize", "512"))
        talk.ack(0)
    else:
        talk.ask(path)
    content = b""
    block = 1
    while True:
        data = talk.receive()
        assert isinstance(data, Data), data
        assert data.block == block & 0xFFFF
        content += data.payload
        talk.ack(block)
        if len(data.payload) < size:
            return content
        block += 1


def is_missing(lan: Lan, path: str, options: Options = ()) -> bool:
    """Whether ERROR 1 comes at once, and nothing after it."""
    talk = lan.talk()
    talk.ask(path, options)
    answer = talk.receive()
    assert isinstance(answer, Error), answer
    return answer.code == 1


def counted(lan: Lan, file_class: str, outcome: str) -> float:
    sample = f'bootyard_tftp_transfers_total{{file_class="{file_class}",outcome="{outcome}"}}'
    return lan.metric(sample)


def test_the_rom_of_a_pi_3(lan: Lan) -> None:
    """It looks whether a file is there by its first block, then fetches it in blocks of 512."""
    before = counted(lan, "loader", "probe")
    for path in ("bootcode.bin", f"{SERIAL}/start.elf"):
        looks = lan.talk()
        looks.ask(path)
        first = looks.receive()
        assert isinstance(first, Data)
        assert first.payload == PI_FILES[path.rpartition("/")[2]][:512]
        looks.send_raw(Error(0, "").to_bytes())
        assert looks.hears_nothing()
    assert is_missing(lan, "bootsig.bin")
    assert download(lan, "bootcode.bin") == PI_FILES["bootcode.bin"]
    assert counted(lan, "loader", "probe") == before + 2


def test_the_first_stage_of_a_pi_3_asks_for_sizes_only(lan: Lan) -> None:
    answer = accepted(lan.talk(), f"{SERIAL}/start.elf", PI3_SIZE)
    assert answer.options == (("tsize", str(len(PI_FILES["start.elf"]))),)
    assert download(lan, f"{SERIAL}/start.elf", PI3_SIZE) == PI_FILES["start.elf"]


def test_the_eeprom_of_a_pi_4_boots(lan: Lan) -> None:
    before = {name: counted(lan, name, "complete") for name in ("loader", "kernel", "initrd")}
    for path in ("start4.elf", "config.txt", "config.txt", "kernel8.img", "initramfs8"):
        assert download(lan, f"{SERIAL}/{path}", PI4) == PI_FILES[path]
    for path in ("recovery.elf", "pieeprom.sig", "dt-blob.bin", "fixup4.dat"):
        assert is_missing(lan, f"{SERIAL}/{path}", PI4)

    def has_counted() -> bool:
        after = {name: counted(lan, name, "complete") for name in before}
        return after == {name: count + 1 for name, count in before.items()}

    lan.wait_for(has_counted)


def test_a_pi_4_that_asks_again_is_answered_by_the_same_transfer(lan: Lan) -> None:
    """It repeats its request every two seconds until it has an answer."""
    talk = lan.talk()
    first = accepted(talk, f"{SERIAL}/kernel8.img", PI4)
    transfer = talk.peer
    assert accepted(talk, f"{SERIAL}/kernel8.img", PI4) == first
    assert talk.peer == transfer
    talk.ack(0)
    assert isinstance(talk.receive(), Data)
    talk.send_raw(Error(0, "").to_bytes())


@pytest.mark.parametrize("prefix", ["", f"{SERIAL}/", "dc-a6-32-01-36-c2/", f"//{SERIAL.upper()}/"])
def test_a_pi_5_finds_its_files_below_any_prefix(lan: Lan, prefix: str) -> None:
    answer = accepted(lan.talk(), f"{prefix}kernel8.img", PI5)
    assert answer.options == (("tsize", str(len(PI_FILES["kernel8.img"]))), ("blksize", "1468"))
    assert download(lan, f"{prefix}kernel8.img", PI5) == PI_FILES["kernel8.img"]


@pytest.mark.parametrize(
    ("loaders", "menu"),
    [
        (("pxelinux.0", "ldlinux.c32"), "bios"),
        (("syslinux.efi", "ldlinux.e64"), "x64"),
        (("loaders/uefi-ia32/ldlinux.e32",), "ia32"),
        (("ldlinux.e64", "pxelinux.0"), "bios"),
    ],
)
def test_a_bare_module_is_of_the_loader_that_was_fetched_last(
    lan: Lan, loaders: tuple[str, ...], menu: str
) -> None:
    for path in loaders:
        download(lan, path, SYSLINUX)
    assert download(lan, "menu.c32", SYSLINUX) == f"menu of {menu}".encode()


def test_the_menu_at_the_root_names_modules_that_the_machine_can_load(lan: Lan) -> None:
    path = "pxelinux.cfg/01-52-54-00-12-34-56"
    download(lan, "pxelinux.0", SYSLINUX)
    assert download(lan, path, SYSLINUX).startswith(b"UI menu.c32\n")
    download(lan, "syslinux.efi", SYSLINUX)  # there is no libutil.c32 for it here
    assert b"PROMPT 1" in download(lan, path, SYSLINUX)
    assert download(lan, "images/test@1/linux", SYSLINUX) == b"kernel"


def test_what_loaders_only_look_for_is_counted_and_not_told(lan: Lan) -> None:
    before = counted(lan, "other", "not_found")
    looked_for = ("revocations_sku.efi", "shim_certificate_0.efi", "grub/x86_64-efi/fs.lst")
    for path in (*looked_for, "grubx64.efi"):
        assert is_missing(lan, path)
    assert counted(lan, "other", "not_found") == before + 4
    refused = {str(line["path"]): line["level"] for line in lan.logged("request refused")}
    assert [refused[path] for path in looked_for] == ["debug"] * 3
    assert refused["grubx64.efi"] == "info"
    ready, body = lan.get("/readyz")
    assert ready == 200
    assert "missing" not in body
