"""The shape of a recipe: how an image is told by its files, and how it boots. Pure.

One TOML file is one recipe. `docs/images.md` says what the keys mean.
"""

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import TargetKind, TargetLoader
from services.catalog.library.recipes.material import Container, Status

SCHEMA = 1

Paths = str | tuple[str, ...]
"""A path inside an image, or several of which the first that is there is taken."""


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table in which a key that does not exist is a mistake."""


class ReadFile(_Strict, frozen=True, kw_only=True):
    """A small file that is read for values."""

    file: Paths
    format: str = "regex"
    """`regex`: the first line that has `pattern`, whose named groups are the values. `ini`: `keys`
    are `section.key`. `shell`: `keys` are variables."""
    pattern: str = ""
    keys: dict[str, str] = {}
    """Name of a value to where it is in the file."""
    needed: bool = True
    """Whether the recipe is for images only that have it."""


class Detect(_Strict, frozen=True, kw_only=True):
    """What an image has to have. Regular expressions and paths ignore case."""

    containers: tuple[Container, ...] = ("disc", "folder")
    name: str = ""
    """Regular expression for the name of the image's file or folder."""
    volume_id: str = ""
    system_id: str = ""
    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    read: tuple[ReadFile, ...] = ()


class Inject(_Strict, frozen=True, kw_only=True):
    """A file that is put beside the initrds; see `bootyard.model.snapshot.Injected`."""

    path: str
    file: Paths = ""
    mode: str = ""
    needed: bool = True


class ModuleFile(_Strict, frozen=True, kw_only=True):
    """A module of a multiboot kernel."""

    file: Paths
    cmdline: str = ""


class Rewrite(_Strict, frozen=True, kw_only=True):
    """A text file `key=value` that is served changed."""

    set: dict[str, str] = {}
    """Keys and their new values; those that the file lacks are added."""
    relative: tuple[str, ...] = ()
    """Keys in whose values paths lose the slash in front."""


class Boot(_Strict, frozen=True, kw_only=True):
    """A way to boot. What a variant leaves out is as `[boot]` has it."""

    title: str | None = None
    """What tells a variant from the first target, in menus."""
    kind: TargetKind | None = None
    loader: TargetLoader | None = None
    needs: tuple[Paths, ...] | None = None
    """Files that have to be there, beside those that are named; without them it is left out."""
    kernel: Paths | None = None
    early_initrds: tuple[str, ...] | None = None
    """Before the others, and left out where the image has none: processors' microcode."""
    initrds: tuple[Paths, ...] | None = None
    inject: tuple[Inject, ...] | None = None
    modules: tuple[ModuleFile, ...] | None = None
    cmdline: str | None = None
    append: str = ""
    """Words behind the command line."""
    firmware: tuple[Firmware, ...] | None = None
    rewrite: dict[str, Rewrite] | None = None
    fetches_with: str | None = None
    """What the last initrd has to have (a mark of `sniff`), where not every such image has it."""
    least_memory_mb: int = 0
    """0: as the recipe's `[memory]` says."""


class Memory(_Strict, frozen=True, kw_only=True):
    """What it takes to start: `least_mb`, and `times` the size of a file kept in memory."""

    least_mb: int = 0
    of: Paths = ""
    """`{iso}` is the whole image."""
    times: float = 1.0


class Chain(_Strict, frozen=True, kw_only=True):
    """The vendor's own shim and GRUB (design: Secure Boot)."""

    shim: str
    grub: str
    firmware: Firmware = Firmware.UEFI_X64


class Replace(_Strict, frozen=True, kw_only=True):
    """An image that cannot boot over a network: why, and what to take instead."""

    problem: str
    cure: str


class FamilyName(_Strict, frozen=True, kw_only=True):
    """One of several families that boot alike."""

    match: str
    """Regular expression for the value that `family_of` names."""
    family: str
    title: str


class Recipe(_Strict, frozen=True, kw_only=True):
    """A kind of image."""

    schema: int
    id: str
    title: str
    family: str
    kind: TargetKind
    priority: int
    """Higher ones are tried first; a user's before all that are built in."""
    status: Status = "unverified"
    detect: Detect
    architectures: tuple[str, ...] = ()
    """Where neither kernel nor path tell."""
    family_of: str = ""
    families: tuple[FamilyName, ...] = ()
    boot: Boot | None = None
    variants: dict[str, Boot] = {}
    memory: Memory = Memory()
    serve: tuple[str, ...] = ()
    """Files that what boots fetches by itself: with them, a tarball can be booted that way too."""
    secureboot: tuple[Chain, ...] = ()
    replace: Replace | None = None
    unattended: str = ""
    """How the system is told where its answers are; no target does so by itself."""
    notes: tuple[str, ...] = ()


class RecipeProblem(msgspec.Struct, frozen=True):
    """A recipe file that is not used, and why."""

    file: str
    problem: str


class Recipes(msgspec.Struct, frozen=True):
    """All recipes in the order in which they are tried."""

    recipes: tuple[Recipe, ...]
    problems: tuple[RecipeProblem, ...] = ()
