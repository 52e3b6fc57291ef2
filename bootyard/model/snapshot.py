"""The snapshot: what can be booted, by whom and how, as one immutable, numbered document.

The catalog is its only writer. It holds no variables, secrets or answers: everything in it may be
read by anyone on the boot network.

Its values are trees: the garbage collector need not look for circles in them (`gc=False`), which in
a large library would hold everything up for longer than reading it takes.
"""

from enum import StrEnum
from typing import Literal

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.document import DocumentInvalid, decode, encode
from bootyard.model.errors import SnapshotUnreadable
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress

SCHEMA = 1
"""Raised when a reader of the previous version could misread the document."""

LOCAL_DISK = "local-disk"
MENU = "menu"


class Root(StrEnum):
    """Which directory a slice's path starts from; each service maps it to one of its own."""

    IMAGES = "images"
    LOADERS = "loaders"
    PACKAGED = "packaged"
    DERIVED = "derived"


class Fingerprint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What tells that a file is still the one that was indexed."""

    size: int
    mtime_ns: int
    inode: int


class Slice(msgspec.Struct, frozen=True, kw_only=True, tag="slice", omit_defaults=True, gc=False):
    """Bytes of a file on disk: `extents` of (offset, length), one after the other.

    `fingerprint` is None for loaders, which every service has a copy of its own of.
    """

    root: Root
    path: str
    extents: tuple[tuple[int, int], ...]
    fingerprint: Fingerprint | None = None

    @property
    def size(self) -> int:
        """Length in bytes of what a machine receives."""
        return sum(length for _, length in self.extents)


class Text(msgspec.Struct, frozen=True, tag="text", gc=False):
    """Bytes made for one request."""

    data: bytes

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)


Content = Slice | Text


class TargetKind(StrEnum):
    """What starting a target does to a machine."""

    LIVE = "live"
    TOOL = "tool"
    INSTALLER = "installer"
    """Asks before it touches a disk."""
    UNATTENDED = "unattended"
    """Erases without asking: starts only through boot-once."""
    LOCAL_DISK = "local-disk"


TREE = "{tree}"
"""In a command line or a template: address of the tree of an image's files, no slash behind it."""
ISO = "{iso}"
"""Address of the whole image; it ends in `.iso`, which dracut's livenet goes by."""
HOST = "{host}"
"""Address of the host that serves both."""

PLACEHOLDERS = (TREE, ISO, HOST)


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something in the library that can be booted, at one revision."""

    id: str
    revision: int
    title: str
    architectures: tuple[str, ...]
    files: dict[str, Slice]
    """What targets name, by its name in the boot tree; TFTP and HTTP serve them alike."""
    family: str = "unknown"
    version: str = ""
    whole: Slice | None = None
    """The file itself, where the image is one file: served as `images/<id>[@<rev>].iso` by HTTP."""
    templates: dict[str, str] = {}
    """Small texts that are served with PLACEHOLDERS filled in, by name in the boot tree: an ESXi
    `boot.cfg` that has to name our address. A file of the same name is hidden by it."""

    @property
    def folder(self) -> str:
        """Where scripts find its files in the boot tree: pinned to this revision."""
        return f"images/{self.id}@{self.revision}"


class SignedChain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A vendor's own shim and GRUB, among the files of its image (design: Secure Boot).

    shim loads its second stage from the directory that it came from itself.
    """

    shim: str
    grub: str
    firmware: Firmware = Firmware.UEFI_X64


class Injected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A file that is put into what starts, beside its initrds.

    For `linux` it appears at `path` in the initial root file system (iPXE wraps it as cpio), for
    `wimboot` it is handed over under the name `path`.
    """

    path: str
    file: str = ""
    """Name of the image's file; empty: the whole image."""
    mode: str = ""
    """As chmod(1) has it, octal; empty: 644."""


