"""The one exception for mistakes a user can cause and can repair, and how programs report it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

ON_CHIP = ("vmem", "smem", "shared memory")  # what a kernel asks too much of is its own fault


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
    if told := _out_of_memory(error):
        error = UserError(told)
    if isinstance(error, UserError):
        return f"error: {error}", error.status
    if isinstance(error, KeyboardInterrupt):
        return "", 128 + signal.SIGINT
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}", 2
    return None


def _out_of_memory(error: BaseException) -> str | None:
    """What to do about a device whose memory does not suffice; None for any other error."""
    if type(error).__name__ != "JaxRuntimeError":  # by name: jax may not be loaded, or by half
        return None
    line = (str(error).strip() or "?").splitlines()[0]
    if "RESOURCE_EXHAUSTED" not in line or any(name in line.lower() for name in ON_CHIP):
        return None
    return (f"the memory of a device does not suffice ({line[:200]}); use a larger --accumulate or "
            "a smaller --batch, --run.remat=full, or a mesh over more devices (--mesh.fsdp=N); "
            "`python -m transformer plan` tells what fits")
