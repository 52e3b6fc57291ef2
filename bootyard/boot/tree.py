"""The boot tree: names that machines ask for, over TFTP and HTTP alike, and what they mean.

Names are keys into a snapshot, never paths on disk.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

from bootyard.boot.client import RequestFacts
from bootyard.boot.menus.ipxe import Server, render_first_script, render_plan
from bootyard.boot.plan import make_plan
from bootyard.model.events import FileClass
from bootyard.model.snapshot import Content, Slice, Snapshot, Text

FIRST_SCRIPTS = frozenset({"boot.ipxe", "autoexec.ipxe"})
MAX_PATH = 255
UNTERMINATED = "\xff\ufffd\udcff "


class Missing(StrEnum):
    """Why a name leads to nothing."""

    NO_SUCH_FILE = "no such file"
    FORBIDDEN = "no such name can exist"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a name in the boot tree leads to."""

    path: str
    content: Content
    file_class: FileClass
    script: Literal["first", "menu"] | None = None
    """Set for scripts: the first script of a boot, or its menu."""
    image: str | None = None


class NotFound(msgspec.Struct, frozen=True, kw_only=True):
    """A name that leads nowhere."""

    path: str
    reason: Missing


def normalise(path: str) -> str | None:
    """Forgive what loaders do to names; None for one that cannot be in the tree.

    Windows loaders ask for ``\\Boot\\BCD``, others put a slash in front; some UEFI firmware leaves
    0xFF or blanks behind a name that was not terminated by NUL.
    """
    name = path.replace("\\", "/").rstrip(UNTERMINATED)
    parts = [part for part in name.split("/") if part not in {"", "."}]
    clean = "/".join(parts)
    if not clean or len(path) > MAX_PATH or ".." in parts:
        return None
    if any(c < " " or "\x7f" <= c <= "\x9f" for c in clean):
        return None
    return clean


class BootTree:
    """The tree of one snapshot. Building it is linear in the snapshot; a look-up is not."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._loaders = _by_folded_name(snapshot.loaders)
        self._image_files = {
            image.id: _by_folded_name(image.files) for image in snapshot.images.values()
        }
        self._roles = _roles(snapshot)

    def resolve(self, path: str, request: RequestFacts) -> Found | NotFound:
        """Find what `path` means to the machine that asks."""
        name = normalise(path)
        if name is None:
            return NotFound(path=path, reason=Missing.FORBIDDEN)
        found = self._find(name, request)
        return found or NotFound(path=name, reason=Missing.NO_SUCH_FILE)

    def _find(self, name: str, request: RequestFacts) -> Found | None:
        folded = name.casefold()
        folder, _, last = folded.rpartition("/")
        if last in FIRST_SCRIPTS and (not folder or folder.startswith("loaders/")):
            return self._first_script(name, request)
        if folded == "menu.ipxe":
            return self._menu(name, request)
        if folded == ".health":
            return Found(path=name, content=Text(b"ok\n"), file_class=FileClass.OTHER)
        if folded.startswith("loaders/"):
            return self._loader(name, folded.removeprefix("loaders/"))
        if folded.startswith("images/"):
            return self._image_file(name, folded.removeprefix("images/"))
        return None

    def _server(self, request: RequestFacts) -> Server:
        return Server(
            address=request.server_address,
            http_port=self.snapshot.http_port,
            catalog_answers=request.transport == "http",
        )

    def _first_script(self, name: str, request: RequestFacts) -> Found:
        text = render_first_script(self._server(request), self.snapshot)
        return Found(
            path=name,
            content=Text(text.encode()),
            file_class=FileClass.MENU,
            script="first",
        )

    def _menu(self, name: str, request: RequestFacts) -> Found:
        machine = self.snapshot.machine(request.mac)
        plan = make_plan(self.snapshot, machine, machine.firmware if machine else None)
        text = render_plan(
            plan,
            self._server(request),
            self.snapshot,
            machine.kernel_args if machine else "",
        )
        return Found(
            path=name, content=Text(text.encode()), file_class=FileClass.MENU, script="menu"
        )

    def _loader(self, name: str, key: str) -> Found | None:
        content = self._loaders.get(key)
        if content is None:
            return None
        return Found(path=name, content=content, file_class=FileClass.LOADER)

    def _image_file(self, name: str, key: str) -> Found | None:
        folder, _, file = key.partition("/")
        image_id, at, revision = folder.partition("@")
        image = self.snapshot.images.get(image_id)
        if image is None or (at and revision != str(image.revision)):
            return None
        content = self._image_files[image_id].get(file)
        if content is None:
            return None
        return Found(
            path=name,
            content=content,
            file_class=self._roles.get((image_id, file), FileClass.IMAGE),
            image=image_id,
        )


def _by_folded_name(files: Mapping[str, Slice]) -> dict[str, Slice]:
    return {name.casefold(): content for name, content in files.items()}


def _roles(snapshot: Snapshot) -> dict[tuple[str, str], FileClass]:
    roles: dict[tuple[str, str], FileClass] = {}
    for target in snapshot.targets.values():
        for initrd in target.initrds:
            roles[target.image, initrd.casefold()] = FileClass.INITRD
        roles[target.image, target.kernel.casefold()] = FileClass.KERNEL
    return roles
