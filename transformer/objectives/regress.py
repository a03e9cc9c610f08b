"""Regression of one number from a row, or from both orders of a pair (Radford 2018 §3.3)."""

from __future__ import annotations

from typing import ClassVar

from transformer.objectives.auxiliary import Supervised
from transformer.objectives.objective import present
from transformer.ops.loss import squared_error, weighted


class Regress(Supervised):
    """Squared error of `labels` [B], float, under the head "score" [B, 1] or [B*2, 1].

    Where an example has two rows (both orders of a pair) their scores are added. The head is linear
    in the hidden state, so that is the sum of the two hidden states before the head, as in the
    paper, but for a bias that counts twice.
    """

    main: ClassVar[str] = "score"

    def weights(self, batch):
        total = present(batch, batch["labels"].shape).sum()
        return {"score": total, **self.language_weights(batch)}

    def loss(self, apply, params, batch, rng, train):
        outputs, labels_B = self.run(apply, params, batch, rng, train), batch["labels"]
        score_B = outputs["score"].reshape(labels_B.shape[0], -1).sum(1)
        errors_B = squared_error(score_B, labels_B)
        return {"score": weighted(errors_B, present(batch, labels_B.shape)),
                **self.language(outputs, batch)}
