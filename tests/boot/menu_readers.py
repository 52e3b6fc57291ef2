"""The two readers of `pxelinux.cfg/…`, as far as our menus go: what they make of a file.

Sources: syslinux `com32/menu/readconfig.c`, U-Boot `boot/pxe_utils.c`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

LINE = 4095
"""What syslinux reads at once; the rest of a longer line is the next one to it."""


@dataclass
class Menu:
    """What a reader understood."""

    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    default: str = ""
    after_time: str = ""
    timeout_tenths: int = 0
    asks: bool = False


IN_LABELS = {
    *("linux", "initrd", "append", "localboot", "com32"),
    *("menu label", "menu goto", "menu exit"),
}


def read_as_syslinux(text: str) -> Menu:
    """Read as pxelinux and syslinux.efi do: line by line, keywords in any case."""
    menu = Menu()
    settings: dict[str, str] = {}
    label: dict[str, str] | None = None
    for keyword, value in _statements(text):
        if keyword == "label":
            label = menu.labels[value] = {}
        elif keyword in IN_LABELS:
            assert label is not None, f"{keyword} outside of a label"
            label[keyword] = value
        else:
            assert keyword in SETTINGS, f"not a line of ours: {keyword} {value}"
            settings[keyword] = value
    menu.default = settings["default"]
    menu.after_time = settings.get("ontimeout", menu.default)
    menu.timeout_tenths = int(settings.get("timeout", "0"))
    menu.asks = settings["prompt"] == "1" or settings.get("ui") == "menu.c32"
    return menu


SETTINGS = {
    *("default", "ontimeout", "timeout", "ui", "prompt", "say"),
    *("menu title", "menu hidden", "menu begin", "menu end"),
}


def _statements(text: str) -> Iterator[tuple[str, str]]:
    for line in _lines(text):
        keyword, _, value = line.strip(" \t").partition(" ")
        if keyword.lower() == "menu":
            kind, _, value = value.strip().partition(" ")
            keyword = f"menu {kind}"
        if keyword:
            yield keyword.lower(), value.strip()


def _lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        for start in range(0, max(len(line), 1), LINE):
            # The rest of a line is cut off where a C string or the line ends.
            yield line[start : start + LINE].split("\r")[0].split("\0")[0]


class _Tokens:
    """U-Boot's lexer: a value goes to the end of its line, `#` before one starts a comment."""

    def __init__(self, text: str) -> None:
        self._text = text.split("\0", maxsplit=1)[0]
        self._at = 0

    def _skip(self) -> None:
        while self._peek() in {" ", "\t"}:
            self._at += 1
        if self._peek() == "#":
            self.skip_line()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def keyword(self) -> str | None:
        """The next keyword; "" at the end of a line, None at the end of the file."""
        self._skip()
        if not self._peek():
            return None
        if self._peek() == "\n":
            self._at += 1
            return ""
        start = self._at
        while self._peek() and not self._peek().isspace():
            self._at += 1
        return self._text[start : self._at].lower()

    def literal(self) -> str:
        self._skip()
        assert self._peek() not in {"", "\n"}, "Expected string literal"
        start = self._at
        self.skip_line()
        return self._text[start : self._at]

    def mark(self) -> int:
        return self._at

    def back_to(self, mark: int) -> None:
        self._at = mark


def read_as_uboot(text: str) -> Menu:
    """Read as `pxe boot` does; an empty value is a mistake, what it does not know it leaves out."""
    menu, tokens = Menu(), _Tokens(text)
    while (keyword := tokens.keyword()) is not None:
        match keyword:
            case "":
                pass
            case "menu":
                menu.asks = True
                if tokens.keyword() == "title":
                    tokens.literal()
                tokens.skip_line()
            case "timeout":
                menu.timeout_tenths = int(tokens.literal())
            case "default" | "ontimeout":
                menu.default = menu.after_time = tokens.literal()
            case "label":
                name = tokens.literal()
                menu.labels[name] = _read_label(tokens)
            case _:
                tokens.skip_line()
    return menu


def _read_label(tokens: _Tokens) -> dict[str, str]:
    label: dict[str, str] = {}
    while True:
        mark = tokens.mark()
        keyword = tokens.keyword()
        match keyword:
            case "menu":
                if tokens.keyword() == "label":
                    label["menu label"] = tokens.literal()
                tokens.skip_line()
            case "linux" | "initrd" | "append" | "localboot":
                label[keyword] = tokens.literal()
                # It would look for the initrd in the arguments, and crash at the last of them.
                known = "initrd" in label or "initrd=" not in label.get("append", "")
                assert known, "no initrd is known yet"
            case "":
                pass
            case _:
                tokens.back_to(mark)
                return label
