"""Tagging: one class for each word of a row (Devlin 2019 §5.3)."""

from __future__ import annotations

from typing import ClassVar

from transformer.objectives.objective import Objective, refuse_negative
from transformer.ops.loss import cross_entropy, hits, weighted


class Tag(Objective):
    """Cross-entropy of `labels` [B, T] under the head "tags" [B, T, C].

    `weights` [B, T] is 1 at the one token that stands for each word and 0 elsewhere; labels there
    are 0 and never read.
    """

    main: ClassVar[str] = "tags"
    needs: ClassVar[tuple[str, ...]] = ("labels", "weights")

    def prepare(self, example, rng, tokenizer):
        return refuse_negative(example)

    def weights(self, batch):
        total = batch["weights"].sum()
        return {"tags": total, "accuracy": total}

    def loss(self, apply, params, batch, rng, train):
        logits_BTC = self.run(apply, params, batch, rng, train)["tags"]
        labels_BT, weights_BT = batch["labels"], batch["weights"]
        return {"tags": weighted(cross_entropy(logits_BTC, labels_BT), weights_BT),
                "accuracy": weighted(hits(logits_BTC, labels_BT), weights_BT, 0.0)}
