"""Packing: whole documents side by side in a row, planned once for every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transformer.data import order
from transformer.data.corpus import Corpus
from transformer.data.epochs import Epochs
from transformer.data.fingerprint import digest
from transformer.data.items import items_of, side
from transformer.data.plan import FORMAT, best_fit, kept
from transformer.data.rowset import Example, Rows, RowsSpec
from transformer.error import UserError
from transformer.spec import Count

IN_ORDER = -1  # the epoch of evaluation, whose documents are not shuffled
SMALL = 1 << 13  # pieces; a plan of fewer is made again faster than it is worth a file


class Packed(RowsSpec):
    """Documents packed whole by best fit; one longer than a row is cut into pieces.

    Each epoch shuffles the documents and plans its rows anew. Examples with a source
    (`source_tokens`) are packed by both lengths; `segments` and `source_segments` then agree.

    Attributes:
      opening: special piece before each document or piece of one, such as "cls"; its end is eos.
      source_length: S, tokens of the source side of a row; None is `length`. Unused by a corpus.
    """

    opening: str | None = None
    source_length: Count | None = None

    def check(self) -> None:
        if self.opening and self.length < 2:
            raise UserError(f"Packed.length is {self.length}, but an opening needs at least 2")

    def build(self, data: Corpus | Sequence[Example], lookahead: int = 0, tokenizer=None) -> Rows:
        """Rows of {tokens, segments, positions}, int32 [length + lookahead], and `source_*` [S].

        Args:
          data: a corpus, or examples of `tokens [t]` and optionally `source_tokens [s]`.
          tokenizer: gives the padding id for examples; a corpus has its own.
        Raises:
          UserError: an example is longer than a row (its number), or cannot be packed.
        """
        items = items_of(data, tokenizer, (self.length, lookahead), self.opening)
        return PackedRows(self, items, lookahead)


class PackedRows(Rows):
    """Rows of items side by side, each a segment with positions of its own."""

    def __init__(self, spec: Packed, items, lookahead: int):
        super().__init__(spec, items.fingerprint, items.tokenizer, lookahead)
        self._items = items
        self._capacity = np.array([spec.length + lookahead, spec.source_length or spec.length])
        self._check()
        self._epochs = Epochs(self._planned, lambda table: int(table[0]))

    @property
    def count(self) -> int:
        return int(self._epochs.table(IN_ORDER, 0)[0])

    def example(self, row: int, width: int = 0) -> Example:
        return self._row(self._epochs.table(IN_ORDER, 0), row)

    def draw(self, number: int, batch: int, seed: int) -> Example:
        table, epoch, position = self._epochs.find(number, seed)
        row = order.permute(int(table[0]), position, order.key(seed, epoch, 1))
        return self._row(table, row)

    def _row(self, table: np.ndarray, row: int) -> Example:
        first = 2 + int(table[0])  # where the pieces begin in the table
        pieces = table[first + table[1 + row]:first + table[2 + row]]
        out, used = {}, [0, 0]
        for segment, n in enumerate(pieces.tolist(), 1):
            example = self._items[n]
            for name, array in example.items():
                self._place(out, name, array, segment, used[side(name)])
            used = np.add(used, self._items.sizes[n])
        return out

    def _place(self, out: Example, name: str, array: np.ndarray, segment: int, start: int) -> None:
        numbered = {name: array}
        if name.endswith("tokens"):
            numbered[name.replace("tokens", "segments")] = np.int32(segment)
            numbered[name.replace("tokens", "positions")] = np.arange(len(array), dtype=np.int32)
        for key, value in numbered.items():
            self._buffer(out, key, value.dtype)[start:start + len(array)] = value

    def _buffer(self, out: Example, name: str, dtype) -> np.ndarray:
        if name not in out:
            pad = self.pad if name.endswith("tokens") else 0
            out[name] = np.full(self._capacity[side(name)], pad, dtype)
        return out[name]

    def _check(self) -> None:
        names = self._items[0].keys()
        loose = sorted(names - self._items.aligned - {"tokens", "source_tokens"})
        if loose or self._items[0]["tokens"].ndim > 1:
            raise UserError(f"examples with {', '.join(loose) or 'choices'} cannot share a row; "
                            "use Padded instead of Packed")
        over = (self._items.sizes > self._capacity).any(1)
        if over.any():
            n = int(over.argmax())
            raise UserError(f"{self._items.name(n)} has {self._items.sizes[n].max()} tokens on one "
                            f"side, a row holds {self._capacity.tolist()}; raise the length")

    def _planned(self, epoch: int, seed: int) -> np.ndarray:
        """int64: the number of rows; where each row's pieces begin, and their end; the pieces."""
        count, directory = len(self._items), self._items.directory
        if directory is None or count < SMALL:
            return self._plan(epoch, seed)
        name = digest([FORMAT, self.fingerprint, epoch, seed])[:32]
        return kept(directory / "plans" / f"{name}.npy",
                    lambda table: len(table) == 2 + table[0] + count,
                    lambda: self._plan(epoch, seed))

    def _plan(self, epoch: int, seed: int) -> np.ndarray:
        sizes = self._items.sizes
        shuffle = np.arange(len(sizes)) if epoch == IN_ORDER else order.shuffled(
            len(sizes), order.key(seed, epoch))
        rows = best_fit(sizes[shuffle], self._capacity)
        by_row = np.argsort(rows, kind="stable")
        begins = np.searchsorted(rows[by_row], np.arange(rows.max() + 2))
        return np.concatenate([[len(begins) - 1], begins, shuffle[by_row]])
