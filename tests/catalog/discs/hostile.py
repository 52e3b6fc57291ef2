"""Discs that somebody made to do harm, or that a fault made: bytes, by what is wrong with them."""

from tests.catalog.discs import crafted as c
from tests.catalog.discs import crafted_udf as u
from tests.catalog.discs.crafted import FIRST_FREE, ROOT, SECTOR

REGULAR = 0o100644


def _rock(*records: bytes, own: bytes = c.ROCK_RIDGE) -> bytes:
    return c.folder(ROOT, *records, own=own)


def _file(
    name: bytes = b"A;1",
    block: int = FIRST_FREE,
    length: int = 10,
    *,
    flags: int = 0,
    extra: bytes = b"",
    interleave: int = 0,
) -> bytes:
    return c.record(name, block, length, flags=flags, extra=extra, interleave=interleave)


def _folders(count: int) -> bytes:
    """Make folders within folders, all of one name."""
    blocks = {
        FIRST_FREE + depth: c.folder(
            FIRST_FREE + depth, c.record(b"D", FIRST_FREE + depth + 1, SECTOR, flags=2)
        )
        for depth in range(count - 1)
    }
    blocks[FIRST_FREE + count - 1] = c.folder(FIRST_FREE + count - 1, _file())
    root = c.folder(ROOT, c.record(b"D", FIRST_FREE, SECTOR, flags=2))
    return c.disc(root, blocks, size=count + 64)


def _circle(parent: bool) -> bytes:
    child = c.folder(FIRST_FREE, c.record(b"E", ROOT if parent else FIRST_FREE, SECTOR, flags=2))
    root = c.folder(ROOT, c.record(b"D", FIRST_FREE, SECTOR, flags=2), _file(block=30))
    return c.disc(root, {FIRST_FREE: child})


def _many_to_one() -> bytes:
    """Make ten folders in each of ten that are one: a tree of 10^10 paths in two sectors."""
    same = [c.record(b"D%d" % number, FIRST_FREE, SECTOR, flags=2) for number in range(10)]
    return c.disc(c.folder(ROOT, *same), {FIRST_FREE: c.folder(FIRST_FREE, *same)})


def _overlapping() -> bytes:
    """Make folders that begin a sector after each other and all reach to the end."""
    count = 400
    root = c.folder(
        ROOT,
        *(
            c.record(b"D%d" % number, 100 + number, (count - number) * SECTOR, flags=2)
            for number in range(count)
        ),
    )
    own = {100 + number: c.folder(100 + number, _file()) for number in range(count)}
    return c.disc(root, own, size=100 + count)


def _with(patch: dict[int, bytes], data: bytes) -> bytes:
    changed = bytearray(data)
    for at, new in patch.items():
        changed[at : at + len(new)] = new
    return bytes(changed)


def _plain() -> bytes:
    return c.disc(c.folder(ROOT, _file(), _file(b"B.TXT;1", 25, 3000)))


_CE_LOOP = _rock(
    _file(extra=c.nm(b"a") + c.ce(30, 0, 60)),
)
_LONG = b"n" * 250

