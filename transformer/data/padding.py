"""Padding: one document or example in a row, in batches of a few fixed widths."""

from __future__ import annotations

import bisect
import sys
from collections.abc import Sequence
from typing import Literal

import numpy as np

from transformer.data import order
from transformer.data.corpus import Corpus
from transformer.data.items import items_of, side
from transformer.data.rowset import Example, Rows, RowsSpec
from transformer.error import UserError
from transformer.spec import Count


class Padded(RowsSpec):
    """One document of a corpus, or one example, in each row.

    Attributes:
      buckets: widths below `length`. A row is padded to the smallest that holds it and a batch has
        rows of one width; the source side is scaled alike. (): every row is `length` wide.
      opening: special piece before each document of a corpus, such as "cls"; its end is eos.
      source_length: S, the longest source side; None is `length`.
      too_long: what happens to longer ones; None truncates documents and refuses examples.
    """

    buckets: tuple[int, ...] = ()
    opening: str | None = None
    source_length: Count | None = None
    too_long: Literal["refuse", "truncate", "skip"] | None = None

    def check(self) -> None:
        widths = (0, *self.buckets, self.length + 1)
        if list(widths) != sorted(set(widths)):
            raise UserError(f"Padded.buckets are {self.buckets}, but they must rise and be at most "
                            f"the length, {self.length}")

    def build(self, data: Corpus | Sequence[Example], lookahead: int = 0, tokenizer=None) -> Rows:
        """Rows of the example's arrays, padded, with `segments` (and `source_segments`) added.

        Names in `data`: `tokens` [t] (choices: [C, t], `segments` saying where each ends), `types`,
        `source_*`, others with an entry per token, which are padded along; `spans` [n, 2] get zeros
        up to the largest n; all others pass unchanged. "where" is for messages only.

        Args:
          tokenizer: gives the padding id for examples; a corpus has its own.
        Raises:
          UserError: nothing to make rows of, or (with its place) one that is too long or odd.
        """
        items = items_of(data, tokenizer, opening=self.opening)
        return _Padded(self, items, lookahead, isinstance(data, Corpus))


class _Padded(Rows):
    def __init__(self, spec: Padded, items, lookahead: int, is_corpus: bool):
        super().__init__(spec, items.fingerprint, items.tokenizer, lookahead)
        self._items = items
        self._widths = sorted({*spec.buckets, spec.length})
        source = spec.source_length or spec.length
        self._source_widths = [-(-width * source // spec.length) for width in self._widths]
        kept = self._fitting(spec.too_long or ("truncate" if is_corpus else "refuse"))
        sizes = np.minimum(items.sizes[kept], [spec.length + lookahead, source])
        self._kept, self.count = kept, len(kept)
        self._bucket = np.maximum(
            np.searchsorted(np.add(self._widths, lookahead), sizes[:, 0]),
            np.searchsorted(self._source_widths, sizes[:, 1]))
        self._members = [np.flatnonzero(self._bucket == b) for b in range(len(self._widths))]

    def _fitting(self, too_long: str) -> np.ndarray:
        """Numbers of the items that become rows."""
        limits = [self._widths[-1] + self.lookahead, self._source_widths[-1]]
        over = (self._items.sizes > limits).any(1)
        if too_long == "truncate" or not over.any():
            return np.arange(len(over))
        first = int(over.argmax())
        more = self._items.sizes[first] - limits
        worse = int(more.argmax())
        message = (f"{self._items.name(first)} has {more[worse]} {('', 'source ')[worse]}tokens "
                   f"more than its row holds ({limits[worse]})")
        if too_long == "refuse" or over.all():
            raise UserError(f"{message}; raise the length, or set Padded.too_long")
        print(f"skipped {over.sum()} of {len(over)}: the first, {message}", file=sys.stderr)
        return np.flatnonzero(~over)

    def width(self, row: int) -> int:
        return self._widths[self._bucket[row]]

    def example(self, row: int, width: int = 0) -> Example:
        n = max(int(self._bucket[row]), bisect.bisect_left(self._widths, width))
        limits = self._widths[n] + self.lookahead, self._source_widths[n]
        number = int(self._kept[row])
        out, items = {}, self._items
        for name, array in items[number].items():
            if name in items.aligned or name in ("tokens", "source_tokens"):
                fill = self.pad if name.endswith("tokens") else 0
                limit = limits[side(name)]
                out[name] = _fill(array, limit, fill)
                if name.endswith("tokens"):
                    out.setdefault(name.replace("tokens", "segments"),
                                   _fill(np.ones_like(array), limit, 0))
            else:
                out[name] = _fill(array.T, items.largest_spans, 0).T if name == "spans" else array
        if np.any(out.get("pooled", 0) >= limits[0]):
            raise UserError(f"{items.name(number)}: the position in `pooled` was truncated away; "
                            "raise the length")
        return out

    def draw(self, number: int, batch: int, seed: int) -> Example:
        """As in `Rows`; the rows of a bucket go on from epoch to epoch, so that all are drawn.

        Before epoch e a bucket of c rows has given floor(e c / batch) batches. Inside an epoch the
        order of the batches is shuffled over all buckets.
        """
        if not self.spec.buckets:
            return super().draw(number, batch, seed)
        counts = [len(members) for members in self._members]
        batches, place = divmod(number, batch)

        def given(epoch: int) -> int:
            return sum(epoch * count // batch for count in counts)

        low = batches * batch // self.count
        high = (batches + len(counts)) * batch // self.count + 2
        epoch = bisect.bisect_right(range(low, high), batches, key=given) + low - 1
        now = [(epoch + 1) * count // batch - epoch * count // batch for count in counts]
        left = order.permute(sum(now), batches - given(epoch), order.key(seed, epoch, 1))
        bucket = 0
        while left >= now[bucket]:
            left, bucket = left - now[bucket], bucket + 1
        drawn = (epoch * counts[bucket] // batch + left) * batch + place
        lap, position = divmod(drawn, counts[bucket])
        position = order.permute(counts[bucket], position, order.key(seed, lap, bucket, 2))
        return self.example(int(self._members[bucket][position]))


def _fill(array: np.ndarray, width: int, value: int) -> np.ndarray:
    """`array` cut or filled up to `width` along its last axis."""
    out = np.full((*array.shape[:-1], width), value, array.dtype)
    out[..., :array.shape[-1]] = array[..., :width]
    return out
