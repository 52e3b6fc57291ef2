#!/usr/bin/env python3
"""Writes the table in docs/firmware.md: what every kind of client gets, as the code decides it.

    .venv/bin/python docs/generate_firmware_table.py

Each row is one packet that goes through `identify` and `choose`, as a machine's would; only how a
row was verified is said here.
"""

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bootyard.boot.choice import BootOffer, Silence, choose  # noqa: E402
from bootyard.boot.client import BootClient, ClientKind, RecentBoot  # noqa: E402
from bootyard.boot.strategy import NEXT  # noqa: E402
from bootyard.model.architecture import (  # noqa: E402
    FIRMWARE_OF,
    ClientArchitecture,
    Firmware,
    firmware_of,
)
from bootyard.model.document import encode  # noqa: E402
from bootyard.model.loaders import LoaderName, OfferStrategy, loader_named  # noqa: E402
from bootyard.model.mac import MACAddress  # noqa: E402
from bootyard.model.snapshot import (  # noqa: E402
    BootTarget,
    Image,
    Learned,
    Machine,
    Root,
    Slice,
    Snapshot,
    TargetKind,
)
from docs.generated import with_table  # noqa: E402
from services.proxydhcp.identify import identify  # noqa: E402
from services.proxydhcp.packet import DHCPPacket, OpCode  # noqa: E402

NONE = "-"
PAGE = ROOT / "docs/firmware.md"
BEGIN = "<!-- written by docs/generate_firmware_table.py: change that instead -->"
END = "<!-- end of what is written by it -->"

PACKAGES: dict[str, str] = {
    each.destination: each.package
    for each in runpy.run_path(str(ROOT / "deploy/setup/loaders.py"))["LAYOUT"]
}
"""`<firmware>/<file>` to the Debian package that set-up takes it from."""

SECOND_STAGE = {
    "uefi-x64/shimx64.efi": "uefi-x64/grubx64.efi",
    "uefi-arm64/shimaa64.efi": "uefi-arm64/grubaa64.efi",
}


class Verified(NamedTuple):
    """How a row is known to be right, and the test that says so."""

    how: str
    test: str


def on_firmware(test: str) -> Verified:
    return Verified("on firmware", f"tests/lab/{test}")


def by_capture(test: str) -> Verified:
    return Verified("by capture", f"tests/{test}")


def by_documented_bytes(test: str = "proxydhcp/test_identify.py::test_who_asks") -> Verified:
    return Verified("by documented bytes", f"tests/{test}")


VERIFIED: dict[Firmware, Verified] = {
    Firmware.BIOS: by_documented_bytes("proxydhcp/test_bios_rom.py"),
    Firmware.UEFI_X64: on_firmware("test_journeys.py::test_uefi_boots_as_a_new_user_sees_it"),
    Firmware.UEFI_IA32: on_firmware("test_architectures.py::test_ia32_gets_grub"),
    Firmware.UEFI_ARM64: on_firmware("test_architectures.py::test_arm64_gets_ipxe"),
    Firmware.HTTP_X64: on_firmware("test_http_boot.py::test_http_boot_reaches_the_installer"),
}
"""Firmware that is not named here: by documented bytes."""

VERIFIED_SECURE = {
    Firmware.UEFI_X64: on_firmware(
        "test_secure_boot.py::test_nothing_is_pinned_and_the_second_boot_arrives"
    ),
}
VERIFIED_IPXE_ROM = on_firmware("test_journeys.py::test_bios_boots_as_a_new_user_sees_it")
VERIFIED_IPXE_LOADED = by_capture("proxydhcp/test_captures.py")
VERIFIED_OLD_IPXE = by_documented_bytes("boot/test_choice.py")

ALL_FEATURES = bytes.fromhex("130101 270101")
NO_FEATURES = bytes.fromhex("100101")
"""Option 175 of an iPXE with HTTP and menus, and of one with neither (ipxe/features.h)."""

HOMES = {
    Firmware.BIOS: "PXEClient",
    Firmware.UBOOT: "U-Boot.armv8",
    Firmware.PI: "PXEClient",
}
MAC = MACAddress.parse("02:00:00:00:00:01")
PI_MAC = MACAddress.parse("dc:a6:32:00:00:01")


class Row(NamedTuple):
    """One line of the table."""

    client: str
    values: tuple[int, ...]
    """Of option 93."""
    firmware: str
    loaders: str
    offered: str
    secure: str
    verified: str


