"""Masked language modelling: some pieces are hidden and predicted from both sides (Devlin 2019)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from transformer.error import UserError
from transformer.objectives.masking import NGrams, Row, SingleTokens, WholeWords, WordSpans
from transformer.objectives.objective import Objective, pieces, special
from transformer.ops.prediction import predicted
from transformer.spec import Count


class MaskedLM(Objective):
    """Predict the original pieces at masked positions; only these meet the vocabulary.

    rate: share of a row's tokens that is masked, special pieces counted in the share (as BERT
      does) but never masked.
    replace: shares that become the mask piece, become a random ordinary piece, stay as they are.
    unit: what is masked as one.
    most: masked tokens of a row, at most; None for no limit. (BERT: 20 at T = 128, 77 at 512;
      ALBERT: 20 at 512.)

    A row of T tokens has N = max(1, round(rate * T)) slots; one with n tokens that are not padding
    fills at most max(1, round(rate * n)) of them. round goes to even at a half, as in BERT.
    """

    rate: float = 0.15
    replace: tuple[float, float, float] = (0.8, 0.1, 0.1)
    unit: SingleTokens | WholeWords | NGrams | WordSpans = SingleTokens()
    most: Count | None = None
    main: ClassVar[str] = "masked"

    def check(self):
        if not 0 < self.rate <= 1:
            raise UserError(f"MaskedLM.rate is {self.rate}, but it must be above 0 and at most 1")
        if min(self.replace) < 0 or abs(sum(self.replace) - 1) > 1e-6:
            raise UserError(f"MaskedLM.replace is {self.replace}, but it must be three shares "
                            "(mask, random, unchanged) that add up to 1")

    def slots(self, tokens: int) -> int:
        """How many predictions a row of this many tokens makes."""
        wanted = max(1, round(self.rate * tokens))
        return wanted if self.most is None else min(wanted, self.most)

    def prepare(self, example, rng, tokenizer):
        """tokens [T] -> corrupted tokens [T] with masked, targets, weights [N].

        Unused slots point at position 0 with weight 0.
        """
        original, segments = example["tokens"], example["segments"]
        known = pieces(tokenizer)
        allowed = (segments > 0) & known.ordinary[original]
        row = Row(original, segments, allowed, known.starts)
        positions, groups = self.unit.pick(row, self.slots(self.counted(row)), rng)
        tokens = original.copy()
        tokens[positions] = self._replaced(original[positions], groups, rng, tokenizer)
        used = {"masked": positions.astype(np.int32), "targets": original[positions],
                "weights": np.ones(len(positions), np.float32), **self.more(row, positions)}
        size = self.slots(len(original))
        return {**example, "tokens": tokens,
                **{name: _filled(array, size) for name, array in used.items()}}

    def counted(self, row: Row) -> int:
        """Of how many tokens the rate is the share."""
        return int((row.segments > 0).sum())

    def more(self, row: Row, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Further arrays with an entry for each masked position."""
        return {}

    def _replaced(self, original, groups, rng, tokenizer) -> np.ndarray:
        """What stands at the masked positions; one draw decides for a whole group."""
        draw = rng.random(groups.max(initial=-1) + 1)[groups]
        ordinary = np.flatnonzero(pieces(tokenizer).ordinary)
        random = ordinary[rng.integers(len(ordinary), size=len(original))]
        mask, randomised, _ = self.replace
        return np.where(draw < mask, special(tokenizer, "mask"),
                        np.where(draw < mask + randomised, random, original))

    def weights(self, batch):
        total = batch["weights"].sum()
        return {"masked": total, "accuracy": total}

    def loss(self, apply, params, batch, rng, train):
        return self.scored(self.run(apply, params, batch, rng, train)["mlm"], batch)

    def scored(self, logits_BNV, batch, coefficient: float = 1.0) -> dict:
        """The terms of these predictions."""
        terms = predicted(logits_BNV, batch["targets"], batch["weights"], coefficient, count=True)
        return dict(zip(("masked", "accuracy"), terms))


def _filled(array: np.ndarray, size: int) -> np.ndarray:
    """The array with zeros behind it, up to `size` entries."""
    out = np.zeros((size, *array.shape[1:]), array.dtype)
    out[:len(array)] = array
    return out