class Module(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A module of a multiboot kernel, with its own command line."""

    file: str
    command_line: str = ""


TargetLoader = Literal["linux", "efi", "wimboot", "sanboot", "memdisk", "multiboot", "script", "pi"]
"""How a target is started.

`linux`: kernel, initrds, injected files, command line. `efi`: `kernel` is an EFI program, the
command line its arguments. `wimboot`: the injected files by their names, `kernel` is empty and
wimboot a loader. `sanboot`: `kernel`, or the whole image where that is empty, as a disk over HTTP.
`memdisk`: the same loaded into memory, BIOS only. `multiboot`: `kernel` with `modules` (GRUB, or
iPXE on BIOS). `script`: `kernel` is an iPXE script. `pi`: files of a Raspberry Pi, which its
firmware fetches by name.
"""


class BootTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One way to boot an image. `kernel`, `initrds` and so on are names of the image's files."""

    id: str
    image: str
    title: str
    kind: TargetKind
    kernel: str
    initrds: tuple[str, ...] = ()
    injected: tuple[Injected, ...] = ()
    modules: tuple[Module, ...] = ()
    command_line: str = ""
    """May have PLACEHOLDERS, which are filled in when a script is rendered."""
    loader: TargetLoader = "linux"
    firmware: tuple[Firmware, ...] = ()
    """The platforms that can start it (`bios`, `uefi-x64`, …); empty: what its image's
    architectures say. HTTP Boot firmware counts as its platform."""
    least_memory_mb: int = 0
    """What it takes to start; 0: not known."""
    group: str = ""
    """Heading in menus; empty: the image's family."""
    is_guess: bool = False
    """Nothing is known of this kind of image: it may not boot."""
    signed_by: str = ""
    """Vendor whose key the kernel is signed with (`debian`, `ubuntu`, …); empty: by none known."""
    chains: tuple[SignedChain, ...] = ()

    @property
    def is_disk(self) -> bool:
        """Whether what starts is a disk: `kernel`, or the whole image where that is empty."""
        return self.loader in {"sanboot", "memdisk"}

    @property
    def needs_catalog(self) -> bool:
        """Whether it cannot start from what TFTP serves alone."""
        texts = [self.command_line, *(module.command_line for module in self.modules)]
        return (
            self.is_disk
            or any(not injected.file for injected in self.injected)
            or any("{" in text and any(word in text for word in PLACEHOLDERS) for text in texts)
        )

    @property
    def kernel_file(self) -> str:
        """Name of the file that is taken when this starts; empty: the whole image.

        What wimboot is handed to start is the disk image of Windows PE.
        """
        if self.loader != "wimboot":
            return self.kernel
        files = [injected.file for injected in self.injected if injected.file]
        return next((file for file in files if file.casefold().endswith(".wim")), "") or (
            files[-1] if files else ""
        )

    @property
    def loaded_files(self) -> tuple[str, ...]:
        """Names of all files that are taken one after the other when this starts, each once."""
        injected = (one.file for one in self.injected if one.file)
        modules = (module.file for module in self.modules)
        return tuple(dict.fromkeys((self.kernel_file, *self.initrds, *injected, *modules)))


class MenuEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of the operator's own: iPXE commands, run as they are."""

    id: str
    """Slug of the title."""
    title: str
    script: str
    """Lines of an iPXE script without `#!ipxe`; when they end, the menu comes back."""


class Machine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the operator said about one machine."""

    mac: MACAddress
    name: str | None = None
    tags: tuple[str, ...] = ()
    target: str | None = None
    kernel_args: str = ""
    firmware: Firmware | None = None
    """Overrides what the machine's packets say."""
    loader: LoaderName | None = None
    """Pinned: nothing else is tried."""
    offer: OfferStrategy | None = None
    secure_boot: bool | None = None
    """Whether it gets the signed chain; None: as the policy says."""


class Learned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the catalog concluded from a machine's boots; the operator's word goes before it."""

    offer: OfferStrategy | None = None
    """The strategy that it took an offer by."""
    secure_boot: Literal["probable", "confirmed"] | None = None
    """`probable`: it fetched an unsigned loader to the end, and then nothing was heard of it.
    `confirmed`: after that, the signed chain started."""
    dead_ends: tuple[LoaderName, ...] = ()
    """Loaders that led nowhere since one last worked."""


class SubnetRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """TFTP for a network that needs more patience or smaller packets (VPN, PPPoE, old iDRAC).

    Naming a network of 8 bits and more also has its machines answered from behind a router.
    """

    network: str
    """In CIDR notation, such as 198.51.100.0/24; the longest one that holds a client counts."""
    max_block_size: int | None = None
    max_window_size: int | None = None
    retry_seconds: float | None = None
    """Before the first repeat of what was not acknowledged, at the soonest."""
    tries: int | None = None
    """How often the same blocks are sent; at most four times to a client that never answered."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What machines get that nobody said anything about."""

    default: str = MENU
    """`menu`, `local-disk` or the id of a target that installs nothing unattended."""
    timeout_seconds: int = 10
    """How long a menu waits before the local disk; 0 waits for ever."""
    unknown: Literal["menu", "local-disk", "silence"] = "menu"
    local_disk_method: Literal["exit", "sanboot", "poweroff"] = "exit"
    allow: tuple[MACAddress, ...] = ()
    """When not empty, only these machines are answered."""
    deny: tuple[MACAddress, ...] = ()
    secure_boot: Literal["auto", "always", "never"] = "auto"
    """Who gets the signed chain; `auto`: machines that were seen to refuse an unsigned loader."""
    subnets: tuple[SubnetRule, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One complete state. `epoch` is made with the catalog's database; `number` counts within it.

    Machines stay raw JSON until one is looked up, so that reading thousands of them costs little.
    """

    schema: int = SCHEMA
    epoch: str
    number: int
    http_port: int
    loaders: dict[str, Slice]
    """`<firmware>/<file>` of everything under `loaders/` in the boot tree."""
    images: dict[str, Image] = {}
    targets: dict[str, BootTarget] = {}
    machines: dict[str, msgspec.Raw] = {}
    policy: Policy = Policy()
    menus: tuple[MenuEntry, ...] = ()
    learned: dict[str, msgspec.Raw] = {}
    """By MAC, of machines that the operator knows and of others."""
    armed: dict[str, str] = {}
    """MAC to target of every boot-once, for the choice of a loader only: no menu tells of it."""

    @property
    def version(self) -> str:
        """`EPOCH.NUMBER`, as `/readyz` and logs name it."""
        return f"{self.epoch}.{self.number}"

    def machine(self, mac: MACAddress | None) -> Machine | None:
        """Look up what the operator said about a machine."""
        raw = self.machines.get(mac) if mac is not None else None
        return None if raw is None else decode(raw, Machine)

    def learned_of(self, mac: MACAddress | None) -> Learned:
        """Look up what was learned of a machine."""
        raw = self.learned.get(mac) if mac is not None else None
        return Learned() if raw is None else decode(raw, Learned)

    def to_json(self) -> bytes:
        """Encode for Redis and for disk."""
        return encode(self)

    @classmethod
    def from_json(cls, document: bytes) -> "Snapshot":
        """Decode; raises SnapshotUnreadable, saying whether the schema is newer."""
        try:
            schema = decode(document, _Header).schema
            if schema > SCHEMA:
                raise SnapshotUnreadable(
                    f"the snapshot has schema {schema}, this version reads {SCHEMA} and older;"
                    " upgrade this service to the catalog's version"
                )
            snapshot = _in_pieces(decode(document, _Pieces))
        except DocumentInvalid as error:
            raise SnapshotUnreadable(f"not a snapshot: {error}") from error
        for target in snapshot.targets.values():
            if target.image not in snapshot.images:
                raise SnapshotUnreadable(
                    f"not a snapshot: target {target.id} is of {target.image}, which is not in it"
                )
        return snapshot


class _Header(msgspec.Struct):
    schema: int


class _Pieces(msgspec.Struct, kw_only=True):
    """A snapshot whose images and targets are still to be decoded."""

    schema: int = SCHEMA
    epoch: str
    number: int
    http_port: int
    loaders: dict[str, Slice]
    images: dict[str, msgspec.Raw] = {}
    targets: dict[str, msgspec.Raw] = {}
    machines: dict[str, msgspec.Raw] = {}
    policy: Policy = Policy()
    menus: tuple[MenuEntry, ...] = ()
    learned: dict[str, msgspec.Raw] = {}
    armed: dict[str, str] = {}


def _in_pieces(pieces: _Pieces) -> Snapshot:
    """Decode one image after the other: a thread that decodes holds the interpreter until it is
    through with a document, and meanwhile no machine would be answered."""
    return Snapshot(
        schema=pieces.schema,
        epoch=pieces.epoch,
        number=pieces.number,
        http_port=pieces.http_port,
        loaders=pieces.loaders,
        images={name: decode(raw, Image) for name, raw in pieces.images.items()},
        targets={name: decode(raw, BootTarget) for name, raw in pieces.targets.items()},
        machines=pieces.machines,
        policy=pieces.policy,
        menus=pieces.menus,
        learned=pieces.learned,
        armed=pieces.armed,
    )


BUILTIN_EPOCH = "builtin"


def builtin_snapshot(http_port: int, loaders: dict[str, Slice]) -> Snapshot:
    """What a service serves that never held a snapshot: loaders, first script, default policy."""
    return Snapshot(epoch=BUILTIN_EPOCH, number=0, http_port=http_port, loaders=loaders)
