"""Where derived data is kept, and how it gets there whole: locks, fsync, atomic names."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import time

from transformer.error import UserError

PATIENCE = 0.2  # seconds between two looks at a lock


def cache_root(given: str | os.PathLike | None = None) -> pathlib.Path:
    """The cache directory: `given`, else by the environment, else ~/.cache/transformer."""
    if given or os.environ.get("TRANSFORMER_CACHE"):
        return pathlib.Path(given or os.environ["TRANSFORMER_CACHE"]).expanduser().absolute()
    if os.environ.get("XDG_CACHE_HOME"):
        return pathlib.Path(os.environ["XDG_CACHE_HOME"]).absolute() / "transformer"
    try:
        return pathlib.Path.home() / ".cache" / "transformer"
    except RuntimeError:
        raise UserError("there is no home directory; set TRANSFORMER_CACHE") from None


@contextlib.contextmanager
def exclusive(directory: pathlib.Path):
    """Holds the right to make `directory`; waits while another process has it.

    The lock dies with its process, however that dies.
    """
    import fcntl

    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(directory.name + ".lock").open("a+") as lock:
        told = False
        while not _taken(fcntl, lock):
            if not told:
                lock.seek(0)
                print(f"waiting for process {lock.read().strip()}, which is making {directory}",
                      file=sys.stderr)
                told = True
            time.sleep(PATIENCE)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _taken(fcntl, lock) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync(target) -> None:
    """Flushes an open file, or the entries of a directory, down to the disk."""
    if isinstance(target, pathlib.Path):
        handle = os.open(target, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    else:
        target.flush()
        os.fsync(target.fileno())
