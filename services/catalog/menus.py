"""The operator's own entries in menus: iPXE commands under a title."""

import re
import sqlite3

from bootyard.model.document import decode, encode
from bootyard.model.errors import RequestRefused
from bootyard.model.snapshot import MenuEntry
from services.catalog.database import Database, read_property, write_property
from services.catalog.library.names import slug

PROPERTY = "menus"

MAX_ENTRIES = 64
MAX_TITLE = 72
"""A line of a text screen, with room for the menu's border."""
MAX_SCRIPT = 8192
"""In characters. Whoever needs more has it chained from a server of theirs."""

_MAGIC = re.compile(r"#!\s*[ig]pxe", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Menus:
    """Entries in the database; every refusal is a RequestRefused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> tuple[MenuEntry, ...]:
        """List them, in the order in which they were made."""
        return await self._database.run(read_menus)

    async def put(self, identity: str, title: str, script: str) -> tuple[MenuEntry, bool]:
        """Make or replace an entry; True when it is new."""
        entry = check_entry(identity, title, script)
        return entry, await self._database.run(_put, entry)

    async def remove(self, identity: str) -> bool:
        """Take an entry away; False when there was none."""
        return await self._database.run(_remove, identity)


def check_entry(identity: str, title: str, script: str) -> MenuEntry:
    """Check what an operator wrote; raises RequestRefused."""
    clean = " ".join(title.split())
    if not clean or len(clean) > MAX_TITLE or _CONTROL.search(title):
        raise RequestRefused(
            f"{title!r} cannot be the title of a menu entry",
            f"use one line of 1 to {MAX_TITLE} characters",
        )
    if identity != slug(clean):
        raise RequestRefused(
            f"the id of an entry called {clean!r} is {slug(clean)!r}, not {identity!r}",
            "send it to that id" if slug(clean) else "use letters or digits in its title",
        )
    return MenuEntry(id=identity, title=clean, script=_check_script(script))


def _check_script(script: str) -> str:
    lines = script.replace("\r\n", "\n").strip("\n")
    if not lines.strip():
        raise RequestRefused("the entry has no commands", "give it one at least, such as `shell`")
    if len(lines) > MAX_SCRIPT:
        raise RequestRefused(
            f"{len(lines)} characters of commands are too many",
            f"use at most {MAX_SCRIPT}, or `chain` a script of your own server",
        )
    if _MAGIC.search(lines):
        raise RequestRefused(
            "an entry is only the commands: `#!ipxe` is put in front of them",
            "leave that line out; for several scripts make several entries",
        )
    if _CONTROL.search(lines):
        raise RequestRefused(
            "the commands have control characters in them",
            "write plain text, one command in a line",
        )
    return lines


def read_menus(connection: sqlite3.Connection) -> tuple[MenuEntry, ...]:
    """Read every entry."""
    document = read_property(connection, PROPERTY)
    return () if document is None else decode(document, tuple[MenuEntry, ...])


def _put(connection: sqlite3.Connection, entry: MenuEntry) -> bool:
    entries = {known.id: known for known in read_menus(connection)}
    is_new = entry.id not in entries
    if is_new and len(entries) >= MAX_ENTRIES:
        raise RequestRefused(
            f"there are {MAX_ENTRIES} menu entries already", "take one away that nobody needs"
        )
    entries[entry.id] = entry
    write_property(connection, PROPERTY, encode(tuple(entries.values())).decode())
    return is_new


def _remove(connection: sqlite3.Connection, identity: str) -> bool:
    before = read_menus(connection)
    after = tuple(entry for entry in before if entry.id != identity)
    write_property(connection, PROPERTY, encode(after).decode())
    return after != before
