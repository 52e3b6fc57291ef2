"""`image.toml`, and what a command line says about asking."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import TargetKind
from services.catalog.library.answers import answers_in
from services.catalog.library.description import Description, parse_description

FULL = """
title = "  Debian\\t12  "
family = "debian"
version = 12.5
kind = "Unattended"
architectures = ["amd64", "x86_64", "arm64"]
kernel = "./boot/linux"
initrd = ["initrd.gz", "/firmware.cpio"]
cmdline = "auto=true   preseed/url=http://x/y"
cmdline_append = "console=ttyS0"
"""


def test_every_key() -> None:
    assert parse_description(FULL.encode(), "image.toml") == Description(
        title="Debian 12",
        family="debian",
        version="12.5",
        kind=TargetKind.UNATTENDED,
        architectures=("x86_64", "aarch64"),
        kernel="boot/linux",
        initrd=("initrd.gz", "firmware.cpio"),
        cmdline="auto=true preseed/url=http://x/y",
        cmdline_append="console=ttyS0",
    )


def test_nothing_said() -> None:
    assert parse_description(b"", "image.toml") == Description()


def test_one_initrd_needs_no_list() -> None:
    assert parse_description(b'initrd = "initrd.gz"', "image.toml").initrd == ("initrd.gz",)


def test_no_initrd() -> None:
    assert parse_description(b"initrd = []", "image.toml").initrd == ()


def test_a_byte_order_mark_is_no_problem() -> None:
    assert parse_description(b'\xef\xbb\xbftitle = "x"\r\n', "image.toml").title == "x"


def test_an_unknown_key_is_noted_with_the_nearest() -> None:
    (note,) = parse_description(b'cmdlin = "quiet"', "image.toml").notes
    assert "'cmdlin'" in note
    assert "did you mean 'cmdline'?" in note


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"title = ", r"image\.toml does not parse: .*line 1"),
        (b'title = "a"\nkind', r"image\.toml does not parse: .*line 2"),
        (b'title = "a"\n\xff', r"image\.toml is not UTF-8 text \(at line 2\)"),
        (b"title = 12", r"image\.toml: title = 12"),
        (b"version = true", r"version = True"),
        (b'kind = "local-disk"', r"kind = 'local-disk'"),
        (b'kind = "liv"', r"kind = 'liv'"),
        (b"kind = []", r"kind = \[\]"),
        (b'architectures = ["pdp11"]', r"architectures = \['pdp11'\]"),
        (b"architectures = 64", r"architectures = 64"),
        (b"initrd = [1]", r"initrd = \[1\]"),
        (b'kernel = "../linux"', r"'\.\./linux' is no file of this image"),
        (b'kernel = "/"', r"'/' is no file of this image"),
        (b'kernel = ""', r"'' is no file of this image"),
        (b"kernel = 'boot\\linux'", r"is no file of this image"),
        (b'initrd = ["a", "b/../../c"]', r"is no file of this image"),
        (b'cmdline = ["quiet"]', r"cmdline = \['quiet'\]"),
        (b"#" * 70_000, r"more than 64 KiB"),
        (b"a = " + b"[" * 20_000, r"does not parse"),
    ],
)
def test_what_is_wrong_is_named(text: bytes, problem: str) -> None:
    with pytest.raises(ImageRejected, match=problem) as refusal:
        parse_description(text, "image.toml")
    assert refusal.value.cure


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_description_or_refused(data: bytes) -> None:
    with suppress(ImageRejected):
        parse_description(data, "image.toml")


@pytest.mark.parametrize(
    "command_line",
    [
        "auto=true priority=critical preseed/url=http://10.0.0.1/preseed.cfg",
        "preseed/file=/preseed.cfg",
        "auto url=tftp://x",
        "quiet inst.ks=http://x/ks.cfg",
        "ks=cdrom",
        "inst.ks",
        "autoinstall ds=nocloud-net;s=http://x/",
        "AUTOINSTALL",
        "quiet 'autoinstall'",
        "ds=nocloud",
        "cloud-config-url=http://x",
        "ignition.config.url=http://x",
        "coreos.inst.install_dev=/dev/sda",
        "autoyast=http://x",
        "autoyast2=http://x",
        "inst.auto=http://x",
        "answerfile=http://x",
        "proxmox-start-auto-installer",
        "talos.config=http://x",
        'nwipe_options="--autonuke --method=zero"',
        "ocs_live_batch=yes",
        "--- partman-auto/disk=/dev/sda",
    ],
)
def test_answers(command_line: str) -> None:
    assert answers_in(command_line, "debian") is not None


@pytest.mark.parametrize(
    "command_line",
    [
        "",
        "quiet splash --- console=ttyS0,115200",
        "boot=casper netboot=url url=http://x/ubuntu.iso ip=dhcp",
        "boot=live fetch=http://x/filesystem.squashfs",
        "inst.stage2=http://x inst.repo=http://x",
        "root=live:http://x rd.live.image",
        "archiso_http_srv=http://x/ ip=dhcp",
        "autologin automount=no console=auto",
        "file=/cdrom/preseed/ubuntu.seed",
        "ksdevice=bootif vga=788",
        "cloud-config-url=/dev/null ip=dhcp url=http://x/ubuntu.iso",
    ],
)
def test_no_answers(command_line: str) -> None:
    assert answers_in(command_line, "ubuntu") is None


def test_short_names_of_debian_mean_answers_in_debian_only() -> None:
    assert answers_in("url=http://x/preseed.cfg", "debian") == "url=http://x/preseed.cfg"
    assert answers_in("url=http://x/live.iso", "ubuntu") is None
