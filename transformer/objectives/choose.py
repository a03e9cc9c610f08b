"""Multiple choice: one scalar for each choice, softmax over the choices (Radford 2018 §3.3)."""

from __future__ import annotations

from typing import ClassVar

from transformer.objectives.auxiliary import Supervised
from transformer.objectives.objective import present, refuse_negative
from transformer.ops.loss import cross_entropy, hits, weighted


class Choose(Supervised):
    """Cross-entropy of `labels` [B] under the head "score" [B*C, 1].

    The C choices of an example are C rows that follow each other.
    """

    main: ClassVar[str] = "choice"

    def prepare(self, example, rng, tokenizer):
        return refuse_negative(example)

    def weights(self, batch):
        total = present(batch, batch["labels"].shape).sum()
        return {"choice": total, "accuracy": total, **self.language_weights(batch)}

    def loss(self, apply, params, batch, rng, train):
        outputs, labels_B = self.run(apply, params, batch, rng, train), batch["labels"]
        logits_BC = outputs["score"].reshape(labels_B.shape[0], -1)
        weights_B = present(batch, labels_B.shape)
        return {"choice": weighted(cross_entropy(logits_BC, labels_B), weights_B),
                "accuracy": weighted(hits(logits_BC, labels_B), weights_B, 0.0),
                **self.language(outputs, batch)}
