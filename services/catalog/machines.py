"""What the operator says about machines, and the policy for all others."""

import sqlite3
import time
from collections.abc import Callable, Collection, Container, Mapping
from typing import Any

import msgspec

from bootyard.model.architecture import Firmware
from bootyard.model.document import decode, encode
from bootyard.model.errors import RequestRefused
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Machine, Policy
from bootyard.runtime.log import get_logger
from services.catalog import boot_once, rules
from services.catalog.boot_once import BootOnce
from services.catalog.database import Database, Schema
from services.catalog.policy import PolicyChange, read_policy, set_policy

log = get_logger(__name__)

DEFAULT_EXPIRES_MINUTES = 30.0

SCHEMA = Schema(
    "machines",
    (
        """
        CREATE TABLE machines (
            mac TEXT PRIMARY KEY,
            name TEXT COLLATE NOCASE UNIQUE,
            machine TEXT NOT NULL,
            variables TEXT NOT NULL
        ) WITHOUT ROWID;
        """,
    ),
)
SCHEMAS = (SCHEMA, boot_once.SCHEMA)
"""What `Database.open` needs for this module."""


class MachineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A machine with what does not go into the snapshot."""

    machine: Machine
    variables: dict[str, str] = {}
    boot_once: BootOnce | None = None

    @property
    def mac(self) -> MACAddress:
        """The address that names it."""
        return self.machine.mac


class MachineChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to set about a machine; fields that are left out stay as they are, None takes away.

    `variables` are merged into those that are there; one with the value None is taken away.
    """

    name: str | msgspec.UnsetType | None = msgspec.UNSET
    tags: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    target: str | msgspec.UnsetType | None = msgspec.UNSET
    kernel_args: str | msgspec.UnsetType = msgspec.UNSET
    firmware: Firmware | msgspec.UnsetType | None = msgspec.UNSET
    loader: LoaderName | msgspec.UnsetType | None = msgspec.UNSET
    offer: OfferStrategy | msgspec.UnsetType | None = msgspec.UNSET
    secure_boot: bool | msgspec.UnsetType | None = msgspec.UNSET
    variables: dict[str, str | None] | msgspec.UnsetType = msgspec.UNSET


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of a machine is judged by, as it is at that moment."""

    targets: rules.Targets
    loaders: Collection[str]
    """`<firmware>/<file>` of every loader that there is."""
    firmware: Firmware | None
    """What the machine was last seen to boot with."""


class ForSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot carries of machines and the policy."""

    machines: dict[str, msgspec.Raw]
    """By MAC, in order, as they are written in the database: they go into the document as that."""
    policy: Policy
    armed: dict[str, str]


