"""What is fuzzed: each target takes any bytes, and raises when something is wrong with our code.

An error that is the answer to bad input (`MalformedPacket`, `ImageRejected`, …) is none.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

import msgspec

from bootyard.boot.choice import BootOffer, Silence, choose
from bootyard.boot.client import BootClient, ClientKind, RecentBoot, RequestFacts
from bootyard.boot.names import normalise
from bootyard.boot.tree import BootTree, Found
from bootyard.model.document import DocumentInvalid, decode, encode
from bootyard.model.errors import ImageRejected, MalformedPacket, SnapshotUnreadable
from bootyard.model.events import BootEvent
from bootyard.model.loaders import LOADER_FILES, LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import (
    BootTarget,
    Image,
    Learned,
    Machine,
    Policy,
    Root,
    Slice,
    Snapshot,
    TargetKind,
)
from services.catalog.library import raspberry, secureboot
from services.catalog.library.description import NOTHING_SAID, parse_description
from services.catalog.library.discs.reader import read_disc
from services.proxydhcp import options, pxe
from services.proxydhcp.identify import Listener, asks_to_boot, identify, unasked
from services.proxydhcp.options import OptionCode
from services.proxydhcp.packet import DHCPPacket
from services.proxydhcp.reply import MAX_REPLY, build_reply, destination, max_reply_size
from services.proxydhcp.responder import Heard
from services.tftp import packet as tftp_packet
from services.tftp.options import Limits, negotiate
from tests import samples
from tests.catalog.discs import checks, packed
from tests.proxydhcp.test_responder import Bench

SERVER = IPv4Address("192.0.2.10")
CLIENT = IPv4Address("192.0.2.100")

LOADERS = {
    f"{firmware}/{file}": Slice(root=Root.PACKAGED, path=f"{firmware}/{file}", extents=((0, 9),))
    for firmware, loaders in LOADER_FILES.items()
    for files in loaders.values()
    for file in files
}
_FILES = {
    name: Slice(root=Root.IMAGES, path=name, extents=((0, 9),))
    for name in ("linux", "initrd.gz", "kernel8.img", "start4.elf", "EFI/BOOT/BOOTX64.EFI")
}
_PI = BootTarget(
    id="pi", image="pi", title="Pi", kind=TargetKind.LIVE, kernel="kernel8.img", loader="pi"
)
_LIVE = BootTarget(
    id="live",
    image="live",
    title="Live",
    kind=TargetKind.LIVE,
    kernel="linux",
    initrds=("initrd.gz",),
)


def _snapshot(
    mac: MACAddress | None = None,
    machine: Machine | None = None,
    learned: Learned | None = None,
    policy: Policy | None = None,
) -> Snapshot:
    return Snapshot(
        epoch="fuzz",
        number=1,
        http_port=8080,
        loaders=LOADERS,
        images={
            name: Image(id=name, revision=1, title=name, architectures=(), files=_FILES)
            for name in ("pi", "live")
        },
        targets={"pi": _PI, "live": _LIVE},
        machines={mac: msgspec.Raw(encode(machine))} if mac and machine else {},
        learned={mac: msgspec.Raw(encode(learned))} if mac and learned else {},
        policy=policy or Policy(),
    )


_TREE = BootTree(_snapshot())
_CHANGED = samples.snapshot(
    Machine(mac=samples.MAC, loader=LoaderName.SHIM), policy=Policy(deny=(samples.OTHER_MAC,))
).to_json()
_ASKS = RequestFacts(client_ip=CLIENT, server_address=SERVER, transport="tftp")


def dhcp_packet(data: bytes) -> None:
    """A DHCP message, its options, and what PXE and iPXE put inside them."""
    with suppress(MalformedPacket):
        packet = DHCPPacket.parse(data)
        assert DHCPPacket.parse(packet.to_bytes()) == packet
        asks_to_boot(packet)
        with suppress(MalformedPacket):
            assert packet.message_type is None or 0 <= packet.message_type <= 255
            for listener in Listener:
                unasked(packet, listener)
        for code in (OptionCode.REQUESTED_ADDRESS, OptionCode.SERVER_IDENTIFIER):
            with suppress(MalformedPacket):
                options.read_address(packet.options, code)
        identify(packet)
        for value in packet.options.values():
            _pxe_option(value)


def _pxe_option(value: bytes) -> None:
    pxe.read_machine_id(value)
    pxe.read_user_classes(value)
    pxe.read_ipxe_features(value)
    pxe.find_boot_item(value)
    for read in (pxe.read_network_interface, pxe.read_boot_item, pxe.read_menu_prompt):
        with suppress(MalformedPacket):
            read(value)
    with suppress(MalformedPacket):
        assert pxe.write_boot_servers(pxe.read_boot_servers(value)) == value
    with suppress(MalformedPacket):
        assert pxe.write_menu(pxe.read_menu(value)) == value
    with suppress(MalformedPacket):
        pxe.read_suboptions(value)


_OFFERS = (None, *OfferStrategy)
_PINNED = (None, *LoaderName)


def dhcp_reply(data: bytes) -> None:
    """The answer to any packet of a machine that wants to boot: it fits and parses, or silence.

    Three bytes in front say what is known of the machine.
    """
    if len(data) < 3:
        return
    offer, pinned = _OFFERS[data[0] % len(_OFFERS)], _PINNED[data[1] % len(_PINNED)]
    with suppress(MalformedPacket):
        packet = DHCPPacket.parse(data[3:])
        client = identify(packet)
        if isinstance(client, Silence):
            assert client.detail
            return
        machine = Machine(mac=packet.mac, offer=offer, loader=pinned, target="pi")
        learned = Learned(secure_boot="probable" if data[2] & 1 else None)
        recent = RecentBoot(strategy=offer, ignored=data[2] >> 4, given=None)
        decision = choose(client, recent, _snapshot(packet.mac, machine, learned))
        if isinstance(decision, Silence):
            assert decision.detail
            return
        _check_reply(packet, client, decision)


def _check_reply(packet: DHCPPacket, client: BootClient, offer: BootOffer) -> None:
    reply = build_reply(packet, client, offer, server=SERVER, http_port=8080)
    sent = reply.to_bytes()
    assert len(sent) <= min(MAX_REPLY, max_reply_size(client))
    back = DHCPPacket.parse(sent)
    assert (back.xid, back.mac, back.yiaddr) == (packet.xid, packet.mac, IPv4Address(0))
    assert back.siaddr == SERVER
    assert {OptionCode.SERVER_IDENTIFIER, OptionCode.VENDOR_CLASS} <= back.options.keys()
    named = back.file or back.options.get(OptionCode.BOOT_FILE_NAME, b"")
    assert bool(named) or client.kind is ClientKind.PI
    address, port = destination(packet, (CLIENT, 68))
    assert port > 0 or packet.giaddr != IPv4Address(0)
    assert isinstance(address, IPv4Address)


_BENCH = Bench(state=_snapshot())


def responder(data: bytes) -> None:
    """Whatever comes in on port 67, 68 or 4011, one packet after the other; one byte in front."""
    if not data:
        return
    listeners = tuple(Listener)
    _BENCH.now += 5
    heard = Heard(
        data[1:],
        (CLIENT, 68),
        listeners[data[0] % len(listeners)],
        "eth0",
        SERVER,
        _BENCH.now,
    )
    _BENCH.events.clear()
    _BENCH.sent.clear()
    _BENCH.responder._handle(heard, _BENCH._send)
    assert len(_BENCH.sent) <= 1


def tftp(data: bytes) -> None:
    """A TFTP packet, and the terms that its options lead to."""
    with suppress(MalformedPacket):
        packet = tftp_packet.parse(data)
        if isinstance(packet, tftp_packet.ReadRequest | tftp_packet.WriteRequest):
            tftp_packet.printable(packet.filename).encode()
            terms = negotiate(packet.options, Limits(), size=100_000)
            assert 8 <= terms.block_size <= Limits().block_size or terms.block_size == 512
            assert 1 <= terms.window_size <= Limits().window_size
            assert {name for name, _ in terms.accepted} <= {name for name, _ in packet.options}
        if len(packet.to_bytes()) <= tftp_packet.MAX_REQUEST:
            assert tftp_packet.parse(packet.to_bytes()) == packet


def snapshot(data: bytes) -> None:
    """A snapshot from Redis or from disk, and the boot tree of one."""
    with suppress(SnapshotUnreadable):
        read = Snapshot.from_json(data)
        assert Snapshot.from_json(read.to_json()) == read
        tree = BootTree(read)
        for path in ("boot.ipxe", "menu.ipxe", "images/live/linux", "start4.elf"):
            tree.resolve(path, _ASKS)
        for mac in {*read.machines, *read.learned}:
            with suppress(ValueError, DocumentInvalid):
                read.machine(MACAddress.parse(mac))
                read.learned_of(MACAddress.parse(mac))


_VALUES = (
    *("null", "true", "-1", "0", "1.5", "9223372036854775808", '""', '"x"', '"../x"'),
    *('"uefi-x64"', "[]", "[0]", "{}", '{"x": 1}'),
)
"""As JSON."""


def changed_snapshot(data: bytes) -> None:
    """A snapshot with values in other places: four bytes change one, so that it stays JSON."""
    tree = json.loads(_CHANGED)
    for at in range(0, len(data) - 3, 4):
        node: Any = tree
        for step in data[at : at + 3]:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = keys[step % len(keys)]
            if isinstance(node[key], dict | list) and node[key]:
                node = node[key]
                continue
            node[key] = json.loads(_VALUES[data[at + 3] % len(_VALUES)])
            break
    snapshot(json.dumps(tree).encode())


def document(data: bytes) -> None:
    """Other documents that come from elsewhere."""
    for shape in (BootEvent, Machine, Learned, Policy):
        with suppress(DocumentInvalid):
            value = decode(data, shape)
            assert decode(encode(value), shape) == value


def names(data: bytes) -> None:
    """A name that a machine asks for, over both transports."""
    path = data.decode("utf-8", "surrogateescape")
    clean = normalise(path)
    if clean is not None:
        assert not {"", ".", ".."} & set(clean.split("/"))
        assert "\\" not in clean
        assert min(clean) >= " "
    for transport in ("tftp", "http"):
        facts = RequestFacts(client_ip=CLIENT, server_address=SERVER, transport=transport)
        found = _TREE.resolve(path, facts)
        assert not isinstance(found, Found) or found.content.size > 0


def image_toml(data: bytes) -> None:
    """A description of an image."""
    with suppress(ImageRejected):
        said = parse_description(data, "image.toml")
        for name in (said.kernel, *(said.initrd or ())):
            assert name is None or not ({"", ".", ".."} & set(name.split("/")))


def pe_signature(data: bytes) -> None:
    """An EFI program: its header, its table of signatures, their certificates."""
    seen = secureboot.examine(lambda offset, length: data[offset : offset + length])
    for vendor in seen.vendors:
        assert vendor.isascii()
        assert len(vendor) <= 40


def config_txt(data: bytes) -> None:
    """A Raspberry Pi's config.txt, beside files that it may name."""
    config = raspberry.parse_config(data.decode("utf-8", "replace"))
    sizes = {"start4.elf": 1, "kernel8.img": 1, "vmlinuz": 1, "initramfs8": 0, "config.txt": 1}
    with suppress(ImageRejected):
        planned = raspberry.plan_pi(sizes, config, NOTHING_SAID)
        assert {planned.kernel, *planned.initrds} <= sizes.keys()


def disc(data: bytes) -> None:
    """A disc, as `packed` writes one in few bytes."""
    whole = packed.unpack(data)
    with suppress(ImageRejected):
        index = read_disc(lambda offset, length: whole[offset : offset + length], len(whole))
        checks.check(index)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(dhcp_packet, dhcp_reply, responder, tftp, snapshot, changed_snapshot),
        *(document, names, image_toml, pe_signature, config_txt, disc),
    )
}