REJECTED: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(64 * SECTOR),
    "junk": bytes(range(256)) * 512,
    "web-page": b"<!DOCTYPE html><html>" + bytes(40 * SECTOR),
    "gzip": b"\x1f\x8b\x08" + bytes(40 * SECTOR),
    "raw-cd-sectors": b"\0" + b"\xff" * 10 + b"\0" + bytes(40 * SECTOR),
    "a-disk": bytes(510) + b"\x55\xaa" + bytes(40 * SECTOR),
    "only-a-terminator": bytes(16 * SECTOR) + b"\xffCD001\1".ljust(SECTOR, b"\0"),
    "says-it-is-larger": c.disc(c.folder(ROOT, _file()), said=1000),
    "says-it-has-everything": c.disc(c.folder(ROOT, _file()), said=0xFFFFFFFF),
    "blocks-of-no-size": c.disc(c.folder(ROOT, _file()), block_size=0),
    "blocks-of-odd-size": c.disc(c.folder(ROOT, _file()), block_size=2047),
    "empty": c.disc(c.folder(ROOT)),
    "root-outside": c.disc(c.folder(ROOT, _file()), root_length=0xFFFFF800),
    "root-is-junk": c.disc(b"\x21" * SECTOR),
    "record-too-short": c.disc(c.folder(ROOT) + b"\x05\0\0\0\0"),
    "record-beyond-its-folder": c.disc(
        c.folder(ROOT, *(_file(b"%0180d" % number) for number in range(9))) + b"\xff"
    ),
    "name-beyond-its-record": _with(
        {ROOT * SECTOR + 68 + 32: b"\xf0"}, c.disc(c.folder(ROOT, _file()))
    ),
    "file-outside": c.disc(c.folder(ROOT, _file(block=63, length=SECTOR + 1))),
    "file-far-outside": c.disc(c.folder(ROOT, _file(block=0xFFFFFFFF, length=0xFFFFFFFF))),
    "section-outside": c.disc(
        c.folder(ROOT, _file(flags=0x80, length=SECTOR), _file(block=0xFFFFF, length=9))
    ),
    "last-section-missing": c.disc(c.folder(ROOT, _file(flags=0x80, length=SECTOR))),
    "sections-of-two-files": c.disc(
        c.folder(ROOT, _file(flags=0x80, length=SECTOR), _file(b"B;1"))
    ),
    "folder-outside": c.disc(c.folder(ROOT, c.record(b"D", 9000, SECTOR, flags=2))),
    "folder-in-itself": _circle(parent=False),
    "folder-in-its-own-folder": _circle(parent=True),
    "many-folders-that-are-one": _many_to_one(),
    "folders-on-each-other": _overlapping(),
    "too-deep": _folders(200),
    "joliet-root-outside": c.disc(c.folder(ROOT, _file()), joliet=5000),
    "continuation-circle": c.disc(_CE_LOOP, {30: c.nm(b"b") + c.ce(30, 0, 60)}),
    "continuation-outside": c.disc(_rock(_file(extra=c.ce(70_000, 0, 28)))),
    "continuation-too-long": c.disc(_rock(_file(extra=c.ce(30, 0, 0xFFFFFFF)))),
    "continuation-from-far": c.disc(_rock(_file(extra=c.ce(30, 0xFFFFFFFF, 9)))),
    "moved-folder-outside": c.disc(_rock(_file(extra=c.cl(0xFFFFFF)))),
    "moved-folder-is-a-file": c.disc(_rock(_file(extra=c.cl(30)))),
    "moved-folder-is-the-root": c.disc(_rock(_file(extra=c.cl(ROOT)), _file(b"B;1"))),
    "path-too-long": c.disc(
        _rock(_file(extra=c.ce(30, 0, 5 * 255))), {30: c.nm(_LONG, 1) * 4 + c.nm(_LONG)}
    ),
    "udf-alone": _with({16 * SECTOR: bytes(2 * SECTOR)}, u.bridge({}))[: 16 * SECTOR]
    + b"".join(
        (b"\0" + name + b"\1").ljust(SECTOR, b"\0") for name in (b"BEA01", b"NSR02", b"TEA01")
    )
    + bytes(400 * SECTOR),
}

UDF_FILE = u.icb(u.FILE, 5, u.short_ad(5, 10))


def _udf(*identifiers: bytes, blocks: dict[int, bytes] | None = None) -> dict[int, bytes]:
    return {2: u.embedded_folder(*identifiers), 10: b"hello", **(blocks or {})}


def _one(described: bytes, **blocks: bytes) -> bytes:
    """Make a disc with one file in UDF that is described so."""
    inner = {int(name.removeprefix("at")): data for name, data in blocks.items()}
    return u.bridge(_udf(u.fid("file", 3), blocks={3: described, **inner}))


def _udf_bomb() -> bytes:
    """Make a file of as many pieces as possible, that a folder names as often as possible."""
    pieces = b"".join(u.short_ad(1, 10) for _ in range(230))
    names = b"".join(u.fid(f"f{number}", 3) for number in range(2500))
    folder = u.icb(u.FOLDER, len(names), u.short_ad(len(names), 20))
    return u.bridge({2: folder, 3: u.icb(u.FILE, 230, pieces), 10: b"h", 20: names}, size=500)


