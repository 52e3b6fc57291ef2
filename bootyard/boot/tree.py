"""The boot tree: names that machines ask for, over TFTP and HTTP alike, and what they mean.

Names are keys into a snapshot, never paths on disk.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

from bootyard.boot.choice import pi_target
from bootyard.boot.client import RequestFacts
from bootyard.boot.menus import grub, ipxe, pxelinux
from bootyard.boot.menus.places import WHOLE, fill
from bootyard.boot.menus.server import Server
from bootyard.boot.names import (
    is_grub_config,
    is_grub_first_script,
    is_ipxe_first_script,
    normalise,
    pi_file_class,
    pxelinux_config,
    without_loader_folder,
    without_pi_prefix,
)
from bootyard.boot.plan import make_plan
from bootyard.boot.roles import disks_of, roles_of
from bootyard.boot.vendor import vendor_offered
from bootyard.model.architecture import Firmware
from bootyard.model.events import FileClass
from bootyard.model.loaders import KERNEL_LOADERS, platform_of
from bootyard.model.snapshot import Content, Image, Slice, Snapshot, Text


class Missing(StrEnum):
    """Why a name leads to nothing."""

    NO_SUCH_FILE = "no such file"
    FORBIDDEN = "no such name can exist"


Language = Literal["ipxe", "grub", "pxelinux"]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a name in the boot tree leads to."""

    path: str
    content: Content
    file_class: FileClass
    script: Literal["first", "menu"] | None = None
    """Set for scripts: the first script of a boot, or its menu."""
    language: Language | None = None
    """Of a script."""
    image: str | None = None
    firmware: Firmware | None = None
    """Set for loaders: the only firmware that can run it."""
    is_disk: bool = False
    """A target reads it as a disk, here and there: any of it that is read is the target's start."""


class NotFound(msgspec.Struct, frozen=True, kw_only=True):
    """A name that leads nowhere."""

    path: str
    reason: Missing


MODULE = ".c32"
"""What pxelinux's and syslinux.efi's modules are called, for every firmware alike."""

BARE_NAMES_OF = (Firmware.UEFI_X64, Firmware.BIOS, Firmware.UEFI_IA32, Firmware.UEFI_ARM64)
"""Whose loaders a bare name means when nothing is known of the machine, in this order."""


