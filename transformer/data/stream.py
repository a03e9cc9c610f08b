"""Streams: the global batch of step n, as a pure function of (data, seed, n)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from transformer.data import order
from transformer.data.fingerprint import digest
from transformer.data.rowset import Example, Rows
from transformer.error import UserError
from transformer.spec import to_json

Batch = dict[str, np.ndarray]

ENDLESS = 1 << 62  # rows
AHEAD = 8  # batches made ready beforehand
PREPARE, EVALUATE = 1, 2  # keep their random numbers apart
FORMAT = 1  # of the order of rows; a change makes other batches of the same data


class Stream:
    """Shuffled, prepared batches, for as many epochs as are asked for.

    `stream[n]` is the batch of step n: arrays with B rows first, and `index` int32, the number of
    each example in the stream, n B + r (modulo 2^31). Rows run on across epochs, each of which has
    an order of its own. An example with C choices becomes C rows, numbered (n B + r) C + c; its
    `labels` stay [B]. No state is kept: any step, and any slice of a batch, can be made anywhere.

    Attributes:
      rows_per_epoch: rows in one pass over the data.
      fingerprint: hex sha256 of everything that the batches depend on.
    """

    def __init__(self, rows: Rows, objective, batch: int, seed: int = 0):
        """
        Args:
          rows: what `build` of a rows spec made, with this objective's lookahead.
          objective: its `prepare(example, rng, tokenizer)` makes the arrays of a row.
          batch: B, examples in a batch over all hosts.
        Raises:
          UserError: a batch of less than one example.
        """
        if batch < 1:
            raise UserError(f"the batch is {batch}, but it must be at least 1")
        if rows.lookahead != objective.lookahead:
            raise ValueError(f"rows with lookahead {rows.lookahead} for {objective!r}")
        self._rows, self._objective, self._seed = rows, objective, seed
        self.batch, self.rows_per_epoch, self._datasets = batch, rows.count, {}
        self.fingerprint = digest([FORMAT, rows.fingerprint, to_json(objective), batch, seed])

    def __getitem__(self, step: int) -> Batch:
        return self.rows(step)

    def rows(self, step: int, start: int = 0, stop: int | None = None) -> Batch:
        """Examples `start` to before `stop` of the batch of a step; no other is computed."""
        if step < 0:
            raise IndexError(f"step {step} of a stream")
        return self.dataset(range(start, self.batch if stop is None else stop))[step]

    def dataset(self, wanted: Sequence[int] | None = None):
        """The stream as a `grain.MapDataset` of batches, or of the wanted rows of every batch."""
        wanted = range(self.batch) if wanted is None else wanted
        if wanted not in self._datasets:
            self._datasets[wanted] = self._dataset(wanted)
        return self._datasets[wanted]

    def _dataset(self, wanted: Sequence[int]):
        import grain

        if not wanted or not 0 <= min(wanted) <= max(wanted) < self.batch:
            raise ValueError(f"{wanted} are not rows of a batch of {self.batch}")
        width = len(wanted)
        numbers = grain.MapDataset.range(ENDLESS // self.batch * width)
        numbers = numbers.map(lambda n: n // width * self.batch + wanted[n % width])
        return numbers.map(self._drawn).batch(width, batch_fn=stack)

    def iterate(self, first: int = 0, threads: int = 1,
                wanted: Sequence[int] | None = None) -> Iterator[Batch]:
        """The batches of steps `first`, `first` + 1, ... without end, made ready in the background.

        Args:
          threads: that make batches; 0 makes each when it is asked for. More than the cores harm.
          wanted: the rows of every batch that are made here, a range or a tuple; None for all.
        """
        import grain

        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=AHEAD)
        return iter(self.dataset(wanted)[first:].to_iter_dataset(options))

    def evaluation(self, batch: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Every row exactly once, in order; random numbers depend on the row alone.

        The last batch is filled up with rows that are zero throughout, `segments` and `weights`
        included; their `index` is -1.
        """
        count = self._rows.count
        for first in range(0, count, batch):
            within = range(first, min(first + batch, count))
            width = max(self._rows.width(row) for row in within)
            wanted = range(first, first + batch)[start:stop]
            yield stack([self._evaluated(row, width) for row in wanted])

    def _drawn(self, number: int) -> Example:
        example = self._rows.draw(number, self.batch, self._seed)
        return self._prepared(example, number, order.generator(self._seed, PREPARE, number))

    def _evaluated(self, row: int, width: int) -> Example:
        real = min(row, self._rows.count - 1)
        example = self._rows.example(real, width)
        out = self._prepared(example, real, order.generator(EVALUATE, real))
        if row == real:
            return out
        blank = {name: np.zeros_like(array) for name, array in out.items()}
        return blank | {"index": np.full_like(out["index"], -1)}

    def _prepared(self, example: Example, number: int, rng: np.random.Generator) -> Example:
        out = self._objective.prepare(example, rng, self._rows.tokenizer)
        choices = len(out["tokens"]) if out["tokens"].ndim == 2 else 1
        index = (number * choices + np.arange(choices)) % 2**31
        index = index if out["tokens"].ndim == 2 else index[0]
        return out | {"index": np.asarray(index, np.int32)}


def stack(examples: list[Example]) -> Batch:
    """One array [B, ...] for each name; with tokens [C, T], all but `labels` become [B C, ...]."""
    batch = {name: np.stack([example[name] for example in examples]) for name in examples[0]}
    if batch["tokens"].ndim < 3:
        return batch
    choices = batch["tokens"].shape[1]
    return {name: array.reshape(-1, *array.shape[2:])
            if name != "labels" and array.ndim > 1 and array.shape[1] == choices else array
            for name, array in batch.items()}


def row_digests(batch: Batch) -> list[bytes]:
    """The sha256 of each example of a batch, all of its arrays together."""
    rows = min(len(array) for array in batch.values())
    digests = [hashlib.sha256() for _ in range(rows)]
    for name in sorted(batch):
        array = np.ascontiguousarray(batch[name]).reshape(rows, -1)
        for digest_of_row, row in zip(digests, array):
            digest_of_row.update(f"{name} {array.dtype.str} {array.shape[1]}\n".encode())
            digest_of_row.update(row.tobytes())
    return [digest_of_row.digest() for digest_of_row in digests]


def batch_hash(batch: Batch) -> str:
    """Hex sha256 over the digests of the examples, in their order."""
    return hashlib.sha256(b"".join(row_digests(batch))).hexdigest()
