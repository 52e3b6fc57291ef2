"""The Debian 12 installer as a folder of images, from its package of netboot files."""

import shutil
from pathlib import Path

IMAGES = Path("/usr/lib/debian-installer/images")
INSTALLER = max(
    IMAGES.glob("*/amd64/text/debian-installer/amd64"),
    default=IMAGES / "12/amd64/text/debian-installer/amd64",
)
"""Of the release that this host's packages have."""

_DESCRIPTION = """\
title = "Debian 12 installer"
family = "debian"
version = "12"
kind = "installer"
architectures = ["x86_64"]
kernel = "linux"
initrd = ["initrd.gz"]
cmdline = "{cmdline}"
"""


def make_debian_folder(
    images: Path, name: str = "debian-12", *, cmdline: str = "console=ttyS0"
) -> Path:
    """Copy kernel and initrd (49 MB) to `images/<name>` and describe them."""
    folder = images / name
    folder.mkdir(parents=True)
    for file in ("linux", "initrd.gz"):
        shutil.copyfile(INSTALLER / file, folder / file)
    (folder / "image.toml").write_text(_DESCRIPTION.format(cmdline=cmdline))
    return folder
