"""What the files of images are for, by the targets that name them. Pure.

Keys are an image's id and the file's name, folded.
"""

from bootyard.model.events import FileClass
from bootyard.model.snapshot import Snapshot


def roles_of(snapshot: Snapshot) -> dict[tuple[str, str], FileClass]:
    """Tell what files are for. One that is a kernel to any target is no initrd."""
    roles: dict[tuple[str, str], FileClass] = {}
    targets = snapshot.targets.values()
    for target in targets:
        for file in target.loaded_files:
            roles[target.image, file.casefold()] = FileClass.INITRD
    for target in targets:
        for chain in target.chains:
            roles[target.image, chain.shim.casefold()] = FileClass.LOADER
            roles[target.image, chain.grub.casefold()] = FileClass.LOADER
    for target in targets:
        roles[target.image, target.kernel_file.casefold()] = FileClass.KERNEL
    return roles


def disks_of(snapshot: Snapshot) -> frozenset[tuple[str, str]]:
    """List what targets have for a disk, as image and file; no file: the whole image."""
    return frozenset(
        (target.image, target.kernel.casefold())
        for target in snapshot.targets.values()
        if target.is_disk
    )