def table() -> str:
    """Give the table as Markdown."""
    head = Row("client", (), "firmware", "gets, best first", "offered", "Secure Boot", "verified")
    lines = [_line(head._replace(client="client"), "option 93"), "|---|---|---|---|---|---|---|"]
    lines += [_line(row, _values(row.values)) for row in rows()]
    return "\n".join(lines)


def rows() -> Iterator[Row]:
    """Give every row: firmware by its architectures, then iPXE, the Pi, and the rest."""
    for firmware in Firmware:
        if firmware in (Firmware.PI, Firmware.OTHER):
            continue
        found = [each for each in ClientArchitecture if firmware_of(each) is firmware]
        by_outcome: dict[str, list[ClientArchitecture]] = {}
        for architecture in found:
            by_outcome.setdefault(_loaders(_packet(firmware, architecture)), []).append(
                architecture
            )
        for architectures in by_outcome.values():
            yield _firmware_row(firmware, tuple(architectures))
    yield _pi_row()
    yield from _ipxe_rows()
    yield _rest_row()


def _firmware_row(firmware: Firmware, architectures: tuple[ClientArchitecture, ...]) -> Row:
    packet = _packet(firmware, architectures[0])
    verified = VERIFIED.get(firmware, by_documented_bytes())
    secure, chain = _secure(packet), VERIFIED_SECURE.get(firmware)
    return Row(
        client=_title(firmware),
        values=architectures,
        firmware=f"`{firmware}`",
        loaders=_loaders(packet),
        offered=_strategies(packet),
        secure=secure,
        verified=_verified(verified) + ("" if chain is None else f"; its chain {_verified(chain)}"),
    )


def _pi_row() -> Row:
    packet = _packet(Firmware.PI, ClientArchitecture.X86_BIOS, mac=PI_MAC)
    client = _client(packet)
    assert client.kind is ClientKind.PI  # noqa: S101
    return Row(
        client="Raspberry Pi 3, 4, 5, by its MAC or option 97",
        values=(ClientArchitecture.X86_BIOS,),
        firmware=f"`{client.firmware}`",
        loaders=_loaders(packet),
        offered='menu with the text "Raspberry Pi Boot"',
        secure=NONE,
        verified=_verified(by_documented_bytes()),
    )


def _ipxe_rows() -> Iterator[Row]:
    every = tuple(each for each in FIRMWARE_OF if firmware_of(each) is not Firmware.UBOOT)
    pxe = tuple(each for each in every if not firmware_of(each).startswith("http"))
    packet = _packet(Firmware.UEFI_X64, ClientArchitecture.X64_UEFI, ipxe=ALL_FEATURES)
    common = {"values": pxe, "firmware": "its platform's", "secure": "as its platform"}
    yield Row(
        client="iPXE in a card's ROM",
        loaders=_loaders(packet),
        offered=_strategies(packet),
        verified=_verified(VERIFIED_IPXE_ROM),
        **common,  # type: ignore[arg-type]
    )
    yield Row(
        client="iPXE that we, or anything, loaded",
        loaders=_loaders(packet),
        offered=_strategies(packet),
        verified=_verified(VERIFIED_IPXE_LOADED),
        **common,  # type: ignore[arg-type]
    )
    old = _packet(Firmware.BIOS, ClientArchitecture.X86_BIOS, ipxe=NO_FEATURES)
    yield Row(
        client="iPXE without HTTP or menus (option 175)",
        loaders=f"the iPXE of its platform (BIOS: {_loaders(old)}), once",
        offered=_strategies(old),
        verified=_verified(VERIFIED_OLD_IPXE),
        **common,  # type: ignore[arg-type]
    )


def _rest_row() -> Row:
    rest = tuple(each for each in ClientArchitecture if each not in FIRMWARE_OF)
    return Row(
        client="everything else, values not registered included",
        values=rest,
        firmware=f"`{Firmware.OTHER}`",
        loaders=_loaders(_packet(Firmware.OTHER, rest[0])),
        offered=NONE,
        secure=NONE,
        verified=_verified(by_documented_bytes()),
    )


def _packet(
    firmware: Firmware,
    architecture: ClientArchitecture,
    *,
    mac: MACAddress = MAC,
    ipxe: bytes | None = None,
) -> DHCPPacket:
    """Make the DISCOVER of a kind of firmware."""
    by_http = firmware.startswith("http")
    vendor_class = "HTTPClient" if by_http else HOMES.get(firmware, "PXEClient")
    options = {53: b"\x01", 93: architecture.to_bytes(2), 60: vendor_class.encode()}
    if ipxe is not None:
        options |= {77: b"iPXE", 175: ipxe}
    return DHCPPacket(op=OpCode.BOOTREQUEST, xid=1, mac=mac, options=options)


