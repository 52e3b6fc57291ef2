"""What people are told about a boot that did not go as it should. Pure."""

from bootyard.model.events import BootOutcome
from services.catalog.boots.attempts import Attempt, attempts_of
from services.catalog.boots.boot import Boot


def verdict(boot: Boot) -> str | None:
    """Explain a boot in a sentence; None where its steps say it all."""
    attempts = attempts_of(boot)
    if not attempts or boot.outcome in {BootOutcome.LOCAL_DISK, BootOutcome.INSTALLED}:
        return None
    last = attempts[-1]
    if boot.outcome is BootOutcome.SECURE_BOOT:
        return (
            f"Secure Boot, probably: the firmware took {last.path} to its end and did not start it;"
            " it gets the signed chain from now on, where there is one"
        )
    loops = _loops(attempts)
    if loops == 0 or last.reached is not None:
        return None
    times = "once" if loops == 1 else f"{loops} times"
    return f"{last.path} led back to the firmware ({times}); another loader is tried next"


def _loops(attempts: list[Attempt]) -> int:
    """Count how often a loader was started, or not even that, and the firmware asked again."""
    return sum(attempt.came_back for attempt in attempts)