REJECTED |= {
    "udf-without-anchor": u.bridge(_udf(u.fid("a", 3)), raw={256: b""}),
    "udf-without-volume": u.bridge(_udf(), raw={u.DESCRIPTORS + 1: u.tagged(7, b"")}),
    "udf-descriptors-circle": u.bridge(
        _udf(), raw={u.DESCRIPTORS: u.tagged(3, (bytes(4) + b"\0\x80\0\0" + b"\4\1\0\0"))}
    ),
    "udf-blocks-of-512": u.bridge(_udf(u.fid("a", 3), blocks={3: UDF_FILE}), block_size=512),
    "udf-virtual": u.bridge(
        _udf(u.fid("a", 3), blocks={3: UDF_FILE}), maps=(u.map_2(b"*UDF Virtual Partition"),)
    ),
    "udf-map-of-no-kind": u.bridge(_udf(), maps=(b"\7\5" + bytes(4),)),
    "udf-partition-missing": u.bridge(_udf(), maps=(u.map_1(7),)),
    "udf-root-is-a-file": u.bridge({2: UDF_FILE}),
    "udf-root-outside": u.bridge(_udf(), root=(0xFFFFFFFF, 0)),
    "udf-root-in-no-partition": u.bridge(_udf(), root=(2, 9)),
    "udf-file-is-not-described": u.bridge(_udf(u.fid("a", 9))),
    "udf-name-is-none": u.bridge(
        {2: u.icb(u.FOLDER, 200, u.short_ad(200, 4)), 4: b"\xff" * SECTOR}
    ),
    "udf-folder-in-itself": u.bridge(_udf(u.fid("a", 2))),
    "udf-folder-longer-than-the-disc": u.bridge(
        {2: u.icb(u.FOLDER, 0x3FFFF800, u.short_ad(0x3FFFF800, 4)), 4: b""}
    ),
    "udf-folder-ends-too-early": u.bridge({2: u.icb(u.FOLDER, 900, u.short_ad(90, 4)), 4: b""}),
    "udf-file-outside": _one(u.icb(u.FILE, 0x3FFFFFFF, u.short_ad(0x3FFFFFFF, 10))),
    "udf-file-of-other-partition": _one(u.icb(u.FILE, 5, u.long_ad(5, 10, 3), u.LONG)),
    "udf-file-shorter-than-it-says": _one(u.icb(u.FILE, 2**60, u.short_ad(5, 10))),
    "udf-embedded-longer-than-it-is": _one(u.icb(u.FILE, 5000, b"hello", u.EMBEDDED)),
    "udf-pieces-circle": _one(
        u.icb(u.FILE, 50, u.short_ad(SECTOR, 4, 3)), at4=u.more(u.short_ad(SECTOR, 4, 3))
    ),
    "udf-pieces-circle-that-gives-some": _one(
        u.icb(u.FILE, 2**40, u.short_ad(SECTOR, 4, 3)),
        at4=u.more(u.short_ad(1, 10) + u.short_ad(SECTOR, 4, 3)),
    ),
    "udf-pieces-go-on-nowhere": _one(u.icb(u.FILE, 50, u.short_ad(SECTOR, 5, 3))),
    "udf-of-strategy-4096": _one(u.icb(u.FILE, 5, u.short_ad(5, 10), strategy=4096)),
    "udf-extended-descriptors": _one(u.icb(u.FILE, 5, bytes(20), 2)),
    "udf-description-too-long": _one(_with({172: b"\xff\xff\xff\xff"}, UDF_FILE)),
    "udf-attributes-too-long": _one(_with({168: b"\xff\xff\xff\xff"}, UDF_FILE)),
    "udf-many-pieces-many-times": _udf_bomb(),
    "udf-metadata-in-itself": u.bridge(
        {2: u.icb(250, SECTOR, u.long_ad(SECTOR, 0, 1), u.LONG)},
        maps=(u.map_1(), u.map_2(b"*UDF Metadata Partition", b"\2\0\0\0\2\0\0\0")),
        root=(1, 1),
        file_set_partition=1,
    ),
    "udf-moved-blocks": u.bridge(
        _udf(u.fid("a", 3), blocks={3: UDF_FILE}),
        maps=(u.map_2(b"*UDF Sparable Partition", b"\x20\0\1\0\0\x08\0\0" + b"\x18\1\0\0"),),
        raw={280: bytes(48) + b"\1\0" + bytes(6) + b"\0\0\0\0\x20\0\0\0"},
    ),
}