def _client(packet: DHCPPacket) -> BootClient:
    client = identify(packet)
    if isinstance(client, Silence):
        raise TypeError(f"not a client: {client.detail}")
    return client


def _choose(
    packet: DHCPPacket,
    *,
    dead_ends: tuple[LoaderName, ...] = (),
    secure_boot: bool | None = None,
    recent: RecentBoot | None = None,
) -> BootOffer | Silence:
    """Decide as proxydhcp does, with every packaged loader and a Pi's folder at hand."""
    pi = BootTarget(
        id="pi", image="pi", title="Pi", kind=TargetKind.LIVE, kernel="kernel8.img", loader="pi"
    )
    snapshot = Snapshot(
        epoch="docs",
        number=1,
        http_port=8080,
        loaders={
            name: Slice(root=Root.PACKAGED, path=name, extents=((0, 1),))
            for name in PACKAGES
            if not name.endswith("/")
        },
        images={"pi": Image(id="pi", revision=1, title="Pi", architectures=(), files={})},
        targets={"pi": pi},
        machines={
            packet.mac: msgspec.Raw(encode(Machine(mac=packet.mac, secure_boot=secure_boot)))
        },
        learned={packet.mac: msgspec.Raw(encode(Learned(dead_ends=dead_ends)))},
    )
    return choose(_client(packet), recent or RecentBoot(), snapshot)


def _loaders(packet: DHCPPacket) -> str:
    """Name what a client is offered, and then, each time the one before led nowhere."""
    names: list[str] = []
    dead_ends: tuple[LoaderName, ...] = ()
    while True:
        offer = _choose(packet, dead_ends=dead_ends)
        if isinstance(offer, Silence):
            return ", ".join(names) if names else f"no answer: {_reason(packet, offer)}"
        if not offer.boot_file:
            return "its own firmware files, from a folder of the library"
        loader = loader_named(offer.boot_file)
        if loader is None:
            return ", ".join((*names, f"the script `{offer.boot_file}`"))
        if loader[1] in dead_ends:
            return ", ".join(names)
        names.append(_with_package(offer.boot_file.removeprefix("loaders/")))
        dead_ends = (*dead_ends, loader[1])
        if _client(packet).kind is ClientKind.IPXE:
            return names[0]


def _strategies(packet: DHCPPacket) -> str:
    """Name the strategy, and those that follow when its offers are left."""
    offer = _choose(packet)
    if isinstance(offer, Silence):
        return NONE
    if _client(packet).kind is ClientKind.HTTP:
        return "URL in the offer"
    following: list[OfferStrategy] = [offer.strategy]
    while True:
        again = _choose(packet, recent=RecentBoot(strategy=following[-1], ignored=len(NEXT)))
        if isinstance(again, Silence) or again.strategy in following:
            return ", then ".join(following)
        following.append(again.strategy)


def _secure(packet: DHCPPacket) -> str:
    """Name the signed chain of a client, if there is one."""
    offer = _choose(packet, secure_boot=True)
    if isinstance(offer, Silence):
        return NONE
    shim = offer.boot_file.removeprefix("loaders/")
    loader = loader_named(offer.boot_file)
    if loader is None or loader[1] is not LoaderName.SHIM:
        return "no signed loader"
    return f"{_with_package(shim)} → {_with_package(SECOND_STAGE[shim])}"


def _reason(packet: DHCPPacket, silence: Silence) -> str:
    if _client(packet).firmware is Firmware.OTHER:
        return f"`{silence.reason}`, counted and shown"
    return silence.detail.partition(" (")[0]


def _with_package(name: str) -> str:
    return f"`{name.partition('/')[2]}` ({PACKAGES[name]})"


def _title(firmware: Firmware) -> str:
    if firmware is Firmware.BIOS:
        return "legacy BIOS, a card's PXE ROM"
    if firmware is Firmware.UBOOT:
        return "U-Boot"
    kind, _, processor = firmware.partition("-")
    return f"UEFI {processor}" + (" HTTP Boot" if kind == "http" else ", PXE")


def _verified(verified: Verified) -> str:
    return verified.how


def _values(values: tuple[int, ...]) -> str:
    """`1, 2, 3, 7` -> `1-3 7`."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return " ".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else " ".join(map(str, run)) for run in runs
    )


def _line(row: Row, values: str) -> str:
    cells = (
        row.client,
        values,
        row.firmware,
        row.loaders,
        row.offered,
        row.secure,
        row.verified,
    )
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """Give docs/firmware.md as it should be."""
    return with_table(PAGE, BEGIN, END, table())


if __name__ == "__main__":
    PAGE.write_text(page())
