"""Extraction: the first and the last token of an answer inside a passage (Devlin 2019 §4.2)."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp

from transformer.error import UserError
from transformer.objectives.objective import Objective, present, refuse_negative
from transformer.ops.loss import cross_entropy, hits, weighted

FORBIDDEN = -1e30  # finite: a padding row forbids everything and must still give numbers


class Extract(Objective):
    """Cross-entropy of `labels` [B, 2] under the head "span" [B, T, 2], softmax over positions.

    `weights` [B, T] is 1 where an answer may begin or end: in the passage, and at the one position
    that stands for "no answer here". Each example makes two predictions.
    """

    main: ClassVar[str] = "span"
    needs: ClassVar[tuple[str, ...]] = ("labels", "weights")

    def prepare(self, example, rng, tokenizer):
        refuse_negative(example)
        labels, weights = example["labels"], example["weights"]
        if labels.max() >= len(weights) or not weights[labels].all():
            raise UserError(f"the answer at tokens {labels.tolist()} lies outside the passage")
        return example

    def weights(self, batch):
        examples = present(batch, batch["labels"].shape[:-1]).sum()
        return {"span": 2 * examples, "exact": examples}

    def loss(self, apply, params, batch, rng, train):
        logits_BT2 = self.run(apply, params, batch, rng, train)["span"].astype(jnp.float32)
        allowed_BT1 = batch["weights"][..., None] > 0
        logits_B2T = jnp.where(allowed_BT1, logits_BT2, FORBIDDEN).swapaxes(1, 2)
        weights_B2 = jnp.repeat(present(batch, batch["labels"].shape[:1])[:, None], 2, axis=1)
        exact_B = hits(logits_B2T, batch["labels"]).min(1)
        return {"span": weighted(cross_entropy(logits_B2T, batch["labels"]), weights_B2),
                "exact": weighted(exact_B, weights_B2[:, 0], 0.0)}
