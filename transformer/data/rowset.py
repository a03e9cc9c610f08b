"""What all rows share: examples of a fixed width, one by one, in order or drawn at random."""

from __future__ import annotations

import numpy as np

from transformer.data import order
from transformer.data.fingerprint import digest
from transformer.spec import Count, Spec, to_json

Example = dict[str, np.ndarray]


class Rows:
    """Random access to padded examples.

    An example is a dict of numpy arrays without a batch axis: `tokens` and `segments` (0 = padding)
    of `width + lookahead` each, `positions` where several documents share a row, and whatever else
    the data holds. Everything is a pure function of the data, the spec and the numbers given.

    Attributes:
      count: rows in one pass over the data.
      lookahead: tokens of a row beyond its width, which are only predicted.
      tokenizer: the one behind the data; None where examples were given without.
    """

    count: int

    def __init__(self, spec: Spec, data_fingerprint: str, tokenizer, lookahead: int):
        self.spec, self.lookahead, self.tokenizer = spec, lookahead, tokenizer
        self.pad = tokenizer.special.get("pad", 0) if tokenizer else 0
        self.fingerprint = digest([to_json(spec), data_fingerprint, lookahead])

    def example(self, row: int, width: int = 0) -> Example:
        """Row `row` of the pass in order, at least `width` wide where widths vary."""
        raise NotImplementedError

    def width(self, row: int) -> int:
        """The width that `example(row)` has."""
        return self.spec.length

    def draw(self, number: int, batch: int, seed: int) -> Example:
        """Row `number` of the endless stream of rows that `seed` shuffles, anew in every epoch.

        Args:
          batch: rows in a batch; those of one batch have one width.
        """
        epoch, position = divmod(number, self.count)
        return self.example(order.permute(self.count, position, order.key(seed, epoch)))


class RowsSpec(Spec):
    """Base of the rows specs over data. `length`: tokens of a row, without the lookahead."""

    length: Count
