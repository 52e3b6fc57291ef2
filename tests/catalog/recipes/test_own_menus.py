"""An image's own boot menus: what they offer, and that no such file leads anywhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.library.recipes.grub_config import MAX_VALUE, parse_grub
from services.catalog.library.recipes.loader_entry import parse_loader_entry
from services.catalog.library.recipes.own_entry import MAX_ENTRIES, MAX_LINE, path_in_image
from services.catalog.library.recipes.own_menus import MAX_FILE, MAX_FILES, own_entries
from services.catalog.library.recipes.syslinux_config import parse_syslinux
from tests.catalog.recipes.trees import MIB, MemoryTree

GRUB = r"""
set timeout=5
set root_dir=/live
set "opts=quiet splash"
if [ -f /boot/grub/font.pf2 ]; then
  loadfont /boot/grub/font.pf2
fi
menuentry 'My Live (amd64)' --class os --hotkey=l {
    set gfxpayload=keep
    linux ($root)$root_dir/vmlinuz boot=live ${opts} "a b" 'no$expansion' cost\=1
    initrd /live/ucode.img ${root_dir}/initrd.img ; echo done
}
submenu "More" {
  # linux /commented/out
  menuentry "Safe $opts" { linux /live/vmlinuz nomodeset
    initrd /live/initrd.img }
  menuentry Memtest { linux16 /boot/memtest }
}
menuentry "Local" { exit }
"""
SYSLINUX = """
DEFAULT vesamenu.c32
PROMPT 0
MENU TITLE x
LABEL live
  MENU LABEL ^Live system
  MENU DEFAULT
  KERNEL /live/vmlinuz
  APPEND initrd=/live/ucode.img,/live/initrd.img boot=live quiet
LABEL other
  LINUX vmlinuz
  INITRD initrd.img
LABEL hdt
  KERNEL hdt.c32
