"""The one exception for mistakes a user can cause and can repair, and how programs report it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path


class UserError(Exception):
    """One line that says what is wrong, where, and what to change.

    The programs print the line without a traceback (unless `--debug`) and exit with `status`.
    """

    status = 2


def require_folder(*paths: Path | None) -> None:
    """UserError unless the folder of every output exists: better now than after the work."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.parent}; make it, or choose another")


def guarded(command: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit status of `command(arguments)`: that of a UserError, after its line; 2 for a file
    that the system refuses; 130 for Ctrl-C.

    `--debug` among the arguments is taken out and keeps the traceback.
    """
    if "--debug" in arguments:
        return command([a for a in arguments if a != "--debug"])
    try:
        return command(arguments)
    except BrokenPipeError:  # `... | head`
        sys.stderr.close()
        return 141
    except BaseException as error:
        if (found := explained(error)) is None:
            raise
        line, status = found
        if line:
            print(line, file=sys.stderr)
        return status


def explained(error: BaseException) -> tuple[str, int] | None:
    """The line to print and the exit status; None where only a traceback explains it."""
    if isinstance(error, UserError):
        return f"error: {error}", error.status
    if isinstance(error, KeyboardInterrupt):
        return "", 128 + signal.SIGINT
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}", 2
    if type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error):
        return ("error: a device has not enough memory: " + str(error).splitlines()[0][:200] +
                "; cut the batch into more slices (--accumulate), recompute more (--run.remat=full)"
                " or split the model (--mesh.fsdp); `python -m transformer plan` says what fits"), 2
    return None
