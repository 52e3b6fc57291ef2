"""What a recipe sees of an image, and what comes of it: the shapes on both sides. Pure."""

from collections.abc import Iterable
from typing import Literal, Protocol

import msgspec

from bootyard.model.snapshot import BootTarget, TargetKind

Container = Literal["disc", "tarball", "folder"]
Status = Literal["verified", "golden", "unverified", "guess"]
"""`verified`: booted to a login or installer in our tests. `golden`: compared with a recorded
file, not booted. `guess`: made from what the image says of itself."""


class ImageTree(Protocol):
    """Files of an image, whatever it is: a disc, a netboot tarball, a folder.

    Paths have no leading slash. Reading is limited to what is asked for; raises OSError.
    """

    @property
    def container(self) -> Container:
        """What it is."""

    @property
    def name(self) -> str:
        """Of its file without the extension, or of its folder."""

    @property
    def size(self) -> int:
        """Of the whole, in bytes."""

    @property
    def volume_id(self) -> str:
        """Of a disc; empty for others."""

    @property
    def system_id(self) -> str:
        """Of a disc; empty for others."""

    @property
    def is_complete(self) -> bool:
        """Whether every file can be served over HTTP below `{tree}`: true of discs and folders."""

    def paths(self) -> Iterable[str]:
        """All files."""

    def find(self, path: str) -> str | None:
        """The path of a file as it is spelled, exactly so or by folded case."""

    def glob(self, pattern: str) -> list[str]:
        """Files whose paths match, by folded case: `*` and `?` within one part; sorted."""

    def size_of(self, path: str) -> int:
        """Length of a file in bytes. Raises KeyError."""

    def read(self, path: str, offset: int = 0, length: int = 65536) -> bytes:
        """A piece of a file; less where it ends. Raises KeyError and OSError."""


class Recognised(msgspec.Struct, frozen=True, kw_only=True):
    """An image, by a recipe.

    Targets name their image by `image_id`, and files by their paths in it (`files`).
    """

    recipe: str
    status: Status
    title: str
    family: str
    version: str = ""
    kind: TargetKind
    architectures: tuple[str, ...] = ()
    targets: tuple[BootTarget, ...]
    """The first one has the image's id, others `<id>/<variant>`."""
    files: tuple[str, ...]
    """What the targets and their signed chains name, by path in the image."""
    templates: dict[str, str] = {}
    """See `bootyard.model.snapshot.Image.templates`."""
    evidence: tuple[str, ...] = ()
    """Why it is taken for this, in words for its owner."""
    notes: tuple[str, ...] = ()
