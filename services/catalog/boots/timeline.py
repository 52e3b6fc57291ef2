"""Events into boots. Pure: no clock, no I/O; `now` is an argument.

Events come late and out of order (Redis was away: everything a service saw arrives at once, while
the catalog's own events were here at their time) and twice (a batch that was sent again).
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from bootyard.model.events import BootEvent, BootOutcome, Step
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import LOCAL_DISK
from services.catalog.boots.attempts import is_refused
from services.catalog.boots.belonging import (
    LEAVING_SECONDS,
    SAME_BOOT_SECONDS,
    begins_anew,
    goes_on,
)
from services.catalog.boots.boot import MAX_STEPS, Boot, BootStep, step_of
from services.catalog.boots.outcome import (
    Targets,
    final_outcome,
    is_certain,
    seems_refused,
)

K = TypeVar("K")
V = TypeVar("V")

SILENT_SECONDS = 1800.0
"""A boot that nothing was heard of for this long is over."""
REFUSED_SILENT_SECONDS = 120.0
"""A boot that Secure Boot seems to have ended is over after this: no loader takes longer to ask."""
KEPT_BOOTS = 3
"""Boots of one machine in memory: late events belong to the one that they were seen in."""
MAX_MACHINES = 10_000
MAX_ADDRESSES = 20_000
MAX_SEEN = 100_000

OPENING = frozenset(Step) - {Step.SYSTEM_UP, Step.DONE}
"""An operating system that asks for an address does not boot from us."""


@dataclass(slots=True)
class Changes:
    """What one event, or the passing of time, changed."""

    boots: dict[int, Boot] = field(default_factory=dict)
    """Changed boots by number."""
    steps: list[tuple[Boot, BootStep, float | None]] = field(default_factory=list)
    """New steps, with the seconds since the one before (None: the first)."""
    counted: list[Boot] = field(default_factory=list)
    """Boots whose outcome became certain."""
    dropped: str = ""
    """Why an event belongs to no boot."""


class Timeline:
    """Every machine's last boots, and which machine is behind an address."""

    def __init__(self, boots: Iterable[Boot] = (), next_number: int = 1) -> None:
        self.next_number = next_number
        self._of_machine: OrderedDict[MACAddress, list[Boot]] = OrderedDict()
        self._machine_at: OrderedDict[str, MACAddress] = OrderedDict()
        self._seen: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        for boot in sorted(boots, key=lambda boot: boot.started):
            known = self._of_machine.get(boot.mac, [])
            self._of_machine[boot.mac] = [*known[-KEPT_BOOTS + 1 :], boot]
            for step in boot.steps:
                self._seen[step.service, step.run, step.sequence] = None
                if step.ip is not None and (
                    _knows_machine(step) or step.ip not in self._machine_at
                ):
                    self._machine_at[step.ip] = boot.mac

    def latest(self, mac: MACAddress) -> Boot | None:
        """The last boot of a machine, open or closed."""
        boots = self._of_machine.get(mac)
        return boots[-1] if boots else None

    def current(self, mac: MACAddress) -> Boot | None:
        """The open boot of a machine."""
        boot = self.latest(mac)
        return boot if boot is not None and boot.is_open else None

    def machines(self) -> tuple[MACAddress, ...]:
        """List the machines whose last boots are remembered."""
        return tuple(self._of_machine)

    def machine_at(self, ip: str) -> MACAddress | None:
        """Tell which machine was last seen with an address."""
        return self._machine_at.get(ip)

    def observe(self, event: BootEvent, now: float, targets: Targets) -> Changes:
        """Put an event into the boot that it belongs to, opening one when it is the first."""
        changes = Changes()
        key = (event.service, event.run, event.sequence)
        if key in self._seen:
            changes.dropped = "seen before"
            return changes
        _remember(self._seen, key, None, MAX_SEEN)
        mac = event.mac
        if mac is None and event.ip is not None:
            mac = self._machine_at.get(event.ip)
        if mac is None:
            changes.dropped = "no machine is known behind it"
            return changes
        if event.ip is not None and (_knows_machine(event) or event.ip not in self._machine_at):
            _remember(self._machine_at, event.ip, mac, MAX_ADDRESSES)
        # A service whose clock was ahead must not put a boot into the future.
        step = step_of(event, min(event.time, now))
        if not step.is_ours:
            self._add_beside(step, mac, changes)
            return changes
        boot = self._boot_for(step, mac, targets, changes)
        if boot is not None:
            boot.heard = now
            self._add(boot, step, event, changes)
            self._settle(boot, step, targets, changes)
        return changes

    def review(self, boots: Iterable[Boot], now: float) -> Changes:
        """Say of open boots whose loader nothing was heard of whether Secure Boot ended them."""
        changes = Changes()
        for boot in boots:
            if boot.is_open and boot.outcome is BootOutcome.RUNNING and seems_refused(boot, now):
                boot.outcome = BootOutcome.SECURE_BOOT
                changes.boots[boot.number] = boot
        return changes

    def sweep(self, now: float, targets: Targets) -> Changes:
        """Close the boots that nothing was heard of for long."""
        changes = Changes()
        for boots in self._of_machine.values():
            for boot in boots:
                silence = now - boot.last
                if boot.is_open and silence >= SILENT_SECONDS:
                    self._close(boot, boot.last + SILENT_SECONDS, targets, changes)
                elif (
                    boot.is_open
                    and boot.outcome is BootOutcome.SECURE_BOOT
                    and min(silence, now - boot.heard) >= REFUSED_SILENT_SECONDS
                ):
                    self._close(boot, boot.last + REFUSED_SILENT_SECONDS, targets, changes)
        return changes

    def left_for_disk(self, mac: MACAddress, now: float) -> bool:
        """Tell whether a machine is on its way to the local disk that it was sent to."""
        boot = self.latest(mac)
        if boot is None or boot.outcome is not BootOutcome.LOCAL_DISK or boot.closed is None:
            return False
        return now - boot.closed < LEAVING_SECONDS

    def assign(self, boot: Boot, target: str, image: str) -> Changes:
        """Note that a boot-once was bound to a boot."""
        boot.target, boot.image = target, image
        return Changes(boots={boot.number: boot})

    def _boot_for(
        self, step: BootStep, mac: MACAddress, targets: Targets, changes: Changes
    ) -> Boot | None:
        boots = self._of_machine.get(mac, [])
        before = next((b for b in reversed(boots) if b.started <= step.at), None)
        after = next((b for b in boots if b.started > step.at), None)
        if before is not None and step.at <= before.last:
            return before
        if after is not None:
            return self._between(before, after, step, changes)
        if before is not None and before.is_open:
            if step.at - before.last >= SILENT_SECONDS:
                self._close(before, before.last + SILENT_SECONDS, targets, changes)
            elif not begins_anew(before, step):
                return before
            else:
                before.restarted = step.at if step.is_firmware_discover else None
                self._close(before, step.at, targets, changes)
        elif before is not None and goes_on(before, step):
            return before
        if step.step in OPENING:
            return self._open(mac, step.at, targets, changes)
        changes.dropped = "no boot is under way"
        return None

    def _between(
        self, before: Boot | None, after: Boot, step: BootStep, changes: Changes
    ) -> Boot | None:
        """Place a late step that lies in no boot: did the next one begin earlier than known?"""
        headless = not any(known.is_firmware_discover for known in after.steps)
        if headless and step.step in OPENING and after.started - step.at <= SAME_BOOT_SECONDS:
            return after
        if before is not None and step.at - before.last < SILENT_SECONDS:
            return before
        changes.dropped = "older than what is remembered"
        return None

    def _open(self, mac: MACAddress, at: float, targets: Targets, changes: Changes) -> Boot:
        boot = Boot(number=self.next_number, mac=mac, started=at, last=at, steps=[])
        self.next_number += 1
        boots = self._of_machine.pop(mac, [])
        self._of_machine[mac] = [*boots[-KEPT_BOOTS + 1 :], boot]
        if len(self._of_machine) > MAX_MACHINES:
            _, forgotten = self._of_machine.popitem(last=False)
            for other in forgotten:
                if other.is_open:
                    self._close(other, other.last, targets, changes)
        return boot

    def _add(self, boot: Boot, step: BootStep, event: BootEvent, changes: Changes) -> None:
        changes.boots[boot.number] = boot
        boot.started = min(boot.started, step.at)
        boot.last = max(boot.last, step.at)
        if boot.firmware is None or (step.is_firmware_discover and boot.is_open):
            boot.firmware = event.firmware or boot.firmware
        if event.image is not None:
            boot.image = event.image
        if not _is_wanted(boot, step):
            return
        boot.steps.insert(_place(boot, step), step)
        earlier = [
            known.at for known in boot.own_steps if known.at <= step.at and known is not step
        ]
        changes.steps.append((boot, step, step.at - earlier[-1] if earlier else None))

    def _add_beside(self, step: BootStep, mac: MACAddress, changes: Changes) -> None:
        """Tell of another server's offer in the boot that it was made in; nothing follows of it."""
        boots = self._of_machine.get(mac, [])
        boot = next((b for b in reversed(boots) if b.started <= step.at), None)
        ended = boot is not None and not boot.is_open and step.at > boot.last
        if boot is None or ended or step.at - boot.last >= SILENT_SECONDS:
            changes.dropped = "another server's, outside of any boot"
        elif _is_wanted(boot, step):
            boot.steps.insert(_place(boot, step), step)
            changes.boots[boot.number] = boot

    def _settle(self, boot: Boot, step: BootStep, targets: Targets, changes: Changes) -> None:
        """Close or count a boot where a step decides that."""
        if step.step is Step.DONE:
            boot.outcome = BootOutcome.INSTALLED
            self._end(boot, step.at, changes)
        elif not boot.is_open:
            if boot.outcome is BootOutcome.SECURE_BOOT:
                # What came late may show that the loader ran after all.
                boot.outcome = final_outcome(boot, targets)
        elif step.step is Step.SCRIPT and step.detail == LOCAL_DISK:
            boot.outcome = BootOutcome.LOCAL_DISK
            self._end(boot, step.at, changes)
        elif is_certain(boot, targets):
            boot.outcome = BootOutcome.RUNNING
            self._count(boot, changes)
        elif boot.outcome is BootOutcome.SECURE_BOOT and not is_refused(boot):
            boot.outcome = BootOutcome.RUNNING

    def _close(self, boot: Boot, at: float, targets: Targets, changes: Changes) -> None:
        if not boot.counted:
            boot.outcome = final_outcome(boot, targets)
        self._end(boot, at, changes)

    def _end(self, boot: Boot, at: float, changes: Changes) -> None:
        boot.closed = boot.closed or at
        changes.boots[boot.number] = boot
        self._count(boot, changes)

    def _count(self, boot: Boot, changes: Changes) -> None:
        if not boot.counted:
            boot.counted = True
            changes.boots[boot.number] = boot
            changes.counted.append(boot)


