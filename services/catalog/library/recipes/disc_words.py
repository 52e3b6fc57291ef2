"""Words of a command line that tell a system on which disc it is: wrong over a network. Pure."""

_ONLY_ON_DISC = (
    *(
        "root=live:CDLABEL=",
        "root=live:LABEL=",
        "root=live:/dev/",
        "root=live:UUID=",
        "root=LABEL=",
    ),
    *("root=/dev/", "root=UUID=", "inst.stage2=", "inst.repo=hd:", "inst.repo=cdrom"),
    *("archisolabel=", "archisodevice=", "archisosearchuuid=", "archisosearchfilename="),
    *("misolabel=", "misodevice=", "iso-scan/filename=", "findiso=", "fromiso=", "img_dev="),
    *("img_loop=", "live-media=", "live-media-path=", "cdrom-detect/", "file=/cdrom/", "isofrom="),
    *("boot=casper", "boot=live", "netboot=", "url=", "fetch=", "ip=", "archiso_http_srv="),
    *("archisobasedir=", "misobasedir=", "miso_http_srv=", "rd.live.image", "root=live:"),
    *("install=", "bootfrom=", "cdroot", "real_root=", "media=", "rd.neednet="),
)
"""How such words begin, and those that are written anew for HTTP."""

_SEPARATORS = frozenset({"---", "--"})


def without_disc_words(command_line: str) -> str:
    """Leave out what names a disc, and what is written anew."""
    words = command_line.split()
    kept = [word for word in words if not word.startswith(_ONLY_ON_DISC)]
    while kept and kept[-1] in _SEPARATORS:
        kept.pop()
    return " ".join(kept)
