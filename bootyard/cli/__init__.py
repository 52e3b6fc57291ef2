"""The `bootyard` command: starts the services, asks and changes the catalog over its API.

Exit status: 0 done, 1 the thing failed, 2 wrong usage. Errors are one line on stderr: what failed,
and the cure. Read `app.py` (the commands' frame), then a command's file, then `api.py`.
"""

import sys

import typer

from bootyard.cli.app import app
from bootyard.model.errors import BootyardError, SettingsInvalid


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit status."""
    try:
        status = app(arguments, prog_name="bootyard", standalone_mode=False)
    except typer.TyperException as error:
        _complain(_usage_problem(error))
        return error.exit_code
    except SettingsInvalid as error:
        for problem in error.problems:
            _complain(problem)
        return 2
    except BootyardError as error:
        _complain(str(error))
        return 1
    return status if isinstance(status, int) else 0


def _usage_problem(error: typer.TyperException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    message = message[:1].lower() + message[1:]
    command = getattr(getattr(error, "ctx", None), "command_path", None)
    return f"{message}; see `{command} --help`" if command and message else message


def _complain(problem: str) -> None:
    if problem:  # a command that was given nothing at all has printed its help
        print(f"bootyard: {problem}", file=sys.stderr)
