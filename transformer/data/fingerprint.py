"""Fingerprints: sha256 names for data, so that a cache never serves what it was not made from."""

from __future__ import annotations

import hashlib
import json
import pathlib

from transformer.data import lines

WHOLE = 256 << 20  # bytes; up to this total, files are known by their content
EDGE = 1 << 20  # bytes read at either end of each file above that total


def digest(value) -> str:
    """Hex sha256 of a JSON-ready value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def of_files(files: list[pathlib.Path]) -> str:
    """Hex sha256 of some files, in their order; of their names only what decides how they are read.

    Small collections are read whole, so that a copied or touched file keeps its fingerprint. Above
    `WHOLE` a file counts by its size, its time of change and its first and last bytes.

    Raises:
      UserError: a file cannot be read.
    """
    forms = [[lines.suffix(file), file.suffix in lines.COMPRESSED] for file in files]
    try:
        return digest([forms, _contents(files)])
    except OSError as error:
        raise lines.unreadable(error, str(files[0])) from None


def _contents(files: list[pathlib.Path]) -> list:
    stats = [file.stat() for file in files]
    if sum(stat.st_size for stat in stats) <= WHOLE:
        return [_content(file) for file in files]
    return [[stat.st_size, stat.st_mtime_ns, _edges(file)] for file, stat in zip(files, stats)]


def _content(file: pathlib.Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _edges(file: pathlib.Path) -> str:
    with file.open("rb") as stream:
        head = stream.read(EDGE)
        stream.seek(max(stream.seek(0, 2) - EDGE, 0))
        return hashlib.sha256(head + stream.read()).hexdigest()
