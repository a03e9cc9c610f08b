"""Next-token prediction: every position predicts the token that follows it (Radford 2018 §3.1)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from transformer.objectives.objective import Objective
from transformer.ops.prediction import predicted
from transformer.spec import Rate


class NextToken(Objective):
    """Rows carry T + 1 tokens, so that T tokens read make T predictions.

    z: see `ops.loss.cross_entropy`; in training only.
    """

    z: Rate = 0.0
    lookahead: ClassVar[int] = 1
    main: ClassVar[str] = "next_token"

    def prepare(self, example, rng, tokenizer):
        """[T+1] arrays -> tokens, targets, weights and the rest, [T].

        A weight is 0 where the target is padding or belongs to another document. `weights` [T+1] in
        the example scale that: 0 for a token that is read but is not to be predicted (a prompt).
        """
        segments = example["segments"]
        same = (segments[1:] == segments[:-1]) & (segments[1:] > 0)
        weights = same.astype(np.float32)
        if "weights" in example:
            weights = weights * example["weights"][1:]
        whole = {name: array[:-1] if name in ("tokens", "segments", "positions", "types") else array
                 for name, array in example.items()}
        return {**whole, "targets": example["tokens"][1:], "weights": weights}

    def weights(self, batch):
        total = batch["weights"].sum()
        return {self.main: total, "accuracy": total}

    def loss(self, apply, params, batch, rng, train):
        logits = self.run(apply, params, batch, rng, train)["logits"]
        return scored(self.main, logits, batch, train, z=self.z if train else 0.0)


def scored(name: str, logits, batch, train: bool, **how) -> dict:
    """The cross-entropy of `targets`, and outside training the hits, under `weights`."""
    asked = logits, batch["targets"], batch["weights"]
    if train:
        return {name: predicted(*asked, **how)}
    return dict(zip((name, "accuracy"), predicted(*asked, count=True, **how)))
