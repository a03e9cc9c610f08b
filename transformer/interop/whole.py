"""Directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from transformer.error import UserError
from transformer.training.manifest import sync_directory


def require_free(target: Path) -> None:
    """UserError unless a directory can be made there. An empty one counts as free."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists; remove it, or name another place")
    if not target.absolute().parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.absolute().parent}; make it first")


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A directory to fill beside `target`, which takes its place in the end. An error removes it.

    Raises:
      UserError: see `require_free`.
    """
    target = target.absolute()
    require_free(target)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        _sync(temporary)
        if target.exists():
            target.rmdir()
        temporary.rename(target)
        sync_directory(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _sync(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    for folder in (directory, *(path for path in directory.rglob("*") if path.is_dir())):
        sync_directory(folder)
