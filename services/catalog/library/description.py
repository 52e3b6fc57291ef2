"""`image.toml`: what a person said about an image; every key of it wins over detection. Pure."""

import difflib
import tomllib

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.errors import ImageRejected
from bootyard.model.snapshot import TargetKind

MAX_BYTES = 64 * 1024
MAX_TITLE = 120

ARCHITECTURES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "x64": "x86_64",
    "x86-64": "x86_64",
    "i386": "i386",
    "i486": "i386",
    "i586": "i386",
    "i686": "i386",
    "x86": "i386",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "arm": "arm",
    "armhf": "arm",
    "armv7l": "arm",
    "riscv64": "riscv64",
    "loongarch64": "loongarch64",
    "loong64": "loongarch64",
}
"""Every name of a processor that people and distributions use, to the one of `uname -m`."""

_KEYS = (
    "title",
    "family",
    "version",
    "kind",
    "architectures",
    "kernel",
    "initrd",
    "cmdline",
    "cmdline_append",
    "secureboot",
)
_CHAIN_KEYS = ("shim", "grub", "firmware")
_CHAIN_FIRMWARE = (Firmware.UEFI_X64, Firmware.UEFI_ARM64, Firmware.UEFI_IA32)
"""Processors that shim exists for."""
_KINDS = (TargetKind.LIVE, TargetKind.TOOL, TargetKind.INSTALLER, TargetKind.UNATTENDED)


class ChainSaid(msgspec.Struct, frozen=True):
    """`[secureboot]`: the vendor's own shim and GRUB, by their paths in the image."""

    shim: str
    grub: str
    firmware: Firmware | None = None
    """None: as the files say."""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What was said; None where nothing was."""

    title: str | None = None
    family: str | None = None
    version: str | None = None
    kind: TargetKind | None = None
    architectures: tuple[str, ...] | None = None
    kernel: str | None = None
    initrd: tuple[str, ...] | None = None
    cmdline: str | None = None
    cmdline_append: str = ""
    secureboot: ChainSaid | None = None
    notes: tuple[str, ...] = ()


NOTHING_SAID = Description()


def parse_description(data: bytes, file_name: str) -> Description:
    """Read the text of an `image.toml`.

    Raises ImageRejected, naming the file and the line or key, for text that is not TOML and for
    values of another shape. A key that does not exist becomes a note.
    """
    values = _parse_toml(data, file_name)
    read = _Reader(values, file_name)
    cmdline = read.text("cmdline")
    chain = values.get("secureboot")
    notes = _unknown_keys(values, _KEYS, f"{file_name}:", "a description")
    if isinstance(chain, dict):
        notes += _unknown_keys(chain, _CHAIN_KEYS, f"{file_name}: [secureboot]:", "that table")
    return Description(
        title=_one_line(read.text("title"), MAX_TITLE),
        family=_one_line(read.text("family"), 40),
        version=_one_line(read.text("version"), 40),
        kind=read.kind(),
        architectures=read.architectures(),
        kernel=_relative(read.text("kernel"), file_name),
        initrd=_all_relative(read.texts("initrd"), file_name),
        cmdline=None if cmdline is None else " ".join(cmdline.split()),
        cmdline_append=" ".join((read.text("cmdline_append") or "").split()),
        secureboot=None if chain is None else _chain(chain, file_name),
        notes=notes,
    )


def _parse_toml(data: bytes, file_name: str) -> dict[str, object]:
    if len(data) > MAX_BYTES:
        raise ImageRejected(
            f"{file_name} has more than {MAX_BYTES // 1024} KiB",
            "describe the image in fewer words",
        )
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ImageRejected(
            f"{file_name} is not UTF-8 text (at line {line})", "save it as UTF-8"
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        last = len(data.splitlines())
        reason = reason.replace("at end of document", f"at line {last}, the end of the file")
        raise ImageRejected(
            f"{file_name} does not parse: {reason}",
            'correct that line; a description has lines like title = "Debian 12"',
        ) from error


class _Reader:
    """Takes typed values out of a table, or says which key is off."""

    def __init__(self, values: dict[str, object], file_name: str) -> None:
        self._values = values
        self._file_name = file_name

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        if key == "version" and isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if value is None or isinstance(value, str):
            return value
        raise self._off(key, f'write {key} = "…"')

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self._values.get(key)
        if isinstance(value, str):
            return (value,)
        if value is None:
            return None
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise self._off(key, f'write {key} = ["…", "…"]')

    def kind(self) -> TargetKind | None:
        value = self.text("kind")
        if value is None:
            return None
        if value.strip().lower() in _KINDS:
            return TargetKind(value.strip().lower())
        raise self._off("kind", f"use one of {', '.join(_KINDS)}")

    def architectures(self) -> tuple[str, ...] | None:
        values = self.texts("architectures")
        if values is None:
            return None
        unknown = [value for value in values if value.strip().lower() not in ARCHITECTURES]
        if unknown:
            known = ", ".join(dict.fromkeys(ARCHITECTURES.values()))
            raise self._off("architectures", f"use some of {known}")
        return tuple(dict.fromkeys(ARCHITECTURES[value.strip().lower()] for value in values))

    def _off(self, key: str, cure: str) -> ImageRejected:
        return ImageRejected(
            f"{self._file_name}: {key} = {self._values[key]!r} is not usable", cure
        )


def _chain(table: object, file_name: str) -> ChainSaid:
    cure = 'write [secureboot] with shim = "…" and grub = "…", paths inside the image'
    if not isinstance(table, dict):
        raise ImageRejected(f"{file_name}: secureboot = {table!r} is no table", cure)
    read = _Reader(table, f"{file_name}: [secureboot]")
    shim, grub = (_relative(read.text(key), file_name) for key in ("shim", "grub"))
    if shim is None or grub is None:
        missing = "shim" if shim is None else "grub"
        raise ImageRejected(f"{file_name}: [secureboot] names no {missing}", cure)
    firmware = read.text("firmware")
    if firmware is None:
        return ChainSaid(shim, grub)
    if firmware not in _CHAIN_FIRMWARE:
        raise ImageRejected(
            f"{file_name}: [secureboot]: firmware = {firmware!r} has no shim",
            f"use one of {', '.join(_CHAIN_FIRMWARE)}, or leave it out",
        )
    return ChainSaid(shim, grub, Firmware(firmware))


def _relative(name: str | None, file_name: str) -> str | None:
    if name is None:
        return None
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if not parts or ".." in parts or "\\" in name:
        raise ImageRejected(
            f"{file_name}: {name!r} is no file of this image",
            "name files by their path inside the image, with / between folders",
        )
    return "/".join(parts)


def _all_relative(names: tuple[str, ...] | None, file_name: str) -> tuple[str, ...] | None:
    if names is None:
        return None
    return tuple(clean for name in names if (clean := _relative(name, file_name)) is not None)


def _one_line(text: str | None, limit: int) -> str | None:
    if text is None:
        return None
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[:limit] or None


def _unknown_keys(
    values: dict[str, object], known: tuple[str, ...], where: str, what: str
) -> tuple[str, ...]:
    """Make a note of every key that means nothing, with the nearest that does."""
    notes = []
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            mean = f"; did you mean {near[0]!r}?" if near else ""
            notes.append(f"{where} {key!r} is no key of {what}{mean}")
    return tuple(notes)
