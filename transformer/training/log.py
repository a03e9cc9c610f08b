"""DIR/metrics.jsonl: one JSON object for each logged step, and the places that mirror it.

A line is one write, so a killed run tears at most the last one. Opening for a run that goes on
from step s repairs the file: torn lines and lines of steps after s go, since the run writes them
again. Numbers that are not finite have no spelling in JSON: the field is null, and
"not_finite": {"loss": "nan"} keeps what it was.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

from transformer.error import UserError

NAME = "metrics.jsonl"


class Log:
    """Appends to DIR/metrics.jsonl and hands each record to the mirrors.

    Args:
      directory: DIR, created if missing. restored: the step the run goes on from, None for a
        fresh start, which empties the file. mirrors: objects with `write(step, numbers)` and
        `close()`, such as `events.Events`.

    `dropped` is the number of lines that repair removed. Everything that belongs to step s must
    be written before the checkpoint of step s is, or a kill between the two leaves a gap.
    """

    def __init__(self, directory, restored: int | None = None, mirrors=()):
        self.path = Path(directory) / NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.dropped = _repair(self.path, -1 if restored is None else restored)
        self.mirrors = tuple(mirrors)
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_):
        self.close()

    def write(self, record: dict) -> None:
        """One line. `record` has an int `step`; values: numbers, text, None, scalar arrays.

        Raises:
          UserError: the disk is full.
        """
        plain = {name: _plain(value) for name, value in record.items()}
        try:
            _write_all(self._file, (_line(plain) + "\n").encode())
        except OSError as error:
            raise UserError(f"{self.path}: step {plain['step']} cannot be written: "
                            f"{error.strerror}") from error
        numbers = {name: value for name, value in plain.items()
                   if name != "step" and isinstance(value, (int, float))}
        for mirror in self.mirrors:
            mirror.write(plain["step"], numbers)

    def sync(self) -> None:
        """Makes what was written durable; call it before a checkpoint is saved."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)
        for mirror in self.mirrors:
            mirror.close()


class Silent:
    """The log of a process that writes none."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_):
        pass

    def write(self, record: dict) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""


def read_metrics(directory) -> list[dict]:
    """All whole records of DIR/metrics.jsonl in order, with NaN and infinities back in place."""
    path = Path(directory) / NAME
    found = (_parse(line) for line in path.read_bytes().splitlines())
    return [_with_odd(record) for record in found if record is not None]


def _repair(path: Path, last: int) -> int:
    """Rewrites the file without torn lines and without steps after `last`; how many went."""
    if not path.exists():
        return 0
    before = path.read_bytes()
    lines = before.splitlines()
    good = [line for line in lines
            if (record := _parse(line)) is not None and record["step"] <= last]
    after = b"".join(line + b"\n" for line in good)
    if after != before:
        fresh = path.with_name(NAME + ".tmp")
        with open(fresh, "wb") as file:
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return len(lines) - len(good)


def _parse(line: bytes) -> dict | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(record, dict) and isinstance(record.get("step"), int)
    return record if whole else None


def _line(record: dict) -> str:
    odd = {n: repr(v) for n, v in record.items() if isinstance(v, float) and not math.isfinite(v)}
    strict = {**record, **dict.fromkeys(odd)} | ({"not_finite": odd} if odd else {})
    return json.dumps(strict, allow_nan=False)


def _with_odd(record: dict) -> dict:
    odd = record.pop("not_finite", {})
    return record | {name: float(text) for name, text in odd.items()}


def _plain(value):
    return value.item() if hasattr(value, "item") else value


def _write_all(file: int, data: bytes) -> None:
    while data:  # one pass, but for a disk that fills up, where the next pass raises
        data = data[os.write(file, data):]
