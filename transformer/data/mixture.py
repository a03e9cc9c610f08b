"""Several sets of rows drawn as one, in fixed proportions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from transformer.data import order
from transformer.data.fingerprint import digest
from transformer.data.rowset import Example, Rows, RowsSpec
from transformer.error import UserError
from transformer.spec import Spec

PERIOD = 10_000  # rows after which the interleaving repeats; weights are rounded to its inverse


class Mixture(Spec):
    """Rows of several data sets, a fixed share of each, evenly interleaved.

    Each set is shuffled and repeated by itself. A pass in order is one set after the other.

    Attributes:
      weights: shares of the rows drawn, in any unit.
    """

    parts: tuple[RowsSpec, ...]
    weights: tuple[float, ...]

    def check(self) -> None:
        if len(self.parts) != len(self.weights) or not self.parts:
            raise UserError(f"Mixture has {len(self.parts)} parts and {len(self.weights)} weights, "
                            "but each part needs one weight")
        if not 0 < sum(self.weights) <= min(self.weights) * PERIOD < math.inf:
            raise UserError(f"Mixture.weights are {self.weights}, but no share may be below "
                            f"1 in {PERIOD:,}")
        if len({part.length for part in self.parts}) > 1 or any(
                getattr(part, "buckets", ()) for part in self.parts):
            raise UserError("the parts of a Mixture need one common length and no buckets")

    @property
    def length(self) -> int:
        return self.parts[0].length

    def build(self, data: Sequence, lookahead: int = 0, tokenizer=None) -> Rows:
        """Rows over one corpus (or sequence of examples) for each part.

        Raises:
          UserError: what the parts raise, or their rows or tokenizers differ in kind.
        """
        if len(data) != len(self.parts):
            raise UserError(f"Mixture has {len(self.parts)} parts, but there are {len(data)} data "
                            "sets")
        parts = [part.build(one, lookahead, tokenizer) for part, one in zip(self.parts, data)]
        return _Mixture(self, parts, lookahead)


class _Mixture(Rows):
    def __init__(self, spec: Mixture, parts: list[Rows], lookahead: int):
        first = parts[0]
        super().__init__(spec, digest([p.fingerprint for p in parts]), first.tokenizer, lookahead)
        shapes = [{k: v.shape for k, v in part.example(0).items()} for part in parts]
        if any(shape != shapes[0] for shape in shapes):
            raise UserError(f"the parts of a Mixture have unlike rows: {shapes}")
        if len({getattr(part.tokenizer, "fingerprint", None) for part in parts}) > 1:
            raise UserError("the parts of a Mixture were encoded by different tokenizers")
        self._parts, self.count = parts, sum(part.count for part in parts)
        self._ends = np.cumsum([part.count for part in parts])
        self._shares = _shares(spec.weights)
        self._part, self._rank = _interleaved(self._shares)

    def example(self, row: int, width: int = 0) -> Example:
        part = int(np.searchsorted(self._ends, row, "right"))
        return self._parts[part].example(row - int(self._ends[part]) + self._parts[part].count)

    def draw(self, number: int, batch: int, seed: int) -> Example:
        lap, slot = divmod(number, PERIOD)
        part = int(self._part[slot])
        own = lap * int(self._shares[part]) + int(self._rank[slot])
        return self._parts[part].draw(own, batch, order.key(seed, part))


def _shares(weights: Sequence[float]) -> np.ndarray:
    """int64 [parts], summing to PERIOD: the weights, rounded by largest remainder."""
    exact = np.array(weights, np.float64) / sum(weights) * PERIOD
    shares = np.floor(exact).astype(np.int64)
    largest = np.argsort(shares - exact, kind="stable")[:PERIOD - shares.sum()]
    shares[largest] += 1
    return shares


def _interleaved(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each slot of the period: its part, and how many slots that part had before."""
    part = np.repeat(np.arange(len(shares)), shares)
    rank = np.concatenate([np.arange(share) for share in shares])
    slots = np.argsort((rank + 0.5) / shares[part], kind="stable")
    return part[slots], rank[slots]
