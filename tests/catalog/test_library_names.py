"""Names in IMAGES_DIR: ids, kernels, titles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootyard.model.snapshot import TargetKind
from services.catalog.library import names
from services.catalog.library.titles import naming_of, naming_of_version_info, with_kind


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("debian-12", "debian-12"),
        ("Debian 12 (amd64)", "debian-12-amd64"),
        ("ubuntu-24.04.1-live", "ubuntu-24-04-1-live"),
        ("--weird__name--", "weird-name"),
        ("Дебиан 12", "12"),
        ("Дебиан", ""),
        ("x" * 100, "x" * 63),
        ("a" * 62 + "--b", "a" * 62),
    ],
)
def test_slug(name: str, expected: str) -> None:
    assert names.slug(name) == expected


@given(st.text())
def test_slug_is_an_id_and_stays_itself(name: str) -> None:
    slug = names.slug(name)
    assert len(slug) <= names.MAX_ID
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not slug.startswith("-")
    assert not slug.endswith("-")
    assert "--" not in slug
    assert names.slug(slug) == slug


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("netboot.tar.gz", "netboot"),
        ("netboot.TAR.GZ", "netboot"),
        ("debian-12.5.tar.gz", "debian-12.5"),
        ("x.tgz", "x"),
        ("memtest86plus.iso", "memtest86plus"),
        ("noextension", "noextension"),
        (".tar.gz", ".tar"),
    ],
)
def test_stem(file: str, expected: str) -> None:
    assert names.stem(file) == expected


@pytest.mark.parametrize(
    "name",
    ["linux", "vmlinuz", "vmlinuz-6.1.0-18-amd64", "bzImage", "kernel", "kernel.img", "linux26"],
)
def test_kernels(name: str) -> None:
    assert names.is_kernel(name)


@pytest.mark.parametrize(
    "name",
    [
        *("linux.txt", "kernel-notes.md", "vmlinuz.sig", "vmlinuz-6.1.config", "linux.toml"),
        *(
            "kernel.iso",
            "linux.tar.gz",
            "initrd",
            "README",
            "linux.c32",
            "selinux",
            "kernel.sha256",
        ),
    ],
)
def test_not_kernels(name: str) -> None:
    assert not names.is_kernel(name)


@pytest.mark.parametrize("name", ["initrd", "initrd.gz", "initramfs-6.1.img", "initrd.img-6.1"])
def test_initrds(name: str) -> None:
    assert names.is_initrd(name)


@pytest.mark.parametrize("name", ["initrd.txt", "myinitrd", "initrd.gz.asc", "initrd.gz.sha256"])
def test_not_initrds(name: str) -> None:
    assert not names.is_initrd(name)


@pytest.mark.parametrize(
    "name", [".hidden", ".removed", "lost+found", "x.part", "x.crdownload", "image.toml~", "@eaDir"]
)
def test_skipped(name: str) -> None:
    assert names.is_skipped(name)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("linux", True),
        ("boot/vmlinuz-6.1+deb@x_1", True),
        ("lin ux", False),
        ("vmlinuz${x}", False),
        ("vmlinuz;poweroff", False),
        ("vmlinüz", False),
        ("-kernel", False),
        ("boot/-kernel", False),
        ("a\nb", False),
        ("linux\n", False),
        ("", False),
    ],
)
def test_names_that_scripts_carry(name: str, safe: bool) -> None:
    assert names.is_script_safe(name) is safe


@pytest.mark.parametrize(
    ("name", "family", "version", "title"),
    [
        ("debian-12", "debian", "12", "Debian 12 installer"),
        ("Debian Trixie", "debian", "13", "Debian Trixie installer"),
        ("debian-12-netinst", "debian", "12", "Debian 12 netinst installer"),
        ("my-debian-12.5", "debian", "12.5", "Debian my 12.5 installer"),
        ("archlinux-2026.01", "arch", "2026.01", "Arch Linux 2026.01 installer"),
        ("debian-installer", "debian", "", "Debian installer"),
        ("rescue", "unknown", "", "rescue"),
        ("Größe 3", "unknown", "", "Größe 3"),
    ],
)
def test_what_a_name_says(name: str, family: str, version: str, title: str) -> None:
    naming = naming_of(name)
    assert (naming.family, naming.version) == (family, version)
    assert with_kind(naming, TargetKind.INSTALLER) == title


def test_what_an_image_does_completes_its_title() -> None:
    naming = naming_of("debian-12")
    assert with_kind(naming, TargetKind.LIVE) == "Debian 12"
    assert with_kind(naming, TargetKind.UNATTENDED) == "Debian 12 unattended installer"


def test_version_info_of_debian() -> None:
    text = "Debian version:  12 (bookworm)\nInstaller build: 20230607+deb12u15\n"
    naming = naming_of_version_info(text)
    assert naming is not None
    assert (naming.family, naming.version) == ("debian", "12")
    assert naming_of_version_info("something else") is None
