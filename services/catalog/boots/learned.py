"""What was learned of machines, in the database: evidence as JSON, by MAC."""

import sqlite3
from collections.abc import Iterable

from bootyard.model.document import decode, encode
from bootyard.model.mac import MACAddress
from services.catalog.boots.learning import Change, Evidence
from services.catalog.database import Schema

SCHEMA = Schema(
    "learned",
    (
        """
        CREATE TABLE learned (
            mac TEXT PRIMARY KEY,
            changed REAL NOT NULL,
            evidence TEXT NOT NULL
        ) WITHOUT ROWID;
        """,
    ),
)


def save(connection: sqlite3.Connection, changes: Iterable[Change], now: float) -> None:
    """Write what became known; changes later in the list are the later ones."""
    for change in changes:
        mac = str.__str__(change.mac)
        if change.evidence is None:
            connection.execute("DELETE FROM learned WHERE mac = ?", (mac,))
        else:
            connection.execute(
                "INSERT OR REPLACE INTO learned (mac, changed, evidence) VALUES (?, ?, ?)",
                (mac, now, encode(change.evidence).decode()),
            )


def load(connection: sqlite3.Connection) -> list[tuple[MACAddress, Evidence]]:
    """Read everything, the least recently changed first."""
    rows = connection.execute("SELECT mac, evidence FROM learned ORDER BY changed, mac")
    return [(MACAddress(mac), decode(evidence, Evidence)) for mac, evidence in rows]