"""


def _nothing(_: str) -> None:
    return None


def _tree(**files: bytes | int) -> MemoryTree:
    named = {path.replace("__", "/").replace("_DOT_", "."): data for path, data in files.items()}
    live: dict[str, bytes | int] = {
        "live/vmlinuz": MIB,
        "live/ucode.img": MIB,
        "live/initrd.img": MIB,
        "boot/memtest": MIB,
    }
    return MemoryTree({**live, **named})


def test_grub() -> None:
    first, second, third = parse_grub(GRUB, "boot/grub/grub.cfg", _nothing)
    assert (first.title, first.kernel) == ("My Live (amd64)", "live/vmlinuz")
    assert first.initrds == ("live/ucode.img", "live/initrd.img")
    assert first.command_line == "boot=live quiet splash a b no$expansion cost=1"
    assert (second.title, second.command_line) == ("Safe quiet splash", "nomodeset")
    assert (third.title, third.kernel, third.initrds) == ("Memtest", "boot/memtest", ())


def test_syslinux() -> None:
    first, second = parse_syslinux(SYSLINUX, "isolinux/isolinux.cfg", _nothing)
    assert (first.title, first.kernel) == ("Live system", "live/vmlinuz")
    assert first.initrds == ("live/ucode.img", "live/initrd.img")
    assert first.command_line == "boot=live quiet"
    assert (second.kernel, second.initrds) == ("isolinux/vmlinuz", ("isolinux/initrd.img",))


def test_loader_entries() -> None:
    text = "# x\ntitle  My System\nlinux /live/vmlinuz\ninitrd /a\ninitrd /b\noptions x\noptions y"
    (entry,) = parse_loader_entry(text, "loader/entries/a.conf")
    assert (entry.title, entry.initrds, entry.command_line) == ("My System", ("a", "b"), "x y")
    assert parse_loader_entry("title x\nefi /y.efi", "a.conf") == []


def test_other_files_are_followed() -> None:
    tree = _tree(
        boot__grub__grub_DOT_cfg=b"set k=/live/vmlinuz\nsource /boot/grub/more.cfg\n",
        boot__grub__more_DOT_cfg=b"menuentry More {\nlinux $k\ninitrd /live/initrd.img\n}\n",
        isolinux__isolinux_DOT_cfg=b"include menu.inc\n",
        isolinux__menu_DOT_inc=b"label a\nkernel /live/vmlinuz\nappend x initrd=/live/initrd.img\n",
    )
    grub, syslinux = own_entries(tree)
    assert (grub.title, grub.kernel, grub.file) == ("More", "live/vmlinuz", "boot/grub/more.cfg")
    assert (syslinux.title, syslinux.command_line) == ("a", "x")


def test_entries_of_files_that_are_not_there_are_left_out() -> None:
    tree = _tree(
        boot__grub__grub_DOT_cfg=b"menuentry a {\nlinux /none\n}\nmenuentry b {\nlinux "
        b"/live/vmlinuz\ninitrd /none\n}\n"
        b"menuentry c {\nlinux /LIVE/vmlinuz\ninitrd /live/initrd.img\n}\n"
    )
    (entry,) = own_entries(tree)
    assert (entry.title, entry.kernel) == ("c", "live/vmlinuz")


def test_words_of_own_entries_are_those_that_scripts_carry() -> None:
    tree = _tree(
        boot__grub__grub_DOT_cfg="menuentry 'a\x1b[31m' {\nlinux /live/vmlinuz ok || '${x}' '#c'"
        " '{tree}' '{iso}' 'x={host}' y initrd=a BOOT_IMAGE=b ümlaut last\n"
        "initrd /live/initrd.img\n}\n".encode()
    )
    (entry,) = own_entries(tree)
    assert entry.title == "a [31m"
    assert entry.command_line == "ok y last"


@pytest.mark.parametrize(
    "config",
    [
        b"configfile /boot/grub/grub.cfg\n" * 50,
        b"source $a/boot/grub/grub.cfg\nsource grub.cfg\n",
        b"set a=" + b"x" * MIB,
        b"set a=aaaaaaaaaa\n"
        + b'set a="$a$a$a$a$a$a$a$a$a$a"\n' * 4000
        + b"linux /live/vmlinuz $a\n",
        b"".join(b"set v%d=1\n" % i for i in range(5000)),
        bytes(range(256)) * 4000,
        b"menuentry 'x' {" * 10_000,
        b"linux /live/vmlinuz\n" * 10_000,
        b"'" * 100_000,
        b'"\\' * 100_000,
        b"\\" * 100_000,
        b"${" * 50_000,
        b"linux /live/vmlinuz " + b"a " * 2000,
    ],
)
def test_hostile_grub_configurations_are_bounded(config: bytes) -> None:
    tree = _tree(boot__grub__grub_DOT_cfg=config)
    entries = own_entries(tree)
    assert len(entries) <= MAX_ENTRIES
    assert all(len(entry.command_line) <= 2000 for entry in entries)
    assert tree.bytes_read <= 2 * MAX_FILE


def test_files_that_name_each_other_are_read_once() -> None:
    tree = _tree(
        boot__grub__grub_DOT_cfg=b"configfile /a.cfg\n",
        a_DOT_cfg=b"configfile /boot/grub/grub.cfg\nsource /a.cfg\n",
        isolinux__isolinux_DOT_cfg=b"include a.cfg\nmenu include b.cfg\n",
        isolinux__a_DOT_cfg=b"include isolinux.cfg\ninclude b.cfg\n",
        isolinux__b_DOT_cfg=b"include a.cfg\n",
    )
    assert own_entries(tree) == ()
    assert tree.bytes_read < 300


def test_a_chain_of_files_ends() -> None:
    files: dict[str, bytes | int] = {
        f"boot/grub/{i}.cfg": b"source /boot/grub/%d.cfg\n" % (i + 1) for i in range(200)
    }
    files["boot/grub/grub.cfg"] = b"".join(b"source /boot/grub/%d.cfg\n" % i for i in range(200))
    tree = MemoryTree(files)
    own_entries(tree)
    assert tree.bytes_read <= len(files["boot/grub/grub.cfg"]) + 30 * MAX_FILES  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("/boot/vmlinuz", "x", "boot/vmlinuz"),
        ("($root)/boot/vmlinuz", "", "boot/vmlinuz"),
        ("(cd0)vmlinuz", "boot", "boot/vmlinuz"),
        ("../live/vmlinuz", "isolinux", "live/vmlinuz"),
        ("../../../../etc/passwd", "isolinux", "etc/passwd"),
        ("\\EFI\\x.efi", "", "EFI/x.efi"),
        ("/", "", ""),
        ("", "", ""),
    ],
)
def test_paths_stay_inside_the_image(path: str, folder: str, expected: str) -> None:
    assert path_in_image(path, folder) == expected


_WORDS = st.sampled_from(
    [
        *(
            "menuentry",
            "linux",
            "initrd",
            "set",
            "a=b",
            "$a",
            "${a}",
            "{",
            "}",
            ";",
            "'",
            '"',
            "\\",
        ),
        *(
            "label",
            "kernel",
            "append",
            "initrd=x,y",
            "include",
            "menu",
            "/a.cfg",
            "source",
            "title",
        ),
        *("options", "configfile", "\n", "\n", "#", "||", "\0", "é"),
    ]
)
_CONFIGS = st.text() | st.lists(_WORDS, max_size=200).map(" ".join)


@given(_CONFIGS)
def test_any_text_is_a_configuration(text: str) -> None:
    for parse in (parse_grub, parse_syslinux):
        entries = parse(text, "boot/x.cfg", lambda _: text)
        assert len(entries) <= MAX_ENTRIES
        for entry in entries:
            assert ".." not in entry.kernel.split("/")
            assert len(entry.title) <= 5 * MAX_VALUE + MAX_LINE
    parse_loader_entry(text, "x.conf")


@given(st.binary(max_size=2000), st.sampled_from(["boot/grub/grub.cfg", "isolinux/isolinux.cfg"]))
def test_any_bytes_are_a_configuration(data: bytes, path: str) -> None:
    tree = _tree()
    tree._files[path] = data
    own_entries(tree)
