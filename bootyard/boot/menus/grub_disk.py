"""How GRUB goes on to the local disk.

`exit` of upstream's and Debian's GRUB ends well whatever it is given, and after a boot option that
ended well UEFI shows its setup menu (UEFI 2.10 §3.1.2; EDK2 `BdsEntry.c`). So GRUB starts what is
on the disk itself, and leaves only where it finds nothing; Red Hat's GRUB ends as it is told.
"""

from bootyard.boot.menus.grub_words import quote, say
from bootyard.model.snapshot import Snapshot

_PROCESSORS = {"x86_64": "x64", "i386": "ia32", "arm64": "aa64"}
"""`${grub_cpu}`, and how UEFI programs of that processor end (UEFI 2.10 §3.5.1.1)."""

VENDORS = (
    *("debian", "ubuntu", "fedora", "redhat", "centos", "rocky", "almalinux", "opensuse", "sles"),
    *("proxmox", "arch", "kali", "linuxmint", "pop"),
)
"""Folders of operating systems below `EFI/` on their disk."""

PROGRAMS = (
    *(f"{vendor}/{kind}${{efi}}" for vendor in VENDORS for kind in ("shim", "grub")),
    "systemd/systemd-boot${efi}",
    "Microsoft/Boot/bootmgfw",
    "BOOT/BOOT${efi}",
)
"""What may be on a disk; what its owner installed comes before what every disk has."""


def local_disk_function(snapshot: Snapshot) -> tuple[str, ...]:
    """Define `bootyard_local_disk`."""
    if snapshot.policy.local_disk_method == "poweroff":
        leave: tuple[str, ...] = ("halt",)
    else:
        leave = (*_start_from_disk(), "exit 1")
    return (
        "function bootyard_local_disk {",
        f"  {say('Bootyard: starting the local disk')}",
        *(f"  {line}" for line in leave),
        "}",
    )


def _start_from_disk() -> tuple[str, ...]:
    """Try every program on every partition; a name that is nowhere says nothing on the screen.

    Debian's GRUB tells what it starts that it came from `${root}`, whatever the path names: a shim
    that seems to come from the network does not find its second stage.
    """
    return (
        'set efi="${grub_cpu}"',
        *(
            line
            for processor, ending in _PROCESSORS.items()
            for line in (
                f'if [ "${{grub_cpu}}" = {quote(processor)} ]; then',
                f"  set efi={quote(ending)}",
                "fi",
            )
        ),
        "for program in " + " ".join(f'"{program}"' for program in PROGRAMS) + "; do",
        "  for disk in (hd*,*); do",
        '    if [ -e "${disk}/EFI/${program}.efi" ]; then',
        r"      regexp --set=1:root '\((.*)\)' " + '"${disk}"',
        '      if chainloader "/EFI/${program}.efi"; then',
        "        boot",
        "      fi",
        "    fi",
        "  done",
        "done",
    )
