"""Text from operators and images never becomes a command, in any language, from any field."""

import re
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootyard.boot.menus.server import Server
from bootyard.model.architecture import Firmware
from bootyard.model.snapshot import (
    BootTarget,
    Image,
    Injected,
    MenuEntry,
    Module,
    Policy,
    Snapshot,
)
from tests.boot.every_loader import (
    CATALOG,
    IMAGES,
    LANGUAGES,
    OFFLINE,
    TARGETS,
    Language,
    library,
    rendered,
)
from tests.boot.grub_shell import EXPANDED, commands
from tests.boot.ipxe_shell import Line, expanded, lines
from tests.boot.menu_readers import read_as_syslinux, read_as_uboot
from tests.samples import slice_of

PIECES = (
    *(
        "||",
        "&&",
        ";",
        "#",
        "${",
        "}",
        "${net0/mac}",
        "$(x)",
        "$",
        "{",
        "{tree}",
        "{iso}",
        "{host}",
    ),
    *("\n", "\r", "\t", "\0", "\\", "'", '"', " ", "  ", "%", "^", "|", "&", "<", ">", "\u2028"),
    *(
        "a",
        "é",
        "-",
        "--",
        "---",
        "-n",
        ":",
        "/",
        "..",
        "=",
        "shell",
        "\nshell\n",
        "|| shell",
        "; halt",
    ),
    *(
        "\nLABEL x\nLOCALBOOT 0\n",
        "initrd=x",
        "\nMENU EXIT\n",
        "goto menu",
        "'; halt; '",
        "}\nhalt\n",
    ),
)
TEXT = st.text(max_size=30) | st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
SPACED = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=8).map(" ".join)

FIRMWARE = st.sampled_from([None, Firmware.BIOS, Firmware.UEFI_X64])
SERVERS = st.sampled_from([CATALOG, OFFLINE])


TEXTS = st.lists(TEXT | SPACED, min_size=1, max_size=8)


@st.composite
def hostile(draw: st.DrawFn) -> Snapshot:
    """Make the library with an image of every loader kind, and with any text in all its fields."""
    texts = draw(TEXTS)
    chance = Random(draw(st.integers(0, 2**16)))

    def text() -> str:
        return chance.choice(texts)

    def name() -> str:
        return text() or "-"

    images: list[Image] = []
    targets: list[BootTarget] = []
    for number, (plain_image, plain) in enumerate(zip(IMAGES, _one_target_each(), strict=True)):
        # Ids are told apart, as they are by the library.
        identity = f"{text()}{number}"
        whole = chance.choice([None, slice_of("disc.iso")])
        images.append(msgspec.structs.replace(plain_image, id=identity, family=text(), whole=whole))
        targets.append(
            msgspec.structs.replace(
                plain,
                id=chance.choice([identity, f"{identity}/{name()}"]),
                image=identity,
                title=text(),
                group=chance.choice(["", text()]),
                signed_by=text(),
                kernel=chance.choice([plain.kernel, text()]),
                initrds=tuple(name() for _ in range(chance.randrange(3))),
                command_line=text(),
                injected=tuple(
                    Injected(path=name(), file=text(), mode=text()) for _ in plain.injected
                ),
                modules=tuple(Module(file=name(), command_line=text()) for _ in plain.modules),
            )
        )
    if chance.random() < 0.3:
        # So many that there is a menu for each family.
        more = [msgspec.structs.replace(targets[0], id=f"{targets[0].id}{n}") for n in range(30)]
        targets += [msgspec.structs.replace(one, group=text()) for one in more]
    entry = MenuEntry(id=name(), title=text(), script="shell")
    return library(images=tuple(images), targets=tuple(targets), menus=(entry,))


def _one_target_each() -> tuple[BootTarget, ...]:
    first: dict[str, BootTarget] = {}
    for target in TARGETS:
        first.setdefault(target.image, target)
    return tuple(first[image.id] for image in IMAGES)


ARMED = st.integers(0, len(IMAGES) - 1)
"""Which target a boot-once is armed with."""


def scripts(
    language: Language,
    state: Snapshot,
    server: Server,
    firmware: Firmware | None,
    kernel_args: str,
    *numbers: int,
) -> list[str]:
    """Render the menu, and boot-once of some targets."""
    armed = [None, *(list(state.targets)[number] for number in numbers)]
    return [
        rendered(language, state, server, firmware, armed=one, kernel_args=kernel_args)
        for one in armed
    ]


