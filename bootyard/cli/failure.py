"""What a command reports when it fails."""

import os

from bootyard.model.errors import BootyardError


class CommandFailed(BootyardError):
    """The thing that was asked for did not happen: why, and what to do about it."""

    def __init__(self, problem: str, cure: str | None = None) -> None:
        super().__init__(f"{problem}; {cure}" if cure else problem)
        self.problem = problem
        self.cure = cure


class CatalogUnreachable(CommandFailed):
    """The catalog does not answer; it may later."""


def error_reason(error: Exception) -> str:
    """Write in a few words why the operating system or a peer did not do something."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
