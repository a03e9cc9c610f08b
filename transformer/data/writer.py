"""Writes the files of an encoded corpus so that a kill costs no more than the shard in progress."""

from __future__ import annotations

import json
import pathlib

import numpy as np

from transformer.data import shards
from transformer.data.place import sync
from transformer.error import UserError

SHARD = 1 << 23  # tokens after which the work is made safe
JOURNAL = "shards.jsonl"
UNITS = ("tokens", "documents", "bytes")


class Writer:
    """Appends to the files of a corpus; after each shard, everything up to it is safely on disk.

    The journal has a line for every finished shard, written after its bytes. On opening, whatever
    lies behind the last shard that still has its checksum is cut off.

    Attributes:
      pieces: how many pieces of the source the finished shards hold.
    """

    def __init__(self, directory: pathlib.Path, tokenizer):
        self._directory, self._tokenizer = directory, tokenizer
        self._dtype = shards.token_type(tokenizer.size)
        self._done = self._sound(_lines(directory / JOURNAL))
        self._shard = _empty()
        self._totals = {unit: sum(shard[unit] for shard in self._done) for unit in UNITS}
        self.pieces = sum(shard["pieces"] for shard in self._done)
        self._files = {file: self._opened(file) for file in shards.FILES}
        ends = np.fromfile(directory / shards.FILES["ends"], "<i8")[-1:]
        self._end = int(ends[0]) if ends.size else 0  # of the last document written
        self._journal = (directory / JOURNAL).open("w", encoding="utf-8")
        self._journal.writelines(json.dumps(shard) + "\n" for shard in self._done)

    def add(self, ids: np.ndarray, counts: np.ndarray, sizes: np.ndarray, last: np.ndarray) -> None:
        """Appends some pieces.

        Args:
          ids: the ids of all of them, one after the other.
          counts, sizes: int64 [pieces], tokens and UTF-8 bytes of each.
          last: bool [pieces], whether a document ends with it. One without tokens leaves no trace.
        Raises:
          UserError: an id that the vocabulary does not have.
        """
        self._check(ids)
        before, held = self.totals(), dict(self._shard)
        ends = (before["tokens"] + np.cumsum(counts))[last]
        kept = np.diff(ends, prepend=self._end) > 0
        self._end = int(ends[kept][-1]) if kept.any() else self._end
        self._files["tokens"].write(ids.astype(self._dtype).tobytes())
        self._files["ends"].write(ends[kept].astype("<i8").tobytes())
        byte_ends = (before["bytes"] + np.cumsum(sizes))[last]
        self._files["sizes"].write(byte_ends[kept].astype("<i8").tobytes())
        for unit, amount in (("tokens", ids.size), ("documents", int(kept.sum())),
                             ("bytes", int(sizes.sum())), ("pieces", len(counts))):
            self._shard[unit] += amount
        self._totals = {unit: before[unit] + self._shard[unit] - held[unit] for unit in UNITS}
        if self._shard["tokens"] >= SHARD:
            self._close_shard()

    def totals(self) -> dict[str, int]:
        """Tokens, documents and UTF-8 bytes so far."""
        return dict(self._totals)

    def finish(self) -> dict:
        """What meta.json says about the corpus; the files are complete and on disk.

        Raises:
          UserError: there was no token at all.
        """
        if self._shard["pieces"]:
            self._close_shard()
        if not self.totals()["tokens"]:
            raise UserError("the source holds no text that gives any token")
        for file in (*self._files.values(), self._journal):
            file.close()
        return {
            "format": shards.FORMAT, "dtype": self._dtype.str, **self.totals(),
            "vocabulary": self._tokenizer.size, "tokenizer": self._tokenizer.fingerprint,
            "minimum": min(shard["minimum"] for shard in self._done),
            "maximum": max(shard["maximum"] for shard in self._done), "shards": self._done,
        }

    def _check(self, ids: np.ndarray) -> None:
        if not ids.size:
            return
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= self._tokenizer.size:
            raise UserError(f"the tokenizer gave id {low if low < 0 else high}, but its vocabulary "
                            f"has {self._tokenizer.size}")
        held = self._shard
        held["minimum"] = low if held["maximum"] < 0 else min(low, held["minimum"])
        held["maximum"] = max(high, held["maximum"])

    def _close_shard(self) -> None:
        for file in self._files.values():
            sync(file)
        shard, item = self._shard, self._dtype.itemsize
        shard["maximum"] = max(shard["maximum"], 0)
        shard["crc32"] = shards.shard_sum(
            self._directory, [*self._done, shard], len(self._done), item)
        self._journal.write(json.dumps(shard) + "\n")
        sync(self._journal)
        self._done.append(shard)
        self._shard = _empty()

    def _sound(self, done: list[dict]) -> list[dict]:
        """The finished shards up to the first whose bytes are not all there."""
        for number, shard in enumerate(done):
            try:
                found = shards.shard_sum(self._directory, done, number, self._dtype.itemsize)
            except OSError:
                return []
            if found != shard["crc32"]:
                return done[:number]
        return done

    def _opened(self, file: str):
        stream = (self._directory / shards.FILES[file]).open("ab")
        stream.truncate(shards.extent(file, self._done, self._dtype.itemsize))
        return stream


def _empty() -> dict[str, int]:
    return {"tokens": 0, "documents": 0, "bytes": 0, "pieces": 0, "minimum": 0, "maximum": -1}


def _lines(journal: pathlib.Path) -> list[dict]:
    """The shards of a journal; a last line that was cut short does not count."""
    text = journal.read_text(encoding="utf-8") if journal.exists() else ""
    whole = text[:text.rfind("\n") + 1]
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except ValueError:
        return []