FETCHES = frozenset({"kernel", "initrd", "module"})
SETTINGS = frozenset(
    {"tree", "try", "wait", "selected", "netX/mac", "uuid", "buildarch", "platform"}
)
URL = re.compile(
    r"(?:\$\{tree\}|http://192\.0\.2\.10:8080/tree|tftp://192\.0\.2\.10)/(?:images|loaders|menus)/"
    r"[A-Za-z0-9._+@/%~-]+"
)


def shape(line: Line) -> tuple[object, ...]:
    """A line without what comes from outside: commands, their own options, what joins them."""
    return (
        line.label is not None,
        line.operators,
        tuple(_command(words) for words in line.commands),
    )


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words:
        return ()
    name = words[0]
    if name in FETCHES:
        named = words[3:4] == ("--name",)
        url = words[5 if named else 3]
        assert URL.fullmatch(url), words
        assert words[1:3] == ("--timeout", "30000")
        assert not named or not words[4].startswith("-")
        return (name, "--name") if named else (name,)
    if name == "item":
        if words[1] == "--gap":
            assert words[2] == "--", words
            return words[:3]
        assert not words[1].startswith("-"), words
        assert len(words) > 2, words
        return ("item",)
    if name in {"sanboot", "chain"}:
        url = words[-1]
        assert URL.fullmatch(url) or url.startswith("http://192.0.2.10:8080/boot.ipxe?"), words
        return words[:-1]
    if name in {"echo", "prompt", "menu"}:
        return (name, words[1]) if name != "menu" else (name,)
    if name == "choose":
        return (name, *words[3:]) if words[1] == "--default" else words
    if name == "goto":
        return ("goto",) if words[1].startswith("start_") else words
    if name == "set" and words[1] == "selected":
        assert len(words) == 3, words
        return words[:2]
    return words


def _usual_shapes() -> frozenset[tuple[object, ...]]:
    long = library(targets=(*TARGETS, *_more_targets()))
    return frozenset(
        shape(line)
        for state in (library(), library(loaders={}), long, library(policy=Policy(default="gone")))
        for server in (CATALOG, OFFLINE)
        for firmware in (None, Firmware.BIOS, Firmware.UEFI_X64)
        for script in scripts("ipxe", state, server, firmware, "quiet", *range(len(TARGETS)))
        for line in lines(script)
    )


def _more_targets() -> tuple[BootTarget, ...]:
    plain = TARGETS[0]
    return tuple(msgspec.structs.replace(plain, id=f"debian-12/{n}") for n in range(40))


USUAL = _usual_shapes()


@settings(max_examples=400)
@given(hostile(), SERVERS, FIRMWARE, SPACED, ARMED)
def test_ipxe(
    state: Snapshot, server: Server, firmware: Firmware | None, args: str, armed: int
) -> None:
    """Every line has a shape that plain text gives too, and every label is there, once."""
    for script in scripts("ipxe", state, server, firmware, args, armed):
        assert expanded(script) <= SETTINGS
        read = lines(script)
        assert {shape(line) for line in read} <= USUAL
        labels = [line.label for line in read if line.label is not None]
        assert len(labels) == len(set(labels))
        words = [command for line in read for command in line.commands if command]
        gotos = {command[1] for command in words if command[0] == "goto"} - {"start_${selected}"}
        items = {c[1] for c in words if c[0] == "item" and c[1] != "--gap"}
        chosen = {c[2] for c in words if c[:2] == ("set", "selected")}
        # Names that the script itself knows the end of.
        items -= {"local-disk", "menu:back"}
        assert gotos | {f"start_{name}" for name in items | chosen} <= set(labels)