class BootTree:
    """The tree of one snapshot. Building it is linear in the snapshot; a look-up is not."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._loaders = _by_folded_name(snapshot.loaders)
        self._image_files = {
            image.id: _by_folded_name(image.files) for image in snapshot.images.values()
        }
        self._templates = {
            image.id: {name.casefold(): text for name, text in image.templates.items()}
            for image in snapshot.images.values()
        }
        self._own_scripts = {f"menus/{entry.id}.ipxe".casefold(): entry for entry in snapshot.menus}
        self._roles = roles_of(snapshot)
        self._disks = disks_of(snapshot)
        self._chain_folders = _chain_folders(snapshot)

    def resolve(self, path: str, request: RequestFacts) -> Found | NotFound:
        """Find what `path` means to the machine that asks."""
        name = normalise(path)
        if name is None:
            return NotFound(path=path, reason=Missing.FORBIDDEN)
        name = without_loader_folder(name)
        found = self._find(name, name.casefold(), request)
        return found or NotFound(path=name, reason=Missing.NO_SUCH_FILE)

    def _find(self, name: str, folded: str, request: RequestFacts) -> Found | None:
        if is_ipxe_first_script(folded):
            return self._first_script(name, "ipxe", request)
        if is_grub_first_script(folded):
            return self._first_script(name, "grub", request)
        if folded == "menu.ipxe":
            return self._menu(name, "ipxe", request)
        if folded == "grub/menu.cfg":
            return self._menu(name, "grub", request)
        if (folder := pxelinux_config(folded)) is not None:
            return self._menu(name, "pxelinux", request, folder)
        if folded == ".health":
            return Found(path=name, content=Text(b"ok\n"), file_class=FileClass.OTHER)
        if folded.startswith("loaders/"):
            return self._loader(name, folded.removeprefix("loaders/"))
        if folded.startswith("images/"):
            return (
                self._chain_file(name, folded, request)
                or self._image_file(name, folded.removeprefix("images/"), request)
                or self._whole_image(name, folded.removeprefix("images/"), request)
            )
        if folded in self._own_scripts:
            return self._own_script(name, folded)
        return self._bare_loader(name, folded, request) or self._pi_file(name, folded, request)

    def _server(self, request: RequestFacts) -> Server:
        return Server(
            address=request.server_address,
            http_port=self.snapshot.http_port,
            catalog_answers=request.transport == "http",
        )

    def _first_script(self, name: str, language: Language, request: RequestFacts) -> Found:
        render = grub.render_first_script if language == "grub" else ipxe.render_first_script
        return Found(
            path=name,
            content=Text(render(self._server(request), self.snapshot).encode()),
            file_class=FileClass.MENU,
            script="first",
            language=language,
        )

    def _menu(
        self, name: str, language: Language, request: RequestFacts, folder: str = ""
    ) -> Found:
        machine = self.snapshot.machine(request.mac)
        override = machine.firmware if machine is not None else None
        seen = _firmware_named(folder) or request.firmware
        plan = make_plan(self.snapshot, machine, override or seen)
        kernel_args = machine.kernel_args if machine is not None else ""
        if language == "pxelinux":
            server = self._server(request)
            text = pxelinux.render_plan(plan, server, self.snapshot, kernel_args, seen or override)
        elif language == "grub":
            vendor = vendor_offered(self.snapshot, request.mac, machine)
            text = grub.render_plan(plan, self._server(request), self.snapshot, kernel_args, vendor)
        else:
            text = ipxe.render_plan(plan, self._server(request), self.snapshot, kernel_args)
        return Found(
            path=name,
            content=Text(text.encode()),
            file_class=FileClass.MENU,
            script="menu",
            language=language,
        )

    def _own_script(self, name: str, folded: str) -> Found:
        """Find the script of an entry of the operator's own."""
        return Found(
            path=name,
            content=Text(ipxe.render_entry(self._own_scripts[folded]).encode()),
            file_class=FileClass.MENU,
            language="ipxe",
        )

    def _loader(self, name: str, key: str) -> Found | None:
        content = self._loaders.get(key)
        if content is None:
            return None
        return Found(
            path=name,
            content=content,
            # It starts from a menu: what is concluded from a firmware's loaders is not about it.
            file_class=FileClass.OTHER if key in KERNEL_LOADERS else FileClass.LOADER,
            firmware=_firmware_named(key.partition("/")[0]),
        )

    def _bare_loader(self, name: str, folded: str, request: RequestFacts) -> Found | None:
        """Find a loader that is asked for at the root, as other servers' recipes name it.

        Some names are the same for every firmware: the machine's own comes first. A module runs
        only in the loader that asks for it, whatever the operator said of the machine.
        """
        seen = request.firmware
        if folded.endswith(MODULE) and seen is not None:
            return self._loader(name, f"{seen}/{folded}")
        machine = self.snapshot.machine(request.mac)
        override = machine.firmware if machine is not None else None
        own = [platform_of(firmware) for firmware in (override, seen) if firmware is not None]
        names = (f"{firmware}/{folded}" for firmware in (*own, *BARE_NAMES_OF))
        key = next((key for key in names if key in self._loaders), None)
        return None if key is None else self._loader(name, key)

    def _pi_file(self, name: str, folded: str, request: RequestFacts) -> Found | None:
        """Find a file of a Raspberry Pi, which asks below its serial number, its MAC, and flat."""
        target = pi_target(self.snapshot, self.snapshot.machine(request.mac))
        if target is None:
            return None
        file = without_pi_prefix(folded)
        found = self._file_of(self.snapshot.images[target.image], name, file, request)
        if found is None:
            return None
        role = self._roles.get((target.image, file)) or pi_file_class(file)
        firmware = Firmware.PI if role is FileClass.LOADER else None
        return msgspec.structs.replace(found, file_class=role, firmware=firmware)

    def _chain_file(self, name: str, folded: str, request: RequestFacts) -> Found | None:
        """Find what a vendor's shim and GRUB ask for beside themselves.

        The image's own `grub.cfg` there is for a disc, not for a network.
        """
        folder, _, last = folded.rpartition("/")
        chain = self._chain_folders.get(folder)
        if chain is None:
            return None
        if is_grub_config(last):
            return self._first_script(name, "grub", request)
        if last not in SECOND_STAGES:
            return None
        return self._file_of(chain.image, name, chain.grub, request)

    def image_named(self, folder: str) -> Image | None:
        """Find the image of a folder below `images/`: `<id>`, or `<id>@<rev>` of this revision."""
        image_id, at, revision = folder.partition("@")
        image = self.snapshot.images.get(image_id)
        return None if image is None or (at and revision != str(image.revision)) else image

    def _image_file(self, name: str, key: str, request: RequestFacts) -> Found | None:
        folder, _, file = key.partition("/")
        image = self.image_named(folder)
        return None if image is None else self._file_of(image, name, file, request)

    def _whole_image(self, name: str, key: str, request: RequestFacts) -> Found | None:
        """Find a whole image: over HTTP only, it is larger than TFTP can bring in good time."""
        image = self.image_named(key.removesuffix(WHOLE)) if key.endswith(WHOLE) else None
        if image is None or image.whole is None or request.transport != "http":
            return None
        return Found(
            path=name,
            content=image.whole,
            file_class=FileClass.IMAGE,
            image=image.id,
            is_disk=(image.id, "") in self._disks,
        )

    def _file_of(self, image: Image, name: str, file: str, request: RequestFacts) -> Found | None:
        content: Content | None = self._image_files[image.id].get(file)
        template = self._templates[image.id].get(file)
        if template is not None:
            content = Text(fill(template, image, self._server(request)).encode())
        if content is None:
            return None
        return Found(
            path=name,
            content=content,
            file_class=self._roles.get((image.id, file), FileClass.IMAGE),
            image=image.id,
            is_disk=(image.id, file) in self._disks,
        )


def _by_folded_name(files: Mapping[str, Slice]) -> dict[str, Slice]:
    return {name.casefold(): content for name, content in files.items()}


class _ChainFolder(msgspec.Struct, frozen=True):
    """Where a vendor's shim was loaded from, and looks for what it starts."""

    image: Image
    grub: str
    """The second stage, whatever the image calls it."""


SECOND_STAGES = frozenset({"grubx64.efi", "grubaa64.efi", "grubia32.efi"})
"""shim's default second stage by processor (rhboot/shim, DEFAULT_LOADER)."""


def _chain_folders(snapshot: Snapshot) -> dict[str, _ChainFolder]:
    folders: dict[str, _ChainFolder] = {}
    for target in snapshot.targets.values():
        image = snapshot.images[target.image]
        for chain in target.chains:
            inside = chain.shim.rpartition("/")[0]
            for base in (f"images/{image.id}", image.folder):
                folder = f"{base}/{inside}".rstrip("/").casefold()
                folders[folder] = _ChainFolder(image, chain.grub.casefold())
    return folders


_FIRMWARE = {firmware.value: firmware for firmware in Firmware}


def _firmware_named(folder: str) -> Firmware | None:
    return _FIRMWARE.get(folder)
