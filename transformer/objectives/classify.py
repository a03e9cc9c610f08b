"""Classification of a whole row (Radford 2018 §3.2, Devlin 2019 §3.2)."""

from __future__ import annotations

from typing import ClassVar

from transformer.objectives.auxiliary import Supervised
from transformer.objectives.objective import present, refuse_negative
from transformer.ops.loss import cross_entropy, hits, weighted


class Classify(Supervised):
    """Cross-entropy of `labels` [B] under the head "classes" [B, C], read at `pooled`."""

    main: ClassVar[str] = "classes"

    def prepare(self, example, rng, tokenizer):
        return refuse_negative(example)

    def weights(self, batch):
        total = present(batch, batch["labels"].shape).sum()
        return {"classes": total, "accuracy": total, **self.language_weights(batch)}

    def loss(self, apply, params, batch, rng, train):
        outputs, labels_B = self.run(apply, params, batch, rng, train), batch["labels"]
        logits_BC, weights_B = outputs["classes"], present(batch, batch["labels"].shape)
        return {"classes": weighted(cross_entropy(logits_BC, labels_B), weights_B),
                "accuracy": weighted(hits(logits_BC, labels_B), weights_B, 0.0),
                **self.language(outputs, batch)}
