"""Boot-once: an act, not a state. One boot gets the target, one time, or nobody does.

armed -> bound (to the first boot that asks) -> burned (its kernel was taken), or expired. Every
move is one compare-and-set in SQL, so that two who ask at once cannot both win. Times are seconds
since 1970, because an arming outlives a restart.

That a kernel is being sent is written down before its first byte leaves: a catalog that dies while
it sends one does not know whether the machine has it, and then it counts as taken.
"""

import sqlite3
from collections.abc import Container
from enum import StrEnum

import msgspec

from bootyard.model.mac import MACAddress
from services.catalog.database import Schema

CLOCK_SLACK_SECONDS = 300.0
"""How far the clock may be set back before what was armed counts as expired."""

SCHEMA = Schema(
    "boot-once",
    (
        """
        CREATE TABLE boot_once (
            mac TEXT PRIMARY KEY,
            target TEXT NOT NULL,
            armed_at REAL NOT NULL,
            expires_at REAL NOT NULL,
            boot_id TEXT,
            bound_at REAL,
            burned_at REAL
        ) WITHOUT ROWID;
        """,
        "ALTER TABLE boot_once ADD COLUMN kernel_at REAL;",
    ),
)

_LIVE = "burned_at IS NULL AND :now < expires_at AND :now > armed_at - :slack"


class BootOnceState(StrEnum):
    """Where an arming is on its way."""

    ARMED = "armed"
    BOUND = "bound"
    BURNED = "burned"
    EXPIRED = "expired"


class BootOnce(msgspec.Struct, frozen=True, kw_only=True):
    """The last arming of a machine."""

    target: str
    expires_at: float
    state: BootOnceState
    boot: str | None = None


def arm(
    connection: sqlite3.Connection, mac: MACAddress, target: str, now: float, expires_at: float
) -> None:
    """Arm a machine, in place of what was armed before."""
    connection.execute(
        "INSERT OR REPLACE INTO boot_once (mac, target, armed_at, expires_at) VALUES (?, ?, ?, ?)",
        (str(mac), target, now, expires_at),
    )


def disarm(connection: sqlite3.Connection, mac: MACAddress) -> bool:
    """Take an arming back; False when there was none."""
    return connection.execute("DELETE FROM boot_once WHERE mac = ?", (str(mac),)).rowcount > 0


def bind(
    connection: sqlite3.Connection,
    mac: MACAddress,
    boot_id: str,
    now: float,
    bootable: Container[str],
) -> str | None:
    """Give a boot the armed target: the first boot that asks, and the same one when it repeats.

    None for every other boot, after the kernel was taken, after the time is over, and while the
    target is not among `bootable` (then nothing is used up).
    """
    where = {"mac": str(mac), "boot": boot_id, "now": now, "slack": CLOCK_SLACK_SECONDS}
    row = connection.execute(
        f"SELECT target FROM boot_once WHERE mac = :mac AND {_LIVE}"  # noqa: S608 - constants
        " AND (boot_id IS NULL OR boot_id = :boot)",
        where,
    ).fetchone()
    if row is None or row[0] not in bootable:
        return None
    won = connection.execute(
        "UPDATE boot_once SET boot_id = :boot, bound_at = coalesce(bound_at, :now)"  # noqa: S608
        f" WHERE mac = :mac AND {_LIVE} AND (boot_id IS NULL OR boot_id = :boot)",
        where,
    )
    return str(row[0]) if won.rowcount == 1 else None


def begin_kernel(connection: sqlite3.Connection, mac: MACAddress, boot_id: str, now: float) -> bool:
    """Note that a boot is being sent its kernel; False when nothing is bound to it."""
    return (
        connection.execute(
            "UPDATE boot_once SET kernel_at = ?"
            " WHERE mac = ? AND boot_id = ? AND burned_at IS NULL",
            (now, str(mac), boot_id),
        ).rowcount
        == 1
    )


def abort_kernel(connection: sqlite3.Connection, mac: MACAddress, boot_id: str) -> None:
    """Note that a boot did not get its kernel, and may ask again."""
    connection.execute(
        "UPDATE boot_once SET kernel_at = NULL WHERE mac = ? AND boot_id = ?", (str(mac), boot_id)
    )


def burn_unsure(connection: sqlite3.Connection) -> list[str]:
    """Use up what was being sent when the catalog died; gives the machines' MACs."""
    rows = connection.execute(
        "UPDATE boot_once SET burned_at = kernel_at"
        " WHERE kernel_at IS NOT NULL AND burned_at IS NULL RETURNING mac"
    )
    return [str(mac) for (mac,) in rows]


def burn(connection: sqlite3.Connection, mac: MACAddress, boot_id: str, now: float) -> bool:
    """Use up what is bound to a boot; True for the one call that did."""
    return (
        connection.execute(
            "UPDATE boot_once SET burned_at = ?"
            " WHERE mac = ? AND boot_id = ? AND burned_at IS NULL",
            (now, str(mac), boot_id),
        ).rowcount
        == 1
    )


def read_all(connection: sqlite3.Connection, now: float) -> dict[MACAddress, BootOnce]:
    """List the last arming of every machine that has one."""
    rows = connection.execute(
        "SELECT mac, target, expires_at, boot_id, burned_at IS NOT NULL,"  # noqa: S608 - constants
        f" {_LIVE} FROM boot_once",
        {"now": now, "slack": CLOCK_SLACK_SECONDS},
    )
    return {
        MACAddress(mac): BootOnce(
            target=target,
            expires_at=expires_at,
            state=_state(bool(burned), bool(live), boot),
            boot=boot,
        )
        for mac, target, expires_at, boot, burned, live in rows
    }


def read_armed(connection: sqlite3.Connection, now: float) -> dict[str, str]:
    """Give MAC to target of every arming that no boot has got yet: a loader is chosen for it."""
    rows = connection.execute(
        f"SELECT mac, target FROM boot_once WHERE {_LIVE} AND boot_id IS NULL"  # noqa: S608
        " ORDER BY mac",
        {"now": now, "slack": CLOCK_SLACK_SECONDS},
    )
    return dict(rows)


def _state(burned: bool, live: bool, boot: str | None) -> BootOnceState:
    if burned:
        return BootOnceState.BURNED
    if not live:
        return BootOnceState.EXPIRED
    return BootOnceState.ARMED if boot is None else BootOnceState.BOUND