def _link(name: bytes, *components: tuple[int, bytes]) -> bytes:
    return _file(name, length=0, extra=c.nm(name) + c.px(0o120777) + c.sl(*components))


SANE: dict[str, tuple[bytes, set[str]]] = {
    "plain": (_plain(), {"A", "B.TXT"}),
    "without-terminator": (
        _with({17 * SECTOR: bytes(SECTOR)}, _plain()),
        {"A", "B.TXT"},
    ),
    "files-on-each-other": (
        c.disc(c.folder(ROOT, _file(length=900), _file(b"B;1", length=5000))),
        {"A", "B"},
    ),
    "empty-file-far-outside": (
        c.disc(c.folder(ROOT, _file(), _file(b"B;1", 0xFFFFFFF0, 0))),
        {"A", "B"},
    ),
    "associated-and-interleaved": (
        c.disc(c.folder(ROOT, _file(), _file(b"B;1", flags=4), _file(b"C;1", interleave=2))),
        {"A"},
    ),
    "one-name-twice": (c.disc(c.folder(ROOT, _file(), _file(length=20))), {"A"}),
    "names-that-climb": (
        c.disc(
            _rock(
                *(
                    _file(b"%d;1" % number, extra=c.nm(name) + c.px(REGULAR))
                    for number, name in enumerate(
                        (b"..", b".", b"../../etc/passwd", b"/abs", b"nul\0", b"good")
                    )
                )
            )
        ),
        {"..\ufffd..\ufffdetc\ufffdpasswd", "\ufffdabs", "nul\ufffd", "good"},
    ),
    "links-in-circles": (
        c.disc(
            _rock(
                _file(extra=c.nm(b"real") + c.px(REGULAR)),
                _link(b"a", (0, b"b")),
                _link(b"b", (0, b"a")),
                _link(b"self", (0, b"self")),
                _link(b"up", (4, b""), (4, b""), (0, b"etc")),
                _link(b"inside", (0, b"inside"), (0, b"inside")),
                _link(b"root", (8, b"")),
                _link(b"none"),
                _link(b"good", (1, b"re"), (0, b"al")),
            )
        ),
        {"real"},
    ),
    "link-with-lying-lengths": (
        c.disc(
            _rock(
                _file(extra=c.nm(b"real") + c.px(REGULAR)),
                _file(b"L;1", extra=c.nm(b"l") + c.entry(b"SL", b"\0\0\xffx")),
            )
        ),
        {"real"},
    ),
    "entry-of-no-length": (
        c.disc(_rock(_file(extra=c.nm(b"real") + b"XX\0\1" + c.nm(b"never")))),
        {"real"},
    ),
    "catalogue-outside": (c.disc(c.folder(ROOT, _file()), catalogue=99_999), {"A"}),
    "catalogue-is-junk": (
        c.disc(c.folder(ROOT, _file()), {30: b"\1\xef" * 999}, catalogue=30),
        {"A"},
    ),
    "catalogue-without-end": (
        c.disc(
            c.folder(ROOT, _file()),
            {30: c.catalogue(*(c.section(0xEF, 0xFFFF, last=False),) * 200)},
            catalogue=30,
        ),
        {"A"},
    ),
    "udf-damaged-beside-a-whole-iso9660": (
        u.bridge({2: b""}, iso=(c.record(b"BIG.BIN;1", FIRST_FREE, 300 * SECTOR),)),
        {"BIG.BIN"},
    ),
    "udf-deleted-and-strange-names": (
        u.bridge(
            _udf(
                u.fid("a/b", 3),
                u.fid("gone", 99, characteristics=4),
                u.fid("\u4f60", 3),
                u.fid("..", 3),
                u.fid("", 3),
                blocks={3: UDF_FILE},
            )
        ),
        {"a\ufffdb", "\u4f60"},
    ),
    "udf-with-holes": (
        u.bridge(
            _udf(
                u.fid("file", 3),
                u.fid("file2", 3),
                u.fid("holes", 4),
                u.fid("pipe", 5),
                blocks={
                    3: UDF_FILE,
                    4: u.icb(u.FILE, 5000, u.short_ad(SECTOR, 10) + u.short_ad(3000, 0, 2)),
                    5: u.icb(9, 0, b""),
                },
            )
        ),
        {"file", "file2"},
    ),
}
