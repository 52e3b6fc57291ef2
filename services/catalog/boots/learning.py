"""What is learned of a machine from its boots: how it takes offers, Secure Boot, dead ends. Pure.

Evidence is kept by its time, and what it says is concluded from all of it: events come late, twice
and out of order, and the same evidence always says the same. Times are seconds since 1970.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from bootyard.model.events import BootOutcome
from bootyard.model.loaders import LoaderName, OfferStrategy
from bootyard.model.mac import MACAddress
from bootyard.model.snapshot import Learned
from services.catalog.boots.attempts import (
    Attempt,
    attempts_of,
    is_dead_end,
    is_decided,
    is_refusal,
    taken_offer,
)
from services.catalog.boots.boot import Boot

MAX_MACHINES = 4096
"""The least recently changed one is forgotten first."""
MAX_FAILURES = 8
"""Of each kind, of one machine."""
DEAD_END_SECONDS = 600.0
"""So long after the last dead end a machine gets its first loader again: it is never locked out."""
CLOCK_SLACK_SECONDS = 60.0
"""A dead end further in the future was noted before the clock was set back."""
LONGEST_SECONDS = DEAD_END_SECONDS + CLOCK_SLACK_SECONDS
REVIEW_SECONDS = 2.0
"""How often boots are looked at that silence may decide."""


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """A loader that was taken to the end at `at`, in a boot, and failed."""

    at: float
    boot: int
    loader: LoaderName


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one machine's boots gave evidence of, by time."""

    offer: OfferStrategy | None = None
    offer_at: float = 0.0
    refused: tuple[Failure, ...] = ()
    """Unsigned loaders that its firmware did not start."""
    dead_ends: tuple[Failure, ...] = ()
    """Loaders that led nowhere."""
    unsigned_ran: float = 0.0
    signed_ran: float = 0.0
    worked: float = 0.0
    """When a boot last came to a menu, a kernel or the local disk, through any loader."""

    def learned(self, now: float) -> Learned:
        """Conclude what proxydhcp goes by."""
        return Learned(
            offer=self.offer,
            secure_boot=self._secure_boot(),
            dead_ends=self._dead_ends(now),
        )

    def forgets_at(self, now: float) -> float | None:
        """Tell when time alone will change what is concluded."""
        at = self._last_dead_end() + DEAD_END_SECONDS
        return at if self._dead_ends(now) else None

    def _secure_boot(self) -> Literal["probable", "confirmed"] | None:
        since_it_ran = [failure.at for failure in self.refused if failure.at > self.unsigned_ran]
        if not since_it_ran:
            return None
        return "confirmed" if self.signed_ran > min(since_it_ran) else "probable"

    def _last_dead_end(self) -> float:
        return max((failure.at for failure in self.dead_ends), default=0.0)

    def _dead_ends(self, now: float) -> tuple[LoaderName, ...]:
        if not now - DEAD_END_SECONDS < self._last_dead_end() <= now + CLOCK_SLACK_SECONDS:
            return ()
        names = {failure.loader for failure in self.dead_ends if failure.at > self.worked}
        return tuple(name for name in LoaderName if name in names)


NOTHING = Evidence()


def learn(before: Evidence, boot: Boot, now: float) -> Evidence:
    """Take in what a boot says by now, in place of what the same boot said before."""
    before = _not_ahead(before, now)
    attempts, quiet = attempts_of(boot), now - boot.heard
    offer, offer_at = before.offer, before.offer_at
    taken = taken_offer(boot)
    if taken is not None and taken[1] >= offer_at:
        offer, offer_at = taken
    ran = [attempt for attempt in attempts if attempt.alive is not None]
    return Evidence(
        offer=offer,
        offer_at=offer_at,
        refused=_failures(before.refused, boot, attempts, is_refusal, quiet),
        dead_ends=_failures(
            before.dead_ends, boot, attempts, lambda a, silence: is_dead_end(a, now, silence), quiet
        ),
        unsigned_ran=max(
            (before.unsigned_ran, *(a.alive or 0.0 for a in ran if not a.is_signed)),
        ),
        signed_ran=max((before.signed_ran, *(a.asked or 0.0 for a in ran if a.second_stage))),
        worked=max((before.worked, *(a.reached or 0.0 for a in ran))),
    )


def _not_ahead(evidence: Evidence, now: float) -> Evidence:
    """Take times back that were noted before the clock was: they would hide all that is new."""
    failures = (*evidence.refused, *evidence.dead_ends)
    times = (evidence.offer_at, evidence.unsigned_ran, evidence.signed_ran, evidence.worked)
    if max((*times, *(failure.at for failure in failures))) <= now + CLOCK_SLACK_SECONDS:
        return evidence
    return Evidence(
        offer=evidence.offer,
        offer_at=min(evidence.offer_at, now),
        refused=_until(evidence.refused, now),
        dead_ends=_until(evidence.dead_ends, now),
        unsigned_ran=min(evidence.unsigned_ran, now),
        signed_ran=min(evidence.signed_ran, now),
        worked=min(evidence.worked, now),
    )


