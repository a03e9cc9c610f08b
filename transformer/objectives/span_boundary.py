"""Spans are masked, and their tokens are predicted from outside as well (Joshi 2020 §3)."""

from __future__ import annotations

import math

import numpy as np

from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.masking import Row, WordSpans, runs
from transformer.ops.prediction import predicted
from transformer.spec import Count, Nonnegative


class SpanBoundary(MaskedLM):
    """SpanBERT's objective, by the rules of its code: heads "mlm" and "boundary", both [B, N, V].

    ceil(rate n) of the n tokens that are no special pieces are masked, in spans that are replaced
    as one. The boundary loss scores a masked token if both neighbours of its span are ordinary
    tokens of its document, and if it is among the first `longest` of the span.

    boundary: weight of the boundary loss.
    """

    unit: WordSpans = WordSpans()
    longest: Count = 15
    boundary: Nonnegative = 1.0

    def slots(self, tokens: int) -> int:
        wanted = math.ceil(self.rate * tokens)
        return wanted if self.most is None else min(wanted, self.most)

    def counted(self, row: Row) -> int:
        return int(row.allowed.sum())

    def more(self, row: Row, positions) -> dict:
        """spans [N, 2]: the tokens before and behind the span of each slot; 0, 0 if not scored."""
        number = runs(row, positions)
        left = positions[np.searchsorted(number, number, "left")] - 1
        right = positions[np.searchsorted(number, number, "right") - 1] + 1
        scored = self.beside(row, left, positions) & self.beside(row, right, positions) & (
            positions - left <= self.longest)
        return {"spans": (np.stack([left, right], 1) * scored[:, None]).astype(np.int32)}

    @staticmethod
    def beside(row: Row, neighbour, positions) -> np.ndarray:
        """bool [k]: the neighbour is an ordinary token of the same document."""
        at = np.clip(neighbour, 0, len(row.tokens) - 1)
        return row.allowed[at] & (at == neighbour) & (row.segments[at] == row.segments[positions])

    def weights(self, batch):
        return {**super().weights(batch), "boundary": (batch["spans"][..., 1] > 0).sum()}

    def loss(self, apply, params, batch, rng, train):
        outputs = self.run(apply, params, batch, rng, train)
        scored_BN = batch["spans"][..., 1] > 0
        return {**self.scored(outputs["mlm"], batch), "boundary": predicted(
            outputs["boundary"], batch["targets"], scored_BN, self.boundary)}
