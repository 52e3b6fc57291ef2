"""Boots in the database, with the position in the event stream that they are known up to."""

import sqlite3
from collections.abc import Iterable

import msgspec

from bootyard.model.document import decode, encode
from bootyard.model.mac import MACAddress
from services.catalog.boots.boot import Boot
from services.catalog.database import Schema, read_property, write_property

MAX_BOOTS = 10_000
POSITION = "events position"
START_OF_STREAM = "0"
REMEMBERED = 1_000
"""Closed boots that are read at start, for late events and each machine's last boot."""

SCHEMA = Schema(
    "boots",
    (
        """
        CREATE TABLE boots (
            number INTEGER PRIMARY KEY,
            mac TEXT NOT NULL,
            is_open INTEGER NOT NULL,
            boot TEXT NOT NULL
        );
        CREATE INDEX boots_of_machine ON boots (mac, number);
        CREATE INDEX open_boots ON boots (number) WHERE is_open;
        """,
    ),
)


class Row(msgspec.Struct, frozen=True):
    """A boot as it is written; made on the event loop, because boots change under way."""

    number: int
    mac: str
    is_open: bool
    document: str


def row_of(boot: Boot) -> Row:
    """Write down a boot as it is now."""
    return Row(boot.number, str.__str__(boot.mac), boot.is_open, encode(boot).decode())


def save(connection: sqlite3.Connection, rows: Iterable[Row], position: str) -> None:
    """Write changed boots and the stream position that they are known up to."""
    connection.executemany(
        "INSERT INTO boots VALUES (?, ?, ?, ?)"
        " ON CONFLICT (number) DO UPDATE SET is_open = excluded.is_open, boot = excluded.boot",
        [(row.number, row.mac, row.is_open, row.document) for row in rows],
    )
    write_property(connection, POSITION, position)
    connection.execute(
        "DELETE FROM boots WHERE NOT is_open AND number <= (SELECT max(number) FROM boots) - ?",
        (MAX_BOOTS,),
    )


def load(connection: sqlite3.Connection) -> tuple[list[Boot], int, str]:
    """Read the boots to go on with, the next number, and the stream position."""
    rows = connection.execute(
        "SELECT boot FROM boots WHERE is_open"
        " UNION SELECT boot FROM boots WHERE number > (SELECT max(number) FROM boots) - ?",
        (REMEMBERED,),
    )
    boots = [decode(row[0], Boot) for row in rows]
    highest = connection.execute("SELECT coalesce(max(number), 0) FROM boots").fetchone()[0]
    return boots, highest + 1, read_property(connection, POSITION) or START_OF_STREAM


def find(connection: sqlite3.Connection, number: int) -> Boot | None:
    """Read one boot."""
    row = connection.execute("SELECT boot FROM boots WHERE number = ?", (number,)).fetchone()
    return None if row is None else decode(row[0], Boot)


def page(
    connection: sqlite3.Connection,
    limit: int,
    below: int | None = None,
    mac: MACAddress | None = None,
    is_open: bool | None = None,
) -> list[Boot]:
    """Read boots, newest first: those with a number under `below`."""
    rows = connection.execute(
        "SELECT boot FROM boots WHERE number < coalesce(:below, number + 1)"
        " AND mac = coalesce(:mac, mac) AND is_open = coalesce(:open, is_open)"
        " ORDER BY number DESC LIMIT :limit",
        {
            "below": below,
            "mac": None if mac is None else str.__str__(mac),
            "open": is_open,
            "limit": limit,
        },
    )
    return [decode(row[0], Boot) for row in rows]