GRUB_COMMANDS = frozenset(
    {
        *("function", "}", "{", "set", "if", "then", "else", "fi", "for", "do", "done", "break"),
        *("echo", "sleep", "source", "boot", "exit", "regexp", "true", "reboot", "halt", "fwsetup"),
        *("menuentry", "submenu", "export", "bootyard_local_disk", "bootyard_announce"),
        *("bootyard_local_disk_chosen", "bootyard_did_not_start", "bootyard_boot_once"),
    }
)
AFTER_IF = frozenset(
    {"[", "linux", "initrd", "chainloader", "multiboot2", "module2", "boot", "sleep", "insmod"}
)
LOADING = frozenset({"linux", "chainloader", "multiboot2", "module2", "initrd"})
GRUB_VARIABLES = frozenset(
    {"tree", "lockdown", "net_default_mac", "grub_platform", "grub_cpu", "efi", "program", "disk"}
) | {"bootyard_then", "bootyard_later"}
_EXPANSION = re.compile(re.escape(EXPANDED) + r"\$\{(\w+)\}")


@settings(max_examples=400)
@given(hostile(), SERVERS, SPACED, ARMED)
def test_grub(state: Snapshot, server: Server, args: str, armed: int) -> None:
    for script in scripts("grub", state, server, Firmware.UEFI_X64, args, armed):
        for words in commands(script):
            inner = [word for word in words if word != "{"]
            assert inner[0] in GRUB_COMMANDS, words
            if inner[0] == "if":
                assert inner[1] in AFTER_IF, words
                from_disk = f"/EFI/{EXPANDED}${{program}}.efi"
                if inner[1] in LOADING and inner[2] != from_disk:
                    place = inner[2].partition("/images/")[0]
                    assert place == f"{EXPANDED}${{tree}}" or place.startswith("newc:"), words
            if inner[0] in {"menuentry", "submenu"}:
                assert not inner[1].startswith("-"), words
                assert len(inner) in {2, 4}, words
            for word in words:
                assert set(_EXPANSION.findall(word)) <= GRUB_VARIABLES, words
                assert EXPANDED not in _EXPANSION.sub("", word), words


PXELINUX_LINES = frozenset(
    {*("menu label", "menu goto", "menu exit", "linux", "initrd", "append", "localboot", "com32")}
)


@settings(max_examples=400)
@given(hostile(), SERVERS, FIRMWARE, SPACED)
def test_pxelinux(state: Snapshot, server: Server, firmware: Firmware | None, args: str) -> None:
    text = rendered("pxelinux", state, server, firmware, kernel_args=args)
    for read in (read_as_syslinux, read_as_uboot):
        menu = read(text)
        own = {name for name in menu.labels if ":" in name}
        assert set(menu.labels) - own <= {"local-disk", *state.targets}
        assert menu.default in menu.labels
        assert menu.labels["local-disk"] == {"menu label": "Local disk", "localboot": "-1"}
        for name, fields in menu.labels.items():
            assert set(fields) <= PXELINUX_LINES
            if name in state.targets:
                loaded = fields.get("linux", fields.get("com32", "images/"))
                assert loaded.startswith("images/") or loaded in {"memdisk", "mboot.c32"}


@pytest.mark.parametrize("text", ["a\nLABEL x", "a\0", "a b", "'", "${x}"])
def test_a_name_that_a_loader_cannot_write_is_in_none_of_its_scripts(text: str) -> None:
    """Where one stands only rarely: the kernel that mboot.c32 is given, and the ids of entries."""
    xen = next(target for target in TARGETS if target.loader == "multiboot")
    named = library(targets=(msgspec.structs.replace(xen, kernel=text),))
    assert text not in rendered("pxelinux", named, firmware=Firmware.BIOS)
    called = library(targets=(msgspec.structs.replace(TARGETS[0], id=text),))
    for language in LANGUAGES:
        assert f"start {text}" not in rendered(language, called)
        assert f"LABEL {text}" not in rendered(language, called)


@pytest.mark.parametrize("language", LANGUAGES)
def test_addresses_are_put_in_after_words_are_made_safe(language: Language) -> None:
    """A word with a placeholder is judged as it was written, and an address is no second word."""
    targets = (
        msgspec.structs.replace(
            TARGETS[2], command_line='url={iso} t="{tree}/x" h={host} ${tree} a${host} b'
        ),
    )
    text = rendered(language, library(targets=targets), firmware=Firmware.BIOS)
    base = "http://192.0.2.10:8080/tree/images/ubuntu@2"
    assert f"url={base}.iso" in text
    assert f"{base}/iso/x" in text
    assert "h=192.0.2.10" in text
    if language != "grub":  # which quotes them
        assert "${host}" not in text
