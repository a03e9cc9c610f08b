"""The manifest of a checkpoint: every file with its size and sha256, and facts about the run.

Orbax restores flipped bits of its array files without a word, so a step counts as good only when
each file is what the manifest says. The manifest seals itself: it is one canonical JSON text that
ends in the sha256 of the rest.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from transformer.error import UserError

NAME = "manifest.json"
FORMAT = 1
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def write(directory: Path, facts: dict) -> None:
    """Hashes and syncs every file below `directory`, writes the manifest and reads it back.

    Raises:
      OSError: a file cannot be written, or the manifest read back is not the one written.
    """
    names = sorted(_files(directory))
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(lambda name: _digest(directory / name, sync=True), names))
    body = {"format": FORMAT, **facts, "versions": versions(),
            "files": dict(zip(names, map(list, digests)))}
    with open(directory / NAME, "w", encoding="utf-8") as file:
        file.write(_text(body))
        file.flush()
        os.fsync(file.fileno())
    for folder in {directory, *(d for d in directory.rglob("*") if d.is_dir())}:
        sync_directory(folder)
    if read(directory)["files"] != body["files"]:
        raise OSError(f"{directory / NAME} does not read back as it was written")


def read(directory: Path) -> dict:
    """The facts and `files: {name: [bytes, sha256]}` of a step directory.

    Raises:
      UserError: there is no manifest, or it is not the text that was written.
    """
    path = Path(directory) / NAME
    try:
        text = path.read_bytes().decode("utf-8")
        tree = json.loads(text)
        body = {key: value for key, value in tree.items() if key != "seal"}
        if _text(body) == text and body["format"] == FORMAT:
            return body
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        pass
    raise UserError(f"{path}: damaged, or of another format than {FORMAT}")


def problems(directory: Path) -> list[str]:
    """What is wrong with a step directory, one line for each file; empty when it is good.

    Files that the manifest does not name are ignored.
    """
    directory = Path(directory)
    try:
        files = read(directory)["files"]
    except UserError as error:
        return [str(error)]
    with ThreadPoolExecutor(4) as pool:
        lines = pool.map(lambda item: _problem(directory, *item), files.items())
        return [line for line in lines if line]


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape a run."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def sync_directory(path: Path) -> None:
    """Makes the entries of a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _text(body: dict) -> str:
    plain = json.dumps(body, sort_keys=True, indent=1)
    seal = hashlib.sha256(plain.encode()).hexdigest()
    return json.dumps({**body, "seal": seal}, sort_keys=True, indent=1) + "\n"


def _files(directory: Path):
    for path in directory.rglob("*"):
        if path.is_file() and path.name != NAME:
            yield path.relative_to(directory).as_posix()


def _digest(path: Path, sync: bool = False) -> tuple[int, str]:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sync:
            os.fsync(file.fileno())
        return file.tell(), digest


def _problem(directory: Path, name: str, expected: list) -> str | None:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        return f"{directory / NAME}: {name!r} leads out of the checkpoint"
    path = directory / name
    try:
        size, digest = path.stat().st_size, None
        if size == expected[0]:
            digest = _digest(path)[1]
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    if digest is None:
        return f"{path}: {size} bytes where the manifest says {expected[0]}"
    return None if digest == expected[1] else f"{path}: sha256 differs from the manifest"