def _until(failures: tuple[Failure, ...], now: float) -> tuple[Failure, ...]:
    return tuple(msgspec.structs.replace(f, at=min(f.at, now)) for f in failures)


def _failures(
    before: tuple[Failure, ...],
    boot: Boot,
    attempts: list[Attempt],
    fails: Callable[[Attempt, float], bool],
    quiet: float,
) -> tuple[Failure, ...]:
    """Put what failed in a boot in the place of what is known of the same boot.

    What silence told once, only a sign of life takes back.
    """
    others = tuple(failure for failure in before if failure.boot != boot.number)
    if boot.outcome is BootOutcome.LOCAL_DISK:
        # It was left on purpose: what firmware tries on its way to the disk proves nothing.
        return others
    known = {failure.at for failure in before if failure.boot == boot.number}
    found = (
        Failure(attempt.taken, boot.number, attempt.loader)
        for attempt in attempts
        if fails(attempt, math.inf if attempt.taken in known else quiet)
    )
    return tuple(sorted((*others, *found), key=lambda failure: failure.at)[-MAX_FAILURES:])


class Change(msgspec.Struct, frozen=True):
    """What became known of a machine; None: it was forgotten."""

    mac: MACAddress
    evidence: Evidence | None
    is_urgent: bool
    """Its next boot depends on it."""


class Learning:
    """What is known of every machine, and the boots that are not decided yet."""

    def __init__(self, known: Iterable[tuple[MACAddress, Evidence]] = (), now: float = 0.0) -> None:
        """Go on with what was `known`, the least recently changed first."""
        self._evidence: OrderedDict[MACAddress, Evidence] = OrderedDict(known)
        self._learned: dict[MACAddress, Learned] = {}
        self._undecided: dict[int, Boot] = {}
        self._forgets: dict[MACAddress, float] = {}
        for mac, evidence in self._evidence.items():
            self._conclude(mac, evidence, now, changed=False)

    @property
    def learned(self) -> Mapping[MACAddress, Learned]:
        """What is concluded of each machine of which anything is."""
        return self._learned

    def evidence(self, mac: MACAddress) -> Evidence:
        """Look up what is known of a machine."""
        return self._evidence.get(mac, NOTHING)

    def observe(self, boot: Boot, now: float) -> list[Change]:
        """Learn from a boot that changed."""
        changes = self._learn(boot, now)
        if not is_decided(boot, now):
            self._undecided[boot.number] = boot
        return changes

    def review(self, now: float) -> tuple[list[Boot], list[Change]]:
        """Learn from silence; gives the boots that were looked at, too."""
        boots = list(self._undecided.values())
        changes = [change for boot in boots for change in self._learn(boot, now)]
        self._undecided = {b.number: b for b in boots if not is_decided(b, now)}
        # A time far ahead was noted before the clock was set back.
        due = [m for m, at in self._forgets.items() if not 0 < at - now <= LONGEST_SECONDS]
        for mac in due:
            changes += self._conclude(mac, self._evidence[mac], now, changed=False)
        return boots, changes

    def _learn(self, boot: Boot, now: float) -> list[Change]:
        before = self.evidence(boot.mac)
        after = learn(before, boot, now)
        if after == before:
            return []
        self._evidence[boot.mac] = after
        self._evidence.move_to_end(boot.mac)
        changes = self._conclude(boot.mac, after, now, changed=True)
        while len(self._evidence) > MAX_MACHINES:
            forgotten, _ = self._evidence.popitem(last=False)
            self._forgets.pop(forgotten, None)
            self._learned.pop(forgotten, None)
            changes.append(Change(forgotten, None, is_urgent=False))
        return changes

    def _conclude(
        self, mac: MACAddress, evidence: Evidence, now: float, *, changed: bool
    ) -> list[Change]:
        before = self._learned.get(mac, Learned())
        after = evidence.learned(now)
        if after == Learned():
            self._learned.pop(mac, None)
        else:
            self._learned[mac] = after
        self._forgets.pop(mac, None)
        forgets_at = evidence.forgets_at(now)
        if forgets_at is not None:
            self._forgets[mac] = forgets_at
        is_urgent = (before.secure_boot, before.dead_ends) != (after.secure_boot, after.dead_ends)
        return [Change(mac, evidence, is_urgent)] if changed or before != after else []