_DHCP_STEPS = frozenset({Step.DISCOVERED, Step.OFFERED, Step.ACKED, Step.ADDRESSED, Step.SYSTEM_UP})


def _knows_machine(told: BootEvent | BootStep) -> bool:
    """Tell whether an address was seen to be a machine's.

    In its own DHCP request, or when it said so and was believed. Who takes a file is read from the
    neighbour table, where a Wi-Fi bridge stands for all that is behind it.
    """
    is_script = told.service == "catalog" and told.step in {Step.SCRIPT, Step.MENU}
    return told.step in _DHCP_STEPS or is_script


def _place(boot: Boot, step: BootStep) -> int:
    """Find where a step belongs: after all that were not later."""
    return sum(known.at <= step.at for known in boot.steps)


def _is_wanted(boot: Boot, step: BootStep) -> bool:
    """Tell whether a step is told: all of them, but in a boot with very many only what is new."""
    if len(boot.steps) < MAX_STEPS:
        return True
    kind = (step.step, step.stage, step.outcome, step.path)
    return len(boot.steps) < 2 * MAX_STEPS and all(
        kind != (known.step, known.stage, known.outcome, known.path) for known in boot.steps
    )


def _remember(kept: OrderedDict[K, V], key: K, value: V, limit: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > limit:
        kept.popitem(last=False)
