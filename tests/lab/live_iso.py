"""A real live system of Debian trixie as an ISO, made from this machine's mirror and kept.

It says `LIVE-SYSTEM-READY` on the first serial port once somebody is logged in. With trixie's own
shim and signed GRUB in `EFI/BOOT`, as Debian's ISOs have them. Making it takes two minutes.
"""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.grub import LOADERS
from tests.lab.mirror import SUITE, own_mirror

CACHE = Path(__file__).resolve().parents[2] / ".lab/live"
READY = "LIVE-SYSTEM-READY"
VOLUME = "d-live trixie tests"

PACKAGES = (
    *("linux-image-amd64", "live-boot", "live-boot-initramfs-tools", "systemd-sysv", "udev"),
    *("busybox", "iproute2"),
)
_LOGIN = """\
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --keep-baud --local-line 115200 %I vt100
"""
_INFO = 'Debian GNU/Linux 13.0.0 "Trixie" - Official tests amd64 LIVE Binary 20260101-00:00\n'


def debian_live_iso() -> Path:
    """Give the ISO, made when there is none of this kind yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    kind = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    iso = CACHE / f"debian-live-{kind}.iso"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not iso.exists():
            for old in CACHE.glob("*.iso"):
                old.unlink()
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                _make(Path(work)).rename(iso)
    return iso


def _make(work: Path) -> Path:
    root, tree = work / "root", work / "tree"
    _run(
        "mmdebstrap",
        *("--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"),
        "--aptopt=Apt::Install-Recommends false",
        *(SUITE, str(root), own_mirror()),
    )
    drop_in = root / "etc/systemd/system/serial-getty@ttyS0.service.d"
    drop_in.mkdir(parents=True)
    (drop_in / "login.conf").write_text(_LOGIN)
    (root / "root/.profile").write_text(
        f"echo {READY[:5]}{READY[5:]}-$(cut -d. -f1 /proc/uptime)\n"
    )
    for folder in ("live", "EFI/BOOT", ".disk"):
        (tree / folder).mkdir(parents=True)
    for name in ("vmlinuz", "initrd.img"):
        [file] = (root / "boot").glob(f"{name}-*")
        shutil.copyfile(file, tree / "live" / name)
    (tree / ".disk/info").write_text(_INFO)
    for loader, name in (("shimx64.efi", "BOOTX64.EFI"), ("grubx64.efi", "grubx64.efi")):
        shutil.copyfile(LOADERS / "uefi-x64" / loader, tree / "EFI/BOOT" / name)
    squashfs = tree / "live/filesystem.squashfs"
    packing = ("-comp", "zstd", "-noappend", "-quiet", "-e", "boot")
    _run("mksquashfs", str(root), str(squashfs), *packing)
    iso = work / "live.iso"
    volume = ("-R", "-J", "-joliet-long", "-V", VOLUME)
    _run("xorriso", "-as", "mkisofs", "-quiet", *volume, "-o", str(iso), str(tree))
    shutil.rmtree(root)
    return iso


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=600, stdout=subprocess.DEVNULL)
