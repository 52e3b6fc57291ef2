"""Does a kernel command line start an installation that asks nobody? Pure.

A machine that is given answers may erase its disk without a question, whatever the image's
description calls it. In doubt a word counts: the worst of a wrong yes is one `boot-once`.
"""

_BEGINNINGS = (
    # Debian installer: preseed/url=, preseed/file=, preseed/early_command=, partman-auto/…
    *("preseed", "partman", "auto-install/", "auto=true", "auto=1", "auto=yes"),
    # Anaconda: Fedora, RHEL and its rebuilds; `ks=` also ESXi
    *("inst.ks=", "inst.ks.", "ks="),
    # Ubuntu: subiquity, ubiquity, cloud-init
    *("autoinstall", "automatic-ubiquity", "subiquity.autoinstall", "ds=nocloud", "cloud-config-"),
    # CoreOS, Flatcar, Fedora CoreOS
    *("ignition.config.url=", "coreos.inst", "coreos.config.url=", "flatcar.config.url="),
    # SUSE: AutoYaST, Agama
    *("autoyast", "inst.auto=", "agama.auto", "autoupgrade="),
    # XenServer and XCP-ng, Proxmox, Talos, Harvester, k3os, Kairos, Mageia, FAI
    *("answerfile", "install=auto", "proxmox-start-auto-installer", "talos.config"),
    *("harvester.install.automatic=", "k3os.install", "k3os.mode=install", "config_url="),
    *("kairos.config_url=", "elemental.install", "auto_install=", "kickstart=", "fai_action="),
    # Clonezilla and ShredOS without questions
    *("ocs_live_batch=yes", "nuke="),
)
_WHOLE_WORDS = frozenset({"auto", "ks", "inst.ks"})
_ANYWHERE = ("autonuke",)
_NO_ANSWERS = frozenset({"cloud-config-url=/dev/null"})
"""Says that there are none: Ubuntu's installer fetches the whole image twice without it."""
_DEBIAN_ONLY = ("url=", "file=")
"""The Debian installer's short names for preseed/url and preseed/file; elsewhere a live system."""


def answers_in(command_line: str, family: str = "") -> str | None:
    """Find the first word that names answers; None when a person is asked.

    `family` is the image's (`debian`, …): some words mean answers in one installer only.
    """
    for word in command_line.split():
        plain = word.strip("\"'").lower()
        if plain in _NO_ANSWERS:
            continue
        if (
            plain in _WHOLE_WORDS
            or plain.startswith(_BEGINNINGS)
            or any(part in plain for part in _ANYWHERE)
            or (family == "debian" and plain.startswith(_DEBIAN_ONLY))
        ):
            return word
    return None