class Machines:
    """Machines, policy and boot-once in the database; every refusal is a RequestRefused.

    MAC addresses are taken in any spelling. `targets` and `loaders` tell what can be booted now,
    `firmware_of` what a machine was last seen to boot with.
    """

    def __init__(
        self,
        database: Database,
        targets: Callable[[], rules.Targets],
        clock: Callable[[], float] = time.time,
        *,
        loaders: Callable[[], Collection[str]] = lambda: (),
        firmware_of: Callable[[MACAddress], Firmware | None] = lambda _: None,
    ) -> None:
        self._database = database
        self._targets = targets
        self._loaders = loaders
        self._firmware_of = firmware_of
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        for mac in database.run_blocking(boot_once.burn_unsure):
            log.warning(
                "boot-once counts as used: its kernel was being sent when the catalog ended",
                mac=mac,
            )

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener`, on the event loop, after every change of a machine or the policy."""
        self._listeners.append(listener)

    async def list(self) -> tuple[MachineRecord, ...]:
        """List every machine, by MAC."""
        return await self._database.run(_read_all, self._clock())

    async def get(self, mac: str) -> MachineRecord | None:
        """Look up one machine."""
        return await self._database.run(_read, rules.check_mac(mac), self._clock())

    async def set(self, mac: str, change: MachineChange) -> MachineRecord:
        """Change a machine, making it when it is new; refused as a whole or done as a whole."""
        address = rules.check_mac(mac)
        around = self._surroundings(address)
        record = await self._database.run(_set, address, change, around, self._clock())
        self._changed()
        return record

    async def check(self, mac: str, change: MachineChange) -> None:
        """Raise what `set` would raise, and change nothing."""
        address = rules.check_mac(mac)
        around = self._surroundings(address)
        await self._database.run(_check, address, change, around, self._clock())

    async def remove(self, mac: str) -> bool:
        """Forget a machine and what is armed for it; False when it was not known."""
        removed = await self._database.run(_remove, rules.check_mac(mac))
        self._changed()
        return removed

    async def policy(self) -> Policy:
        """Read the policy."""
        return await self._database.run(read_policy)

    async def set_policy(self, change: PolicyChange) -> Policy:
        """Change the policy."""
        policy = await self._database.run(set_policy, change, self._targets())
        self._changed()
        return policy

    async def for_snapshot(self) -> ForSnapshot:
        """Read what a snapshot carries, as of one moment."""
        return await self._database.run(_read_for_snapshot, self._clock())

    async def arm(
        self, mac: str, target: str, expires_minutes: float = DEFAULT_EXPIRES_MINUTES
    ) -> MachineRecord:
        """Arm a machine to boot `target` once, in place of what was armed; makes a new machine."""
        address = rules.check_mac(mac)
        rules.check_target(target, self._targets())
        seconds = rules.check_expiry(expires_minutes) * 60
        record = await self._database.run(_arm, address, target, self._clock(), seconds)
        self._changed()
        return record

    async def disarm(self, mac: str) -> bool:
        """Take an arming back; False when there was none."""
        disarmed = await self._database.run(boot_once.disarm, rules.check_mac(mac))
        self._changed()
        return disarmed

    async def bind(
        self,
        mac: MACAddress,
        boot_id: str,
        now: float | None = None,
        *,
        bootable: Container[str] | None = None,
    ) -> str | None:
        """Give the target of a boot-once to the boot that asks, or None; see `boot_once.bind`.

        `bootable` are the target ids of the snapshot that this request reads; left out: all that
        are in the library now.
        """
        return await self._database.run(
            boot_once.bind,
            mac,
            boot_id,
            self._clock() if now is None else now,
            self._targets() if bootable is None else bootable,
        )

    async def burn(self, mac: MACAddress, boot_id: str, now: float | None = None) -> bool:
        """Use up a boot-once at the first complete transfer of its kernel; True when this did."""
        return await self._database.run(
            boot_once.burn, mac, boot_id, self._clock() if now is None else now
        )

    async def begin_kernel(self, mac: MACAddress, boot_id: str) -> bool:
        """Note that a boot is being sent its kernel; False when no boot-once is bound to it."""
        return await self._database.run(boot_once.begin_kernel, mac, boot_id, self._clock())

    async def abort_kernel(self, mac: MACAddress, boot_id: str) -> None:
        """Note that a boot did not get its kernel."""
        await self._database.run(boot_once.abort_kernel, mac, boot_id)

    def _surroundings(self, mac: MACAddress) -> Surroundings:
        return Surroundings(
            targets=self._targets(), loaders=self._loaders(), firmware=self._firmware_of(mac)
        )

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


def _read_all(connection: sqlite3.Connection, now: float) -> tuple[MachineRecord, ...]:
    armed = boot_once.read_all(connection, now)
    rows = connection.execute("SELECT machine, variables FROM machines ORDER BY mac")
    return tuple(_record(machine, variables, armed) for machine, variables in rows)


def _read(connection: sqlite3.Connection, mac: MACAddress, now: float) -> MachineRecord | None:
    row = connection.execute(
        "SELECT machine, variables FROM machines WHERE mac = ?", (str(mac),)
    ).fetchone()
    return None if row is None else _record(row[0], row[1], boot_once.read_all(connection, now))


def _record(machine: str, variables: str, armed: Mapping[MACAddress, BootOnce]) -> MachineRecord:
    parsed = decode(machine, Machine)
    return MachineRecord(
        machine=parsed,
        variables=decode(variables, dict[str, str]),
        boot_once=armed.get(parsed.mac),
    )


def _set(
    connection: sqlite3.Connection,
    mac: MACAddress,
    change: MachineChange,
    around: Surroundings,
    now: float,
) -> MachineRecord:
    before = _read(connection, mac, now) or MachineRecord(machine=Machine(mac=mac))
    fields: dict[str, Any] = {}
    if change.name is not msgspec.UNSET:
        fields["name"] = _free_name(connection, mac, change.name)
    if change.tags is not msgspec.UNSET:
        fields["tags"] = rules.check_tags(change.tags)
    if change.target is not msgspec.UNSET:
        wanted = change.target
        fields["target"] = wanted and rules.check_standing_target(wanted, around.targets, mac)
    if change.kernel_args is not msgspec.UNSET:
        fields["kernel_args"] = rules.check_kernel_args(change.kernel_args)
    for plain in ("firmware", "loader", "offer", "secure_boot"):
        value = getattr(change, plain)
        if value is not msgspec.UNSET:
            fields[plain] = value
    variables = before.variables
    if change.variables is not msgspec.UNSET:
        merged = {**variables, **change.variables}
        variables = rules.check_variables({k: v for k, v in merged.items() if v is not None})
    machine = msgspec.structs.replace(before.machine, **fields)
    if machine.loader is not None and fields.keys() & {"loader", "firmware"}:
        rules.check_loader(machine.loader, machine.firmware or around.firmware, around.loaders)
    _write(connection, machine, variables)
    return msgspec.structs.replace(before, machine=machine, variables=variables)


def _check(
    connection: sqlite3.Connection,
    mac: MACAddress,
    change: MachineChange,
    around: Surroundings,
    now: float,
) -> None:
    connection.execute("SAVEPOINT tried")
    try:
        _set(connection, mac, change, around, now)
    finally:
        connection.execute("ROLLBACK TO tried")


def _free_name(connection: sqlite3.Connection, mac: MACAddress, name: str | None) -> str | None:
    if not name:
        return None
    rules.check_name(name)
    holder = connection.execute(
        "SELECT mac FROM machines WHERE name = ? AND mac != ?", (name, str(mac))
    ).fetchone()
    if holder is not None:
        raise RequestRefused(
            f"{holder[0]} is called {name} already", "choose another name, or rename that machine"
        )
    return name


def _write(connection: sqlite3.Connection, machine: Machine, variables: Mapping[str, str]) -> None:
    connection.execute(
        "INSERT INTO machines (mac, name, machine, variables) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (mac) DO UPDATE SET"
        " name = excluded.name, machine = excluded.machine, variables = excluded.variables",
        (
            str(machine.mac),
            machine.name,
            encode(machine).decode(),
            encode(dict(variables)).decode(),
        ),
    )


def _remove(connection: sqlite3.Connection, mac: MACAddress) -> bool:
    boot_once.disarm(connection, mac)
    return connection.execute("DELETE FROM machines WHERE mac = ?", (str(mac),)).rowcount > 0


def _arm(
    connection: sqlite3.Connection, mac: MACAddress, target: str, now: float, seconds: float
) -> MachineRecord:
    record = _read(connection, mac, now)
    if record is None:
        record = MachineRecord(machine=Machine(mac=mac))
        _write(connection, record.machine, {})
    boot_once.arm(connection, mac, target, now, now + seconds)
    return msgspec.structs.replace(record, boot_once=boot_once.read_all(connection, now)[mac])


def _read_for_snapshot(connection: sqlite3.Connection, now: float) -> ForSnapshot:
    rows = connection.execute("SELECT mac, machine FROM machines ORDER BY mac")
    return ForSnapshot(
        machines={mac: msgspec.Raw(machine.encode()) for mac, machine in rows},
        policy=read_policy(connection),
        armed=boot_once.read_armed(connection, now),
    )
